public import Sluice

/// One benchmark, by its name.
public struct Benchmark: Sendable {
  /// As users ask for it.
  public let name: String
  /// What it measures, in a line.
  public let abstract: String
  /// Whether it runs when no name is given: it takes some seconds, little memory and no privilege.
  public let isQuick: Bool
  /// Whether a round changes the process for those after it: one is measured, whatever was asked for.
  public let isOnce: Bool
  /// What ``BenchmarkOptions/count`` counts; nil: it has no work of a fixed size.
  public let unitOfWork: String?
  /// Measures once; every round has the same samples in the same order. Blocks for as long as it takes; throws
  /// ``BenchmarkFailure``. Not from a context.
  public let round: @Sendable (BenchmarkOptions) throws -> [BenchmarkSample]

  init(
    _ name: String, _ abstract: String, isQuick: Bool = true, isOnce: Bool = false, unitOfWork: String? = nil,
    _ round: @escaping @Sendable (BenchmarkOptions) throws -> [BenchmarkSample]
  ) {
    (self.name, self.abstract, self.isQuick, self.unitOfWork) = (name, abstract, isQuick, unitOfWork)
    self.isOnce = isOnce
    self.round = round
  }

  /// All there are, in the order in which they are shown.
  public static let all =
    [
      PairBulk.benchmark, PairBulk.benchmarkOffloaded, PairExchange.benchmark, PairConnections.benchmark,
      SplitPair.benchmark,
    ] + ThreadedPair.benchmarks + [
      Scale.benchmark, MachineLimits.checksum, Lookup.benchmark, MachineLimits.memory,
      TapWrite.benchmark, IdleMillion.benchmark, TimerLateness.benchmark,
    ]
}

/// What all benchmarks can be told; each takes what it has a use for.
public struct BenchmarkOptions: Sendable {
  /// Where the load of some comes from.
  public enum Link: String, Sendable, CaseIterable {
    /// A device in this process.
    case memory
    /// A TAP with a program of the kernel's behind it.
    case tap
  }

  /// Where traffic comes from.
  public var link = Link.memory
  /// Length of a round, in seconds.
  public var seconds = 1
  /// Units of work of a round, in place of a time: segments, exchanges, connections. Time is then virtual, so that
  /// the same instructions run again.
  public var count: Int?
  /// Contexts of each stack, 1...64; nil: as many as the benchmark likes, one for the most part.
  public var contexts: Int?
  /// Connections at once; nil: as many as the benchmark likes.
  public var connections: Int?
  /// Bytes that a connection buffers each way, and that are in flight at most.
  public var buffer = 256 << 10
  /// Readers of bulk that are stepped by hand copy what arrives out, and do not look at it where it lies.
  public var copies = false
  /// When programs do their own sending.
  public var entry = BlockEntry.post
  /// Microseconds that a thread spins at most before it sleeps, 0...1000.
  public var spin = 50
  /// One stack, over its loopback interface.
  public var isLoopback = false
  /// Packets are worked on at the home of their flow, not where they came in.
  public var isSteered = false

  /// The defaults.
  public init() {}
}

/// Why a benchmark could not be run, in words that say what to do.
public struct BenchmarkFailure: Error {
  /// What went wrong.
  public var message: String
  /// Exit status that names the cause, where it has one; 0: none.
  public var code: Int32

  init(_ message: String, code: Int32 = 0) { (self.message, self.code) = (message, code) }
}
