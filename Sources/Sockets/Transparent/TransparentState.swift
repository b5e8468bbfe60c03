// What a stack needs that ends its neighbours' connections to addresses which are nobody's here (Linux's IP_TRANSPARENT
// and TPROXY, a gateway's forwarder): a list of SYNs that wait for a verdict, and who hears of datagrams.

import Exclusion
import Wire

/// How a ``SocketLayer`` treats what is for addresses that it does not have, and for ports of its own that nobody
/// listens on. Its interfaces have to accept foreign destinations.
public struct TransparentConfiguration: Sendable, Hashable {
  /// SYNs that may wait for a verdict at a time, 1...65,536; each holds its packet. Those beyond are dropped, and come
  /// again.
  public var requestLimit: Int

  /// A limit, or the usual one.
  public init(requestLimit: Int = 1024) { self.requestLimit = requestLimit }
}

/// Key: (c) constant, (a) atomic.
@safe
struct TransparentState: ~Copyable {
  /// (c)
  let requestLimit: Int
  /// (a) SYNs that were posted and not yet taken.
  let requests = Mailbox()
  /// (a) SYNs that wait for a verdict, wherever they are; never more than `requestLimit`.
  let held = AtomicWord(0)
  /// (a) Who takes requests waits here.
  let reader: UnsafeMutablePointer<WaitPair>
  /// (a) The datagram socket that hears what is for others, as an address; 0: none.
  let datagrams = AtomicWord(0)
  /// (a) The same for echo requests.
  let echoes = AtomicWord(0)

  init(_ configuration: TransparentConfiguration) {
    requestLimit = min(max(configuration.requestLimit, 1), 65_536)
    unsafe reader = .allocate(capacity: 1)
    unsafe reader.initialize(to: WaitPair())
  }
  deinit {
    unsafe reader.deinitialize(count: 1)
    unsafe reader.deallocate()
  }

  /// A place among those that wait.
  func takePlace() -> Bool {
    var seen = held.load()
    while seen < UInt64(requestLimit) {
      if held.compareExchange(&seen, seen + 1) { return true }
    }
    return false
  }
}

/// The SYNs of one context that wait for a verdict. Plain data, (o) the context's alone: a flow is at home in one.
struct HeldSyns {
  /// One of them.
  struct Entry {
    /// Which of the SYNs that this flow ever had.
    var number: UInt32
    /// Its sequence number, IRS.
    var initialReceive: SequenceNumber
    /// The connection that the verdict made, with a reference, until the connection table has it. What arrives
    /// meanwhile is the connection's (AQ-DUP).
    var child: ConnectionRef?
  }
  private var entries: [FlowKey: Entry] = [:]
  private var numbers: UInt32 = 0

  /// Of a flow.
  func find(_ key: FlowKey) -> Entry? { entries[key] }
  /// Keeps a SYN, and numbers it.
  mutating func keep(_ key: FlowKey, _ initialReceive: SequenceNumber) -> UInt32 {
    numbers &+= 1
    entries[key] = Entry(number: numbers, initialReceive: initialReceive)
    return numbers
  }
  /// Its connection has begun.
  mutating func pass(_ key: FlowKey, to child: ConnectionRef) { entries[key]?.child = child }
  mutating func forget(_ key: FlowKey) { entries[key] = nil }
}
