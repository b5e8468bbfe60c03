import Buffers
import Devices
import Exclusion
import Timing
import Wire

/// A link with very many clients behind it, of which nothing is kept: each opens a connection, acknowledges what it is
/// told to, and closes it when it is asked. What they say follows from what they hear, so that only the stack under
/// measure has any memory of them. Their segments carry a segment size, a window scale and SACK, no time stamps.
@safe
final class PeerDevice: Device, @unchecked Sendable {  // touched by the thread that steps the stack alone
  let name = "peers0"
  let mtu = 1500
  let linkLayer = LinkLayer.ip
  let queueCount = 1
  private let queueCounters = DeviceCounters()
  private let server: IPv4Address
  private var signal: ReceiveSignalRef?
  /// What the clients say next, oldest first from `next` on.
  private var outgoing: [Segment] = []
  private var next = 0
  private var sent = PacketQueue()

  private struct Segment {
    var client: Int
    var sequence: SequenceNumber
    var acknowledgment: SequenceNumber
    var flags: TCPFlags
  }

  /// Clients of `server`, whose port they ask for is 7.
  init(server: IPv4Address) { self.server = server }

  private static var portsOfClient: Int { 50_000 }
  private static var firstPort: Int { 1024 }
  private static var firstAddress: UInt32 { 0x0A80_0001 }
  private static var initialSequence: SequenceNumber { SequenceNumber(1000) }

  static func port(of client: Int) -> UInt16 { UInt16(firstPort + client % portsOfClient) }
  static func address(of client: Int) -> IPv4Address {
    IPv4Address(firstAddress &+ UInt32(client / portsOfClient))
  }
  private static func client(_ address: IPv4Address, _ port: UInt16) -> Int {
    Int(address.rawValue &- firstAddress) * portsOfClient + Int(port) - firstPort
  }

  /// Begins a connection.
  func open(_ client: Int) {
    say(
      Segment(
        client: client, sequence: Self.initialSequence, acknowledgment: SequenceNumber(0), flags: .syn))
  }
  /// Ends one that was begun, on which the server has sent nothing. `acknowledgment` is what `answered` told.
  func close(_ client: Int, _ acknowledgment: SequenceNumber) {
    say(
      Segment(
        client: client, sequence: Self.initialSequence + 1, acknowledgment: acknowledgment,
        flags: [.fin, .ack]))
  }
  /// Of the last client whose connection was completed: what it has acknowledged.
  private(set) var answered = SequenceNumber(0)

  private func say(_ segment: Segment) {
    outgoing.append(segment)
    signal?.raise()
  }

  // MARK: Device

  func counters(queue: Int) -> DeviceCounters { queueCounters }
  func descriptor(queue: Int) -> Int32? { nil }
  func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) { signal = receive }

  func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    for _ in 0..<limit {
      guard next < outgoing.count else {
        outgoing.removeAll(keepingCapacity: true)
        next = 0
        return .drained
      }
      guard var packet = pool.allocate() else { return .more }
      write(outgoing[next], into: &packet)
      next += 1
      packet.metadata.arrival = now
      queueCounters.framesReceived.increment()
      batch.append(packet)
    }
    return .more
  }

  func send(_ packet: consuming Packet, queue: Int) -> Packet? {
    hear(packet.bytes)
    sent.append(packet)
    return nil
  }
  func flush(queue: Int) {}
  func complete(queue: Int, into completed: inout PacketQueue) {
    completed.append(contentsOf: sent.takeAll())
  }

  // MARK: Segments

  /// A SYN that answers is acknowledged, and so is a FIN. What is no segment of TCP is not for these peers.
  private func hear(_ bytes: RawSpan) {
    guard let view = try? IPv4View(bytes), let segment = try? TCPView(view.payload) else { return }
    let flags = segment.flags
    guard flags.contains(.syn) || flags.contains(.fin) else { return }
    let acknowledgment = segment.sequence + 1
    if flags.contains(.syn) { answered = acknowledgment }
    say(
      Segment(
        client: Self.client(view.destination, segment.destinationPort), sequence: segment.acknowledgment,
        acknowledgment: acknowledgment, flags: .ack))
  }

  private func write(_ segment: Segment, into packet: inout Packet) {
    var options = TCPOptions()
    if segment.flags.contains(.syn) {
      options.mss = 1460
      options.windowScale = 7
      options.sackPermitted = true
    }
    let source = Self.address(of: segment.client)
    let header = TCPHeader(
      sourcePort: Self.port(of: segment.client), destinationPort: 7, sequence: segment.sequence,
      acknowledgment: segment.acknowledgment, flags: segment.flags, window: 65_535, options: options)
    packet.append(header.byteCount)
    var span = packet.mutableBytes
    header.emit(into: &span)
    InternetChecksum.seal(
      &span, at: TCPHeader.checksumOffset, source: IPAddress(source), destination: IPAddress(server),
      protocol: .tcp)
    let internet = IPv4Header(
      source: source, destination: server, protocol: .tcp, payloadByteCount: header.byteCount)
    packet.prepend(internet.byteCount)
    var whole = packet.mutableBytes
    internet.emit(into: &whole)
  }
}
