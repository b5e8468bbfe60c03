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

/// Who sees to it that a driver's sending side is not entered twice at once. The stack waits for none of them.
public enum TransmitSerialization: Sendable, Hashable {
  /// The gate of the queue: the driver is called by its owner, one at a time, and needs nothing of its own.
  case gate
  /// The driver, by a lock that it shares with whatever else touches its hardware, a ``DriverLock``. It is called by
  /// the gate's owner too, and may give a packet back because its lock is taken. The packet is deferred, and tried
  /// again when the holder lets go, by a posted bit: neither is spun on. A driver's lock is no lock of the stack's;
  /// it is tried in soft-interrupt context and never waited for.
  case driver
  /// Nobody: any number of contexts call `send` at once, past the gate, as long as none of a context's packets are
  /// deferred. Space is claimed by one compare-and-swap. `flush` and `complete` are still the gate owner's. Such a
  /// driver counts frames when it completes them, as its counters have one writer.
  case lockless
}

/// When a driver is done with a packet that it took.
public enum TransmitCompletion: Sendable, Hashable {
  /// When `send` returns: it has copied the packet, or passed it to another owner. Nothing is in flight, so byte
  /// limits have nothing to limit and are not kept; the link pushes back by its own queue alone. TAP, packet
  /// sockets, loopback and link pairs are so.
  case atOnce
  /// Later: the device reads the packet until it hands it back from `complete`, in finite time, with no further
  /// transmit (TX-RECLAIM), and says so by ``TransmitQueueRef/roomAppeared()``. Byte limits apply.
  case later
}

/// Work that a device takes over from the stack for the packets that it sends, in the terms of ``PacketOffload``. What it
/// does not take over is done before the packet reaches it.
@frozen public struct DeviceOffloads: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt8
  /// Any bits.
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// It gathers packets whose bytes lie in several pieces, at no cost worth a copy, and is done with them at once.
  @inlinable public static var gathering: DeviceOffloads { DeviceOffloads(rawValue: 1 << 0) }
  /// It completes checksums of TCP and UDP, or whoever receives the packet does without.
  @inlinable public static var checksum: DeviceOffloads { DeviceOffloads(rawValue: 1 << 1) }
  /// It takes super-segments of TCP over IPv4 (TSO4), over IPv6 (TSO6), of UDP (USO); in pieces, and with partial
  /// checksums. It comes with ``checksum``.
  @inlinable public static var tcp4: DeviceOffloads { DeviceOffloads(rawValue: 1 << 2) }
  /// See ``tcp4``.
  @inlinable public static var tcp6: DeviceOffloads { DeviceOffloads(rawValue: 1 << 3) }
  /// See ``tcp4``.
  @inlinable public static var udp: DeviceOffloads { DeviceOffloads(rawValue: 1 << 4) }

  /// What a link in memory may pass on: checksums and super-segments of TCP.
  public static let inMemory: DeviceOffloads = [.checksum, .tcp4, .tcp6]

  /// Whether it takes a packet as it is: its pieces, its partial checksum, its segments.
  @inline(__always) func cover(_ packet: borrowing Packet) -> Bool {
    let offload = packet.metadata.offload
    if packet.pieceCount == 0, !offload.needsChecksum, offload.segmentation == .none { return true }
    return coverOffload(offload, isAttached: packet.pieceCount > 0)
  }
  private func coverOffload(_ offload: PacketOffload, isAttached: Bool) -> Bool {
    if offload.needsChecksum, !contains(.checksum) { return false }
    return switch offload.segmentation {
    case .none: !isAttached || contains(.gathering)
    case .tcp4: contains(.tcp4)
    case .tcp6: contains(.tcp6)
    case .udp: contains(.udp)
    }
  }
}

/// A source and sink of frames with one or more queue pairs.
///
/// Ownership (TX-OWN): a packet is the stack's or the device's, never both, at every return. A queue is
/// served by one context; `flush` and `complete` are called only by the owner of the queue's gate
/// (``TransmitQueue``), `send` as ``transmitSerialization`` says, `receive` only by the queue's context.
/// None of these may block, wait for a lock, wake anybody or free a packet (X3): completed packets are handed back.
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
  /// Who keeps senders apart; the gate unless the driver says otherwise. Constant.
  var transmitSerialization: TransmitSerialization { get }
  /// When sent packets are done; at once unless the driver says otherwise. Constant.
  var transmitCompletion: TransmitCompletion { get }
  /// What it does for the stack when it sends; nothing unless the driver says otherwise. Constant.
  var offloads: DeviceOffloads { get }
  /// Whether ``receive(queue:limit:pool:now:into:)`` finds out by a system call that nothing is left; it does not unless
  /// the driver says otherwise. Constant.
  var isEmptyByCall: Bool { get }
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
  /// Nil: the device has the packet. Otherwise it comes back unchanged, and the driver has either stopped the queue
  /// (``TransmitQueueRef/stop(hasRoom:)``) or met its own lock taken (``DriverLock``). Coming back from a running
  /// queue is a bug of the driver's, which is counted (TX-BUSY).
  func send(_ packet: consuming Packet, queue: Int) -> Packet?
  /// The same for frames in a row, all or none. True: the device has them, and `frames` is empty. False: they are as they
  /// were, and go one by one. Only to a queue that is not lockless.
  func sendAll(_ frames: inout PacketQueue, queue: Int) -> Bool
  /// Ends a batch of sends: system calls that were put off happen now.
  func flush(queue: Int)
  /// Moves packets that the device is done with to `completed`; restarts the queue if that made room.
  func complete(queue: Int, into completed: inout PacketQueue)
  /// The queue stood still with packets waiting for longer than its watchdog bears: something is lost that should
  /// have restarted it. The driver may reset its sending side; what it held comes back from `complete`. It leaves
  /// the receiving side alone: frames that have arrived are still received (C8). Owner of the queue's gate.
  func transmitTimedOut(queue: Int)
}

extension Device {
  /// Most are not.
  public var isSerialLine: Bool { false }
  /// The gate of the queue.
  public var transmitSerialization: TransmitSerialization { .gate }
  /// At once.
  public var transmitCompletion: TransmitCompletion { .atOnce }
  /// Nothing.
  public var offloads: DeviceOffloads { [] }
  /// It knows.
  public var isEmptyByCall: Bool { false }
  /// One by one.
  public func sendAll(_ frames: inout PacketQueue, queue: Int) -> Bool { false }
  /// Nothing that this driver could do about it.
  public func transmitTimedOut(queue: Int) {}
}
