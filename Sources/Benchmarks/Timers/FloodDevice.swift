import Buffers
import Devices
import Exclusion
import Timing
import Wire

/// A link that always has another datagram for us, as fast as a context can take them: a receiver is never done
/// with it. What is sent there is gone.
@safe
final class FloodDevice: Device, @unchecked Sendable {  // one context receives; `isFlooding` is a hint
  let name = "flood0"
  let mtu = 1500
  let linkLayer = LinkLayer.ip
  let queueCount = 1
  private let queueCounters = DeviceCounters()
  private let template: [UInt8]
  private let flooding = AtomicWord(0)
  private let receiver = Receiver()
  private let sent = Sent()

  private final class Receiver: @unchecked Sendable {  // written while the stack is assembled
    var signal: ReceiveSignalRef?
  }
  private final class Sent: @unchecked Sendable {  // the owner of the queue's gate
    var packets = PacketQueue()
  }

  /// Datagrams of 512 bytes from `source` to `destination`.
  init(from source: SocketAddress, to destination: SocketAddress) {
    template = Self.datagram(from: source, to: destination, payload: 512)
  }

  /// Begins, once the stack runs.
  func begin() {
    flooding.store(1)
    receiver.signal?.raise()
  }
  /// Ends: the context finds the link empty.
  func end() { flooding.store(0) }

  func counters(queue: Int) -> DeviceCounters { queueCounters }
  func descriptor(queue: Int) -> Int32? { nil }
  func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) { receiver.signal = receive }

  func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    guard flooding.load() == 1 else { return .drained }
    for _ in 0..<limit {
      guard var packet = pool.allocate() else {
        queueCounters.receiveOutOfBuffers.increment()
        queueCounters.receiveDrops.increment()
        continue
      }
      packet.append(template.count)
      unsafe packet.withUnsafeMutableBytes { unsafe $0.copyBytes(from: template) }
      packet.metadata.arrival = now
      queueCounters.framesReceived.increment()
      batch.append(packet)
    }
    return .more
  }
  func send(_ packet: consuming Packet, queue: Int) -> Packet? {
    sent.packets.append(packet)
    return nil
  }
  func flush(queue: Int) {}
  func complete(queue: Int, into completed: inout PacketQueue) {
    completed.append(contentsOf: sent.packets.takeAll())
  }

  private static func datagram(
    from source: SocketAddress, to destination: SocketAddress, payload: Int
  ) -> [UInt8] {
    let total = 28 + payload
    var bytes = [UInt8](repeating: 0x5A, count: total)
    guard let from = source.address.ipv4, let to = destination.address.ipv4 else { return [] }
    let head: [UInt8] =
      [0x45, 0, UInt8(total >> 8), UInt8(total & 255), 0, 0, 0x40, 0, 64, 17, 0, 0]
      + octets(from.rawValue) + octets(to.rawValue)
    bytes.replaceSubrange(0..<20, with: head)
    var sum = stride(from: 0, to: 20, by: 2).reduce(UInt32(0)) {
      $0 + UInt32(bytes[$1]) << 8 + UInt32(bytes[$1 + 1])
    }
    sum = (sum & 0xFFFF) + sum >> 16
    sum = (sum & 0xFFFF) + sum >> 16
    bytes[10] = UInt8(truncatingIfNeeded: ~sum >> 8)
    bytes[11] = UInt8(truncatingIfNeeded: ~sum)
    // UDP, without a checksum (RFC 768).
    let ports = UInt32(source.port) << 16 | UInt32(destination.port)
    bytes.replaceSubrange(
      20..<28, with: octets(ports) + [UInt8((8 + payload) >> 8), UInt8((8 + payload) & 255), 0, 0])
    return bytes
  }
  private static func octets(_ word: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: word >> UInt32($0)) }
  }
}
