import CLinux
import Exclusion

/// What a device in a guest's memory counts. Seldom, so anybody may.
final class VhostCounters: Sendable {
  let connected = Gauge()
  let frontEnds = SharedCounter()
  let refused = SharedCounter()
  let left = SharedCounter()
  let broken = SharedCounter()
  let lastError = Gauge()
  let brokenRings = SharedCounter()
  let malformedFrames = SharedCounter()
  let discarded = SharedCounter()
  let calls = SharedCounter()
  let wakes = SharedCounter()
  let stops = SharedCounter()

  /// A ring broke; its front-end is told by `error`, if it wants to be.
  func noteBrokenRing(_ error: Int32) {
    brokenRings.increment()
    if error >= 0 { sluice_event_write(error) }
  }
}

/// What a ``VhostDevice`` did, and how it stands.
public struct VhostStatistics: Sendable, Hashable {
  /// A front-end is there.
  public var isConnected = false
  /// Front-ends that came.
  public var frontEnds: UInt64 = 0
  /// Front-ends that came while one was there, and were sent away.
  public var refused: UInt64 = 0
  /// Front-ends that went, or were sent away.
  public var left: UInt64 = 0
  /// Of these, those whose messages or memory made no sense.
  public var broken: UInt64 = 0
  /// Why the last one of them was.
  public var lastError: VhostError?
  /// Rings that made no sense, and were stopped: the guest's driver begins anew.
  public var brokenRings: UInt64 = 0
  /// Frames of no length, and longer ones than the link takes.
  public var malformedFrames: UInt64 = 0
  /// Frames that came from, or were for, a guest whose ring was not there or not enabled.
  public var discarded: UInt64 = 0
  /// Calls to the guest: a system call each.
  public var calls: UInt64 = 0
  /// Kicks and messages that woke us: a system call each to see which.
  public var wakes: UInt64 = 0
  /// Times that the guest had no room for what was for it.
  public var stops: UInt64 = 0

  init(_ counters: VhostCounters) {
    isConnected = counters.connected.value != 0
    frontEnds = counters.frontEnds.value
    refused = counters.refused.value
    left = counters.left.value
    broken = counters.broken.value
    lastError = VhostError(rawValue: counters.lastError.value)
    brokenRings = counters.brokenRings.value
    malformedFrames = counters.malformedFrames.value
    discarded = counters.discarded.value
    calls = counters.calls.value
    wakes = counters.wakes.value
    stops = counters.stops.value
  }
}
