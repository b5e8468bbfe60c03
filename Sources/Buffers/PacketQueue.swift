public import Exclusion

/// Packets in order, linked through their slots: any length, no allocation, every operation in constant time.
/// Private to whoever holds it; dropping it drops its packets.
@frozen public struct PacketQueue: ~Copyable, Sendable {
  @usableFromInline var items = ItemList()
  @usableFromInline var bytes = 0

  /// An empty queue.
  @inlinable public init() {}
  @inlinable deinit { if !items.isEmpty { Self.drop(items.first) } }
  @usableFromInline @inline(never) static func drop(_ first: ItemRef?) {
    var next = first
    while let item = next {
      next = item.next
      _ = Packet(item: item)
    }
  }

  /// How many packets.
  @inlinable public var count: Int { items.count }
  /// Bytes of all packets, attached ones included.
  @inlinable public var byteCount: Int { bytes }
  /// Whether there is none.
  @inlinable public var isEmpty: Bool { items.isEmpty }

  /// Adds a packet at the end.
  @inlinable @inline(__always) public mutating func append(_ packet: consuming Packet) {
    bytes &+= packet.totalCount
    items.append(packet.intoItem())
  }
  /// Puts a packet back in front: what a device did not take is sent first the next time (TX-BUSY).
  public mutating func prepend(_ packet: consuming Packet) {
    bytes &+= packet.totalCount
    items.prepend(packet.intoItem())
  }
  /// Takes the oldest packet.
  @inlinable @inline(__always) public mutating func popFirst() -> Packet? {
    guard let item = items.popFirst() else { return nil }
    let packet = Packet(item: item)
    bytes &-= packet.totalCount
    return packet
  }
  /// Adds all packets of `other`, in their order.
  public mutating func append(contentsOf other: consuming PacketQueue) {
    bytes &+= other.bytes
    var rest = ItemList()
    swap(&rest, &other.items)
    other.bytes = 0
    items.append(contentsOf: rest)
  }
  /// Takes all packets, and leaves the queue empty.
  public mutating func takeAll() -> PacketQueue {
    var taken = PacketQueue()
    swap(&taken, &self)
    return taken
  }
  /// Drops all packets.
  public mutating func removeAll() { _ = takeAll() }

  /// Calls `body` with the oldest packet, left where it is; nil when there is none. The packet may be
  /// changed, its length too.
  public mutating func withFirst<R>(_ body: (inout Packet) -> R) -> R? {
    guard let item = items.first else { return nil }
    var packet = Packet(item: item)
    bytes &-= packet.totalCount
    let result = body(&packet)
    precondition(packet.slotItem == item, "TX-OWN: a queued packet was replaced by another")
    bytes &+= packet.totalCount
    _ = packet.intoItem()
    return result
  }
}

extension Packet {
  @inlinable var slotItem: ItemRef { unsafe ItemRef(slot) }
}
