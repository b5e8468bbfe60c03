import Exclusion

/// What a ``Forwarder`` counts of echo requests. Its thread writes.
final class EchoCounters: Sendable {
  let toHost = Counter()
  let toGuest = Counter()
  let denied = Counter()
  let unavailable = Counter()
  let refused = Counter()
  let evicted = Counter()
  let dropped = Counter()
  let open = Gauge()
}

/// What was done for echo requests of the guest's (ping) to the outside.
public struct EchoStatistics: Sendable, Hashable {
  /// Sequences of requests that may be carried at once.
  public var limit = 0
  /// Those that are carried now.
  public var open: UInt64 = 0
  /// Requests that the host sent.
  public var toHost: UInt64 = 0
  /// Answers that the guest was sent.
  public var toGuest: UInt64 = 0
  /// Requests that no rule allows.
  public var denied: UInt64 = 0
  /// Requests that the host does not let us send (net.ipv4.ping_group_range).
  public var unavailable: UInt64 = 0
  /// Times that the guest was told why a request went nowhere.
  public var refused: UInt64 = 0
  /// Sequences that gave way to newer ones.
  public var evicted: UInt64 = 0
  /// Requests and answers that were lost here.
  public var dropped: UInt64 = 0

  /// Of no requests.
  public init() {}

  init(_ counters: EchoCounters, limit: Int) {
    self.limit = limit
    open = counters.open.value
    toHost = counters.toHost.value
    toGuest = counters.toGuest.value
    denied = counters.denied.value
    unavailable = counters.unavailable.value
    refused = counters.refused.value
    evicted = counters.evicted.value
    dropped = counters.dropped.value
  }
}
