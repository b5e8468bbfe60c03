import ArgumentParser
import Benchmarks
import Sluice

/// `sluice bench`.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure the stack on this machine.",
    usage: "sluice bench [NAME …] [options]",
    discussion: """
      Benchmarks (* runs when none is named):
      \(Benchmark.all.map { "\($0.isQuick ? "*" : " ") \($0.name): \($0.abstract)" }.joined(separator: "\n"))

      Each is repeated; the median of the rounds is shown, and the least and greatest. What was transferred is \
      compared with what was sent. NAME.per-processor is the rate for each second of processor time that was used: it \
      holds on a busy machine as well. With --json the result is one object: \
      {"results": [{"name": …, "median": …, "min": …, "max": …, "unit": …}]}, in seconds, bytes, bits and numbers per \
      second, and ratios. Use a release build, and a machine that does nothing else.

      Examples:
        sluice bench
        sluice bench pair-bulk pair-rr pair-crr --json
        sluice bench --json > before.json; sluice bench --baseline before.json --tolerance 5
        sluice bench pair-bulk --count 100000       # so many segments, the same instructions every time
        sluice bench idle-million --connections 100000
        sluice bench timer-lateness --link tap --seconds 3
        sluice bench pair-bulk-threads --contexts 2 --connections 8
      """)

  @Argument(help: ArgumentHelp("Which benchmarks; none: all that are quick.", valueName: "NAME"))
  var names: [String] = []

  @Flag(help: "Results as JSON.")
  var json = false

  @Option(help: ArgumentHelp("Rounds, of which the median is taken, 1 to 100.", valueName: "number"))
  var rounds = 3

  @Option(
    help: ArgumentHelp(
      "What an earlier run printed with --json: ratios are shown, and the exit status is 1 if a result is worse.",
      valueName: "file"))
  var baseline: String?
  @Option(
    help: ArgumentHelp("How much worse than the baseline is not worse yet, in percent.", valueName: "number"))
  var tolerance = 10

  @OptionGroup var options: BenchOptions

  mutating func validate() throws {
    for name in names where !Benchmark.all.contains(where: { $0.name == name }) {
      let names = Benchmark.all.map(\.name).joined(separator: ", ")
      throw ValidationError("there is no benchmark \"\(name)\"; there are: \(names).")
    }
    guard (1...100).contains(rounds) else {
      throw ValidationError("--rounds is from 1 to 100, not \(rounds).")
    }
    guard (0...1000).contains(tolerance) else {
      throw ValidationError("--tolerance is from 0 to 1000, not \(tolerance).")
    }
    guard options.count == nil || chosen.allSatisfy({ $0.unitOfWork != nil }) else {
      let names = Benchmark.all.filter { $0.unitOfWork != nil }.map(\.name).joined(separator: ", ")
      throw ValidationError("--count is for \(names).")
    }
  }

  private var chosen: [Benchmark] {
    names.isEmpty
      ? Benchmark.all.filter(\.isQuick) : names.compactMap { name in Benchmark.all.first { $0.name == name } }
  }

  func run() throws {
    let before = try baseline.map { path throws(Failure) in try Baseline.read(path) }
    var results: [BenchmarkResult] = []
    for benchmark in chosen {
      let measured: [[BenchmarkSample]]
      do {
        measured = try (0..<(benchmark.isOnce ? 1 : rounds)).map { _ in try benchmark.round(options.choice) }
      } catch let failure as BenchmarkFailure {
        throw Failure(
          "\(benchmark.name): \(failure.message)", code: failure.code == 0 ? Failure.ownCode : failure.code)
      }
      let own = BenchmarkResult.summary(of: measured)
      if !json { print(BenchText.text(own), terminator: "") }
      results += own
    }
    if json { print(BenchText.json(results), terminator: "") }
    guard let before else { return }
    let comparisons = before.compare(results, tolerance: Double(tolerance) / 100)
    // On the other stream where the first is for machines.
    let text = BenchText.text(comparisons)
    if json { complain(text) } else { print("\n\(text)", terminator: "") }
    if comparisons.contains(where: \.isWorse) { throw ExitCode(1) }
  }
}

/// What all benchmarks can be told; each takes what it has a use for.
struct BenchOptions: ParsableArguments {
  @Option(help: "Where traffic comes from: memory, or a TAP (needs a /dev/net/tun that you may open).")
  var link = BenchmarkOptions.Link.memory
  @Option(help: ArgumentHelp("Length of a round, in seconds.", valueName: "number"))
  var seconds = 1
  @Option(
    help: ArgumentHelp(
      "Units of work of a round, in place of a time: segments, exchanges, connections.", valueName: "number"))
  var count: Int?
  @Option(help: ArgumentHelp("Contexts of each stack, 1 to 16.", valueName: "number"))
  var contexts: Int?
  @Option(help: ArgumentHelp("Connections at once.", valueName: "number"))
  var connections: Int?
  @Option(help: ArgumentHelp("Bytes that a connection of a pair buffers each way.", valueName: "bytes"))
  var buffer = BenchmarkOptions().buffer
  /// When programs do their own sending.
  enum Entry: String, ExpressibleByArgument, CaseIterable {
    case never, idle, free, drive

    var choice: BlockEntry {
      switch self {
      case .never: .post
      case .idle: .enterIdle
      case .free: .enterFree
      case .drive: .drive
      }
    }
  }
  @Option(
    help: """
      When programs enter their connections: never, while the home is idle, when nobody is inside, or by driving an \
      idle home.
      """)
  var enter = Entry.never
  @Option(
    help: ArgumentHelp("Microseconds that a thread spins at most before it sleeps.", valueName: "number"))
  var spin = 50
  @Flag(help: "Copy out what arrives by pair-bulk and scale, instead of reading it where it lies.")
  var copy = false
  @Flag(help: "One stack, over its loopback interface.")
  var loopback = false
  @Flag(help: "Work on a packet at the home of its flow, not where it came in.")
  var steered = false

  mutating func validate() throws {
    func check(_ name: String, _ value: Int?, _ range: ClosedRange<Int>) throws {
      guard value.map(range.contains) ?? true else {
        throw ValidationError(
          "--\(name) is from \(range.lowerBound) to \(range.upperBound), not \(value ?? 0).")
      }
    }
    try check("seconds", seconds, 1...600)
    try check("count", count, 1...1_000_000_000)
    try check("contexts", contexts, 1...16)
    try check("connections", connections, 1...4_000_000)
    try check("spin", spin, 0...1000)
    try check("buffer", buffer, 4096...16_777_216)
  }

  var choice: BenchmarkOptions {
    var choice = BenchmarkOptions()
    choice.link = link
    choice.seconds = seconds
    choice.count = count
    choice.contexts = contexts
    choice.connections = connections
    choice.buffer = buffer
    choice.copies = copy
    choice.entry = enter.choice
    choice.spin = spin
    choice.isLoopback = loopback
    choice.isSteered = steered
    return choice
  }
}

extension BenchmarkOptions.Link: ExpressibleByArgument {}
