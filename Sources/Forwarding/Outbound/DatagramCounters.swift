import Exclusion

/// What a ``Forwarder`` counts of datagrams. Its thread writes.
final class DatagramCounters: Sendable {
  let flowsOpened = Counter()
  let flowsExpired = Counter()
  let flowsEvicted = Counter()
  let denied = Counter()
  let unreachable = Counter()
  let toHost = Counter()
  let toGuest = Counter()
  let droppedToHost = Counter()
  let droppedToGuest = Counter()
  let tooLarge = Counter()
  let sendCalls = Counter()
  let receiveCalls = Counter()
  let namesAnswered = Counter()
  let resolverChanges = Counter()
  let open = Gauge()
}

/// What was done for datagrams of the guest's, and what there is.
public struct DatagramStatistics: Sendable, Hashable {
  /// Flows that may be carried at once.
  public var limit = 0
  /// Flows that are carried now.
  public var open: UInt64 = 0
  /// Flows that began.
  public var flowsOpened: UInt64 = 0
  /// Flows that ended because nothing passed.
  public var flowsExpired: UInt64 = 0
  /// Flows that gave way to newer ones.
  public var flowsEvicted: UInt64 = 0
  /// Datagrams that no rule allows, or that went nowhere.
  public var denied: UInt64 = 0
  /// Times that the guest was told that nobody is there.
  public var unreachable: UInt64 = 0
  /// Datagrams that the host's sockets took.
  public var toHost: UInt64 = 0
  /// Datagrams that the guest was sent.
  public var toGuest: UInt64 = 0
  /// Datagrams that a host's socket did not take.
  public var droppedToHost: UInt64 = 0
  /// Of these, those that are larger than their path to the outside carries, and may not be cut: the guest was told.
  public var tooLarge: UInt64 = 0
  /// Datagrams that were too large for the guest's link.
  public var droppedToGuest: UInt64 = 0
  /// System calls that sent ``toHost``, and what was lost.
  public var sendCalls: UInt64 = 0
  /// System calls that took ``toGuest``, and those that found nothing.
  public var receiveCalls: UInt64 = 0
  /// Questions about names that were answered here.
  public var namesAnswered: UInt64 = 0
  /// Times that the host's resolvers became others.
  public var resolverChanges: UInt64 = 0

  /// Of no datagrams.
  public init() {}

  init(_ counters: DatagramCounters, limit: Int) {
    self.limit = limit
    open = counters.open.value
    flowsOpened = counters.flowsOpened.value
    flowsExpired = counters.flowsExpired.value
    flowsEvicted = counters.flowsEvicted.value
    denied = counters.denied.value
    unreachable = counters.unreachable.value
    toHost = counters.toHost.value
    toGuest = counters.toGuest.value
    droppedToHost = counters.droppedToHost.value
    droppedToGuest = counters.droppedToGuest.value
    tooLarge = counters.tooLarge.value
    sendCalls = counters.sendCalls.value
    receiveCalls = counters.receiveCalls.value
    namesAnswered = counters.namesAnswered.value
    resolverChanges = counters.resolverChanges.value
  }
}
