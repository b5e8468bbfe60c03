import Exclusion

/// What a ``Forwarder`` counts, in one direction. Its thread writes.
final class ForwardCounters: Sendable {
  let accepted = Counter()
  let connected = Counter()
  let refusedAtLimit = Counter()
  let refusedByGuest = Counter()
  let resetByGuest = Counter()
  let resetByHost = Counter()
  let finished = Counter()
  let denied = Counter()
  let refusedByHost = Counter()
  let unreachable = Counter()
  let timedOut = Counter()
  let fastOpens = Counter()
  let pauses = Counter()
  let bytesToGuest = Counter()
  let bytesToHost = Counter()
  let open = Gauge()
  let peak = Gauge()
  /// Sockets that take connections or datagrams.
  let listeners = Gauge()
}

/// What was done for connections of one direction, and what there is.
public struct ForwardStatistics: Sendable, Hashable {
  /// Connections that may be carried at once.
  public var limit = 0
  /// Sockets that listen.
  public var listeners = 0
  /// Connections that are carried now, those included that our side has not opened yet.
  public var open: UInt64 = 0
  /// The most that there were at once.
  public var peak: UInt64 = 0
  /// Taken from the host.
  public var accepted: UInt64 = 0
  /// Those that the guest has taken.
  public var connected: UInt64 = 0
  /// Those that were reset because there were as many as there may be, or no descriptor for more.
  public var refusedAtLimit: UInt64 = 0
  /// Those that the guest refused or did not answer, and that were reset for it.
  public var refusedByGuest: UInt64 = 0
  /// Open ones that the guest reset, or whose guest fell silent.
  public var resetByGuest: UInt64 = 0
  /// Those that the host's peer reset.
  public var resetByHost: UInt64 = 0
  /// Those that ended in order, both ways.
  public var finished: UInt64 = 0
  /// Those whose first bytes came with the SYN and went with the SYN (RFC 7413).
  public var fastOpens: UInt64 = 0
  /// Times that nothing was taken for a while because many were being opened.
  public var pauses: UInt64 = 0
  /// Of the guest's: those that no rule allows, and that went nowhere.
  public var denied: UInt64 = 0
  /// Those that the host's peer refused.
  public var refusedByHost: UInt64 = 0
  /// Those that the host has no way for, or may not make.
  public var unreachable: UInt64 = 0
  /// Those that the host's peer did not answer.
  public var timedOut: UInt64 = 0
  /// Bytes that our side took.
  public var bytesToGuest: UInt64 = 0
  /// Bytes that the host took.
  public var bytesToHost: UInt64 = 0

  /// Of no forwards.
  public init() {}
}

extension ForwardStatistics {
  init(_ counters: ForwardCounters, limit: Int, listeners: Int) {
    self.limit = limit
    self.listeners = listeners
    open = counters.open.value
    peak = counters.peak.value
    accepted = counters.accepted.value
    connected = counters.connected.value
    refusedAtLimit = counters.refusedAtLimit.value
    refusedByGuest = counters.refusedByGuest.value
    resetByGuest = counters.resetByGuest.value
    resetByHost = counters.resetByHost.value
    finished = counters.finished.value
    denied = counters.denied.value
    refusedByHost = counters.refusedByHost.value
    unreachable = counters.unreachable.value
    timedOut = counters.timedOut.value
    fastOpens = counters.fastOpens.value
    pauses = counters.pauses.value
    bytesToGuest = counters.bytesToGuest.value
    bytesToHost = counters.bytesToHost.value
  }
}
