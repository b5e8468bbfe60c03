import Buffers
import Exclusion

/// Segments of one connection that a context received in a row, within one batch: they enter the connection's gate at
/// once. It ends when a segment of another flow comes, with the batch, or when it is long.
///
/// Private to a context. The connection is kept by nothing but the context's grace section, in which a batch begins and
/// ends.
struct SegmentRun: ~Copyable {
  /// Segments at most: others who wait for the gate's owner do not wait for more.
  static var limit: Int { 64 }

  private var connection: ConnectionRef?
  private var key = FlowKey(localAddress: .anyIPv6, localPort: 0, remoteAddress: .anyIPv6, remotePort: 0)
  /// The keyed hash of the flow.
  private(set) var hash: UInt64 = 0
  private(set) var items = ItemList()

  /// Whether a segment of this flow belongs to the run.
  @inline(__always) func takes(_ key: FlowKey) -> Bool {
    !items.isEmpty && items.count < Self.limit && key == self.key
  }

  /// The hash of `key`, if it is that of the run, or of the last segment: what comes is mostly more of the same.
  @inline(__always) func knownHash(_ key: FlowKey) -> UInt64? { key == self.key ? hash : nil }

  /// There is no run now, and what comes next is likely of this flow: its hash need not be made again.
  @inline(__always) mutating func foresee(_ key: FlowKey, _ hash: UInt64) {
    guard items.isEmpty else { return }
    self.key = key
    self.hash = hash
  }

  /// The first one is about to be added.
  mutating func begin(_ connection: ConnectionRef, _ key: FlowKey, _ hash: UInt64) {
    self.connection = connection
    self.key = key
    self.hash = hash
  }
  @inline(__always) mutating func append(_ packet: consuming Packet) { items.append(packet.intoItem()) }

  /// Moves everything to `list`, which is empty, and says whose it is; nil: there is nothing.
  mutating func end(_ list: inout ItemList) -> (ConnectionRef, FlowKey, UInt64)? {
    guard let connection = connection.take() else { return nil }
    swap(&list, &items)
    return (connection, key, hash)
  }

  deinit {
    var next = items.first
    while let item = next {
      next = item.next
      _ = Packet(item: item)
    }
  }
}
