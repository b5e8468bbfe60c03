import Glibc

/// Time that passes, and processor time that is used, from its making on.
///
/// On a machine that does other things as well, the second tells the truth.
struct Stopwatch {
  /// Whose processor time is counted.
  enum Scope {
    case thread, process

    fileprivate var clock: clockid_t {
      switch self {
      case .thread: CLOCK_THREAD_CPUTIME_ID
      case .process: CLOCK_PROCESS_CPUTIME_ID
      }
    }
  }

  private let scope: Scope
  private let began: Double
  private let used: Double

  init(_ scope: Scope) {
    self.scope = scope
    (began, used) = (Self.read(CLOCK_MONOTONIC), Self.read(scope.clock))
  }

  /// Seconds since its making: of the clock, and of processors.
  func read() -> (wall: Double, processor: Double) {
    (Self.read(CLOCK_MONOTONIC) - began, Self.read(scope.clock) - used)
  }

  private static func read(_ clock: clockid_t) -> Double {
    var time = timespec()
    unsafe clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// Work that was done, and what it took.
struct Measured {
  var units: Int
  var wall: Double
  var processor: Double

  /// The rate on the clock, and for each second of a processor; each unit counts as `factor` of the unit's.
  func samples(
    _ name: String, _ unit: BenchmarkSample.Unit, factor: Double = 1
  ) -> [BenchmarkSample] {
    [
      BenchmarkSample(name, Double(units) * factor / wall, unit),
      BenchmarkSample("\(name).per-processor", Double(units) * factor / processor, unit),
    ]
  }
}
