import CLinux
import Exclusion

/// Where a stack gets its time. Asked once per pass of a context, never per packet.
///
/// Any thread may call `now`; it neither blocks nor allocates, and never goes backwards.
public protocol TimeSource: AnyObject, Sendable {
  /// The present moment.
  func now() -> Instant
}

/// The machine's monotonic clock (`CLOCK_MONOTONIC`; it stands still while the machine is suspended).
public final class RealClock: TimeSource {
  /// A clock; all of them agree.
  public init() {}
  /// The present moment, any thread.
  public func now() -> Instant { Instant(nanoseconds: sluice_monotonic_nanoseconds()) }
}

/// A clock that moves only when told to: time in tests and simulations.
///
/// Any thread may read it; moving it from several threads is safe and keeps the latest moment.
public final class VirtualClock: TimeSource {
  private let word: AtomicWord  // (a) nanoseconds

  /// A clock that shows `start`.
  public init(start: Instant = .zero) { word = AtomicWord(start.nanoseconds) }

  /// The moment shown, any thread.
  public func now() -> Instant { Instant(nanoseconds: word.load()) }

  /// Moves the clock to `instant`; an earlier moment than the one shown leaves it as it is.
  public func advance(to instant: Instant) {
    var shown = word.load()
    while shown < instant.nanoseconds, !word.compareExchange(&shown, instant.nanoseconds) {}
  }
  /// Moves the clock forward by `span`, which is not negative.
  public func advance(by span: Nanoseconds) { advance(to: now() + span) }
  /// Moves the clock forward by `duration`, which is not negative.
  public func advance(by duration: Duration) { advance(to: now().adding(duration)) }
}
