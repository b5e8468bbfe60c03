import ArgumentParser
import Sluice

/// `sluice bench`.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure the stack on this machine.",
    usage: "sluice bench NAME [options]",
    discussion: """
      Benchmarks:
      \(Benchmark.all.map { "  \($0.name): \($0.abstract)" }.joined(separator: "\n"))

      Each is repeated; the median of the rounds is shown, and the least and greatest. With --json the result is \
      one object: {"results": [{"name": …, "median": …, "min": …, "max": …, "unit": …}]}, in seconds, bytes and \
      numbers per second. Use a release build, and a machine that does nothing else.

      Examples:
        sluice bench timer-lateness
        sluice bench timer-lateness --link tap --json
        sluice bench streams --contexts 2
      """)

  @Argument(help: ArgumentHelp("Which benchmark.", valueName: "NAME"))
  var name: String

  @Flag(help: "Results as JSON.")
  var json = false

  @OptionGroup var options: BenchOptions

  mutating func validate() throws {
    guard Benchmark.all.contains(where: { $0.name == name }) else {
      let names = Benchmark.all.map(\.name).joined(separator: ", ")
      throw ValidationError("there is no benchmark \"\(name)\"; there are: \(names).")
    }
    guard (1...100).contains(options.rounds) else {
      throw ValidationError("--rounds is from 1 to 100, not \(options.rounds).")
    }
    guard (1...600).contains(options.seconds) else {
      throw ValidationError("--seconds is from 1 to 600, not \(options.seconds).")
    }
    guard (1...16).contains(options.contexts) else {
      throw ValidationError("--contexts is from 1 to 16, not \(options.contexts).")
    }
  }

  func run() throws {
    guard let benchmark = Benchmark.all.first(where: { $0.name == name }) else { return }
    let rounds = try (0..<options.rounds).map { _ in try benchmark.round(options) }
    let results = BenchResult.summary(of: rounds)
    print(json ? BenchResult.json(results) : BenchResult.text(results), terminator: "")
  }
}

/// What all benchmarks can be told; each takes what it has a use for.
struct BenchOptions: ParsableArguments {
  /// Where the load comes from.
  enum Link: String, ExpressibleByArgument, CaseIterable { case memory, tap }

  @Option(help: "Where traffic comes from: memory, or a TAP (needs a /dev/net/tun that you may open).")
  var link = Link.memory
  @Option(help: ArgumentHelp("Length of a round, in seconds.", valueName: "number"))
  var seconds = 3
  @Option(help: ArgumentHelp("Rounds, of which the median is taken.", valueName: "number"))
  var rounds = 3
  @Option(help: ArgumentHelp("Contexts of each stack, 1 to 16.", valueName: "number"))
  var contexts = 1
  @Option(help: ArgumentHelp("Connections at once.", valueName: "number"))
  var connections = 4
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
  @Flag(help: "One stack, over its loopback interface.")
  var loopback = false
  @Flag(help: "Work on a packet at the home of its flow, not where it came in.")
  var steered = false
}

/// One benchmark, by its name.
struct Benchmark: Sendable {
  let name: String
  let abstract: String
  /// Measures once.
  let round: @Sendable (BenchOptions) throws -> [BenchSample]

  /// All there are.
  static let all = [TimerLateness.benchmark, StreamBench.benchmark]
}

/// One number of one round.
struct BenchSample: Sendable {
  enum Unit: String, Sendable {
    case seconds = "s"
    case perSecond = "1/s"
    case bytesPerSecond = "B/s"
    case count = "1"
  }
  var name: String
  var value: Double
  var unit: Unit
}
