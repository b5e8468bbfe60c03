public import Buffers
import CLinux
public import Devices
public import Exclusion
import Glibc
public import Timing
import Wire

/// A serial line that carries IP packets by SLIP (RFC 1055): a terminal, or one end of a pseudo-terminal. Served at
/// the serial level, which is the network's equal.
///
/// A line has no borders of frames and takes a part of what is written. What it did not take is kept here, and the
/// queue stands until there is room; the packet itself is done when the first byte is out. What is received is
/// damaged or too long is dropped and counted, and the next END begins anew.
/// Sendable, as all is constant but for the two sides' states, which have one owner each and share nothing.
@safe public final class SerialDevice: Device, @unchecked Sendable {
  /// The terminal's path, or its number on the other side of a pseudo-terminal.
  public let name: String
  /// The largest packet, in bytes.
  public let mtu: Int
  /// Bare packets.
  public let linkLayer = LinkLayer.ip
  /// One line.
  public let queueCount = 1
  /// It belongs to the serial level.
  public let isSerialLine = true
  /// Packets that were longer than the MTU. Written by the queue's context.
  public let oversizeDrops = Counter()
  /// Packets with an ESC before something that needs none. Written by the queue's context.
  public let damagedDrops = Counter()

  private let line: Int32
  /// The far side of a pseudo-terminal, kept open so that the line does not hang up while nobody else has it.
  private let farSide: Int32
  private let lineCounters = DeviceCounters()
  private let receiver: UnsafeMutablePointer<Receiver>
  private let sender: UnsafeMutablePointer<Sender>

  /// The MTU of RFC 1055, which hosts still expect of a SLIP link.
  public static var defaultMTU: Int { 1006 }
  /// The largest MTU.
  public static var largestMTU: Int { 1500 }
  private static var chunk: Int { 2048 }

  /// (c): context of the queue.
  private struct Receiver: ~Copyable {
    var decoder: SLIPDecoder
    var chunk = [UInt8](repeating: 0, count: SerialDevice.chunk)
    /// Bytes of the chunk that were not looked at: the limit of a call came first.
    var unread = 0..<0
  }
  /// (o): owner of the queue's gate, but for `transmit`, which attach writes before first use.
  private struct Sender: ~Copyable {
    var transmit: TransmitQueueRef?
    var completed = PacketQueue()
    /// A packet in SLIP; the line took the first `written` bytes.
    var bytes: [UInt8] = []
    var written = 0
  }

  private init(line: Int32, farSide: Int32, name: String, mtu: Int) {
    self.line = line
    self.farSide = farSide
    self.name = name
    self.mtu = mtu
    unsafe receiver = .allocate(capacity: 1)
    unsafe receiver.initialize(to: Receiver(decoder: SLIPDecoder(limit: mtu)))
    unsafe sender = .allocate(capacity: 1)
    unsafe sender.initialize(to: Sender())
    unsafe sender.pointee.bytes.reserveCapacity(SLIP.largestByteCount(packet: mtu))
  }

  deinit {
    close(line)
    if farSide >= 0 { close(farSide) }
    unsafe receiver.deinitialize(count: 1)
    unsafe receiver.deallocate()
    unsafe sender.deinitialize(count: 1)
    unsafe sender.deallocate()
  }

  // MARK: Opening

  /// Opens a terminal and makes it raw; `speed` in bits per second, as termios knows it, or nil to leave it as it
  /// is. `mtu` is 576...1500 bytes. Application context.
  public static func open(
    path: String, speed: UInt32? = nil, mtu: Int = defaultMTU
  ) throws(LinkError) -> SerialDevice {
    try check(mtu)
    let line = unsafe Glibc.open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
    guard line >= 0 else { throw .terminalRefused(path: path, errno: errno) }
    do throws(LinkError) {
      try makeRaw(line, path: path, speed: speed)
    } catch {
      close(line)
      throw error
    }
    return SerialDevice(line: line, farSide: -1, name: path, mtu: mtu)
  }

  /// Makes a pseudo-terminal: the device has one side, and whoever opens the path has the other. Application
  /// context.
  public static func pseudoTerminal(
    mtu: Int = defaultMTU
  ) throws(LinkError) -> (device: SerialDevice, path: String) {
    try check(mtu)
    let (near, far, path) = try openPair()
    return (SerialDevice(line: near, farSide: far, name: "pty:\(path)", mtu: mtu), path)
  }

  /// Two devices joined by a pseudo-terminal. Application context.
  public static func pair(
    mtu: Int = defaultMTU
  ) throws(LinkError) -> (left: SerialDevice, right: SerialDevice) {
    try check(mtu)
    let (near, far, path) = try openPair()
    return (
      SerialDevice(line: near, farSide: -1, name: "pty:\(path)", mtu: mtu),
      SerialDevice(line: far, farSide: -1, name: path, mtu: mtu)
    )
  }

  private static func check(_ mtu: Int) throws(LinkError) {
    guard 576...largestMTU ~= mtu else { throw .mtuOutOfRange(mtu, limit: largestMTU) }
  }

  private static func openPair() throws(LinkError) -> (near: Int32, far: Int32, path: String) {
    var name = [CChar](repeating: 0, count: 128)
    var far: Int32 = -1
    let near = unsafe sluice_pty_open(&far, &name, Int32(name.count))
    guard near >= 0 else { throw .terminalRefused(path: "/dev/ptmx", errno: -near) }
    let path = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    do throws(LinkError) {
      try makeRaw(far, path: path, speed: nil)
    } catch {
      close(near)
      close(far)
      throw error
    }
    return (near, far, path)
  }

