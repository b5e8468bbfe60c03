// The contract between the stack and whatever carries its frames (DESIGN section 5, PROTOCOLS 4).

public import Buffers
public import Timing
public import Wire

/// What precedes a packet on a device's link.
public enum LinkLayer: Sendable, Equatable {
  /// Ethernet II frames, with this station address.
  case ethernet(MACAddress)
  /// Bare IP packets: TUN and loopback.
  case ip
}

/// How a receive call ended.
public enum ReceiveOutcome: Sendable, Equatable {
  /// Nothing is left; the device tells when there is more.
  case drained
  /// The limit was reached; call again.
  case more
  /// The device failed with this errno; it will deliver nothing more.
  case failed(Int32)
}

/// A source and sink of frames with one or more queue pairs.
///
/// Ownership (TX-OWN): a packet is the stack's or the device's, never both, at every return. A queue is
/// served by one context; `send`, `flush` and `complete` are called only by the owner of the queue's
/// gate (``TransmitQueue``), `receive` only by the queue's context, so a driver needs no lock.
/// None of these may block, wake anybody or free a packet (X3): completed packets are handed back.
public protocol Device: AnyObject, Sendable {
  /// The name that users see, as `ip link` prints it.
  var name: String { get }
  /// The largest packet that the link carries, in bytes, without the link header.
  var mtu: Int { get }
  /// The kind of link.
  var linkLayer: LinkLayer { get }
  /// The number of queue pairs, at least 1.
  var queueCount: Int { get }
  /// Whether it is a serial line, which contexts serve at their serial level.
  var isSerialLine: Bool { get }
  /// What went through each queue.
  func counters(queue: Int) -> DeviceCounters

  /// The descriptor whose readiness means receive work (and, while stopped, transmit space), or nil for
  /// a device in memory, which raises the attached ``ReceiveSignal`` instead.
  func descriptor(queue: Int) -> Int32?
  /// Called once before the first use of the queue: whom to tell.
  func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef)

  /// Takes at most `limit` frames into packets of `pool`, stamped `now`, and appends them to `batch`. A frame
  /// for which the pool has no packet is taken off the link, dropped and counted: the ring goes on (R8), and
  /// a stack short of memory does not spin on a readable descriptor.
  func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome
  /// Nil: the device has the packet. Otherwise it comes back, and the queue is stopped (TX-BUSY).
  func send(_ packet: consuming Packet, queue: Int) -> Packet?
  /// Ends a batch of sends: system calls that were put off happen now.
  func flush(queue: Int)
  /// Moves packets that the device is done with to `completed`; restarts the queue if that made room.
  func complete(queue: Int, into completed: inout PacketQueue)
}

extension Device {
  /// Most are not.
  public var isSerialLine: Bool { false }
}
