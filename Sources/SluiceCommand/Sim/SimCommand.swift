import ArgumentParser
import Glibc
import Simulation

/// `sluice sim`.
struct SimCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sim",
    abstract: "Run the stack in simulated networks, in virtual time, from seeds.",
    usage: "sluice sim [--profile NAME …] [--seeds A..B] [options]",
    discussion: """
      Each seed of each profile is a network of its own: hosts with the whole stack, links, routers and switches, and \
      applications that check every byte. Nothing waits for real time, and the same seed does the same again. At \
      the end of a run everything that it took must be back. Exit status 1 if any run fails, with the command that \
      repeats it.

      Examples:
        sluice sim --list
        sluice sim --seeds 1..100
        sluice sim --profile loss-1 --profile loss-3 --seeds 1..1000 --json
        sluice sim --profile chaos --seeds 17 --trace 200
        sluice sim --profile loss-1 --seeds 3 --plot loss.svg
        sluice sim --relay --tap simA --tap simB --profile loss-1 --seeds 1
        sluice sim --profile satellite --bytes 20000000 --workload upload --seeds 1..5
      """)

  @Flag(help: "The profiles, and what each is for.")
  var list = false
  @Option(
    name: .customLong("profile"), help: ArgumentHelp("Which profile; may be repeated. all", valueName: "NAME")
  )
  var profiles: [String] = []
  @Option(help: ArgumentHelp("Which seeds: one, or A..B.", valueName: "A..B"))
  var seeds = SeedRange(1...10)
  @Option(
    help: ArgumentHelp("Payload of a measured transfer, in bytes; else the profile's.", valueName: "number"))
  var bytes: Int?
  @Option(
    help: ArgumentHelp("What applications do: \(Workload.names); else the seed chooses.", valueName: "NAME"))
  var workload: Workload?
  @Option(
    help: ArgumentHelp("Who rules the congestion window: \(SimulatedControl.names). cubic", valueName: "NAME")
  )
  var control: SimulatedControl = .cubic
  @Flag(help: "Segments go in UDP.")
  var encapsulate = false
  @Option(help: ArgumentHelp("Print so many of the last events of each run.", valueName: "number"))
  var trace: Int = 0
  @Option(help: ArgumentHelp("Draw the transfer of one seed of one profile, as SVG.", valueName: "FILE.svg"))
  var plot: String?
  @Flag(help: "Put the link of a profile between two TAPs, in real time, for other hosts' TCP.")
  var relay = false
  @Option(name: .customLong("tap"), help: ArgumentHelp("A TAP for --relay; give two.", valueName: "NAME"))
  var taps: [String] = []
  @Flag(help: "One JSON object for each run, on a line.")
  var json = false

  mutating func validate() throws {
    for name in profiles where name != "all" && Profile.named(name) == nil {
      let names = Profile.all.map(\.name).joined(separator: ", ")
      throw ValidationError("there is no profile \"\(name)\"; there are: \(names).")
    }
    guard !relay || !encapsulate else {
      throw ValidationError("--relay has no hosts of its own that could encapsulate.")
    }
    guard relay == !taps.isEmpty else { throw ValidationError("--relay and --tap go together.") }
    if relay {
      let isOne = profiles.count == 1 && profiles != ["all"] && seeds.seeds.count == 1 && taps.count == 2
      guard isOne else {
        throw ValidationError("--relay needs one --profile, one of --seeds, and two --tap.")
      }
    }
    if plot != nil {
      let isOne = profiles.count == 1 && profiles != ["all"] && seeds.seeds.count == 1
      guard isOne else { throw ValidationError("--plot draws one seed of one --profile.") }
      guard workload == nil || workload == .upload || workload == .download else {
        throw ValidationError("--plot draws an upload or a download.")
      }
    }
    if let bytes, !(1024...1 << 34).contains(bytes) {
      throw ValidationError("--bytes is from 1024 to 17179869184, not \(bytes).")
    }
  }

  private var chosen: [Profile] {
    profiles.isEmpty || profiles.contains("all") ? Profile.all : profiles.compactMap { Profile.named($0) }
  }

  func run() throws {
    if list { return print(SimText.list, terminator: "") }
    if relay {
      return try TapRelay(profile: chosen[0], seed: seeds.seeds.lowerBound, taps: taps).run()
    }
    var options = RunOptions()
    options.bytes = bytes
    options.workload = workload
    options.control = control
    options.encapsulates = encapsulate
    options.traceLimit = trace
    var failures: [RunResult] = []
    if !json { print(Tally.heading) }
    for profile in chosen {
      var tally = Tally(profile.name)
      for seed in seeds.seeds {
        RunningSeed.note(repeating(profile.name, seed))
        let result = try runOne(profile, seed, options)
        tally.add(result)
        if json {
          print(result.json)
        } else if trace > 0 {
          for entry in result.trace { print(entry.text) }
        }
        if result.failure != nil { failures.append(result) }
      }
      if !json { print(tally.row) }
      fflush(nil)
    }
    RunningSeed.forget()
    for failure in failures { complain(SimText.failure(failure, repeating(failure.profile, failure.seed))) }
    if !failures.isEmpty { throw ExitCode(1) }
  }

  private func runOne(_ profile: Profile, _ seed: UInt64, _ options: RunOptions) throws -> RunResult {
    guard let plot else { return Simulation.run(profile, seed: seed, options) }
    let (result, svg) = Simulation.plot(profile, seed: seed, options)
    guard let file = unsafe fopen(plot, "w") else {
      throw Failure("cannot write \(plot): \(unsafe String(cString: strerror(errno))).")
    }
    let bytes = Array(svg.utf8)
    let written = unsafe fwrite(bytes, 1, bytes.count, file)
    guard unsafe fclose(file) == 0, written == bytes.count else {
      throw Failure("cannot write \(plot): \(unsafe String(cString: strerror(errno))).")
    }
    return result
  }

  /// The command that does one run again.
  private func repeating(_ profile: String, _ seed: UInt64) -> String {
    var command = "sluice sim --profile \(profile) --seeds \(seed)"
    if let bytes { command += " --bytes \(bytes)" }
    if let workload { command += " --workload \(workload.rawValue)" }
    if control != .cubic { command += " --control \(control.rawValue)" }
    if encapsulate { command += " --encapsulate" }
    return command
  }
}

extension SimulatedControl: ExpressibleByArgument {
  static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

extension Workload: ExpressibleByArgument {
  static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