  /// Eight bits, no parity, no echo, no signals, no flow control by characters: every byte passes.
  private static func makeRaw(_ line: Int32, path: String, speed: UInt32?) throws(LinkError) {
    var settings = termios()
    guard unsafe tcgetattr(line, &settings) == 0 else { throw .terminalRefused(path: path, errno: errno) }
    unsafe cfmakeraw(&settings)
    settings.c_cflag |= tcflag_t(CLOCAL | CREAD)
    if let speed, unsafe cfsetspeed(&settings, speed) != 0 {
      throw .terminalRefused(path: path, errno: errno)
    }
    guard unsafe tcsetattr(line, TCSANOW, &settings) == 0 else {
      throw .terminalRefused(path: path, errno: errno)
    }
  }

  // MARK: Device

  /// What passed the line.
  public func counters(queue: Int) -> DeviceCounters { lineCounters }
  /// Readable when bytes wait, writable when there is room.
  public func descriptor(queue: Int) -> Int32? { line }
  /// Whom to restart.
  public func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {
    unsafe sender.pointee.transmit = transmit
  }

  /// Takes packets; the queue's context.
  public func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    var found = 0
    while true {
      while unsafe !receiver.pointee.unread.isEmpty {
        guard found < limit else { return .more }
        let place = unsafe receiver.pointee.unread.lowerBound
        unsafe receiver.pointee.unread = place + 1..<receiver.pointee.unread.upperBound
        switch unsafe receiver.pointee.decoder.take(receiver.pointee.chunk[place]) {
        case .none: continue
        case .packet: deliver(pool, now, &batch)
        case .oversize: drop(oversizeDrops)
        case .badEscape: drop(damagedDrops)
        }
        found += 1
      }
      let count = unsafe receiver.pointee.chunk.withUnsafeMutableBytes {
        unsafe sluice_read_frame(line, $0.baseAddress, $0.count)
      }
      lineCounters.receiveCalls.increment()
      if count == -Int(EAGAIN) { return .drained }
      // Nothing at all, or EIO: the other side has hung up.
      guard count > 0 else { return .failed(count == 0 ? EIO : Int32(-count)) }
      unsafe receiver.pointee.unread = 0..<count
    }
  }

  private func deliver(_ pool: PacketPoolRef, _ now: Instant, _ batch: inout PacketQueue) {
    guard var packet = pool.allocate() else {
      lineCounters.receiveOutOfBuffers.increment()
      lineCounters.receiveDrops.increment()
      return
    }
    let count = unsafe receiver.pointee.decoder.packet.count
    packet.append(count)
    unsafe packet.withUnsafeMutableBytes { unsafe $0.copyBytes(from: receiver.pointee.decoder.packet) }
    packet.metadata.arrival = now
    lineCounters.framesReceived.increment()
    lineCounters.bytesReceived.increment(by: UInt64(count))
    batch.append(packet)
  }

  private func drop(_ reason: borrowing Counter) {
    reason.increment()
    lineCounters.receiveDrops.increment()
  }

  /// Writes the packet, or gives it back while the line has not taken the one before; the owner of the queue's gate.
  public func send(_ packet: consuming Packet, queue: Int) -> Packet? {
    guard writeRest() else { return packet }
    let count = packet.totalCount
    guard count <= mtu else {
      lineCounters.transmitDrops.increment()
      unsafe sender.pointee.completed.append(packet)
      return nil
    }
    unsafe sender.pointee.bytes.removeAll(keepingCapacity: true)
    unsafe sender.pointee.written = 0
    unsafe SLIP.encode(packet.bytes, into: &sender.pointee.bytes)
    lineCounters.framesSent.increment()
    lineCounters.bytesSent.increment(by: UInt64(count))
    unsafe sender.pointee.completed.append(packet)
    // What the line does not take now stops the queue; the packet is ours no more.
    _ = writeRest()
    return nil
  }

  /// True: nothing is left to be written. False: the queue is stopped until there is room (keeps TX-STOP).
  private func writeRest() -> Bool {
    while unsafe sender.pointee.written < sender.pointee.bytes.count {
      let result = unsafe sender.pointee.bytes.withUnsafeBytes { bytes in
        var piece = unsafe iovec(
          iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress! + sender.pointee.written),
          iov_len: bytes.count - sender.pointee.written)
        return unsafe sluice_write_frame(line, &piece, 1)
      }
      lineCounters.transmitCalls.increment()
      if result > 0 {
        unsafe sender.pointee.written += result
      } else if result == -Int(EAGAIN) {
        guard let transmit = unsafe sender.pointee.transmit else { return false }
        if transmit.stop(hasRoom: { sluice_is_writable(line) != 0 }) { return false }
      } else {
        // The line has hung up: what is left of the packet is lost, as on a cable that is unplugged.
        lineCounters.transmitDrops.increment()
        unsafe sender.pointee.written = sender.pointee.bytes.count
      }
    }
    return true
  }

  /// Nothing is put off.
  public func flush(queue: Int) {}
  /// Writes the rest of the last packet, which may have nothing behind it that would (TX-RECLAIM), and yields what
  /// has been copied; the owner of its gate.
  public func complete(queue: Int, into completed: inout PacketQueue) {
    _ = writeRest()
    if unsafe sender.pointee.completed.isEmpty { return }
    unsafe completed.append(contentsOf: sender.pointee.completed.takeAll())
  }
}
