import Buffers
import Exclusion
import Internet
import TCP
import Wire

/// Where the engine's output goes while the owner runs it: segments are built into packets and wait here
/// until the engine has returned; payload goes to the reader at once.
struct ConnectionSink: TCPSink, ~Copyable {
  let connection: ConnectionRef
  let pool: PacketPoolRef
  let sockets: SocketContextRef
  var outgoing = PacketQueue()
  /// Bytes that were thrown away because nobody reads.
  var discarded = 0

  init(_ connection: ConnectionRef, pool: PacketPoolRef, sockets: SocketContextRef) {
    self.connection = connection
    self.pool = pool
    self.sockets = sockets
  }

  mutating func send(_ segment: borrowing TCPOutgoing) {
    let allocated = segment.payloadCount == 0 ? pool.allocateReserve() : pool.allocate()
    guard var packet = allocated else {
      sockets.counters.segmentsWithoutBuffer.increment()
      return
    }
    let key = unsafe connection.shared.pointee.key
    let header = TCPHeader(
      sourcePort: key.localPort, destinationPort: key.remotePort, sequence: segment.sequence,
      acknowledgment: segment.acknowledgment, flags: segment.flags, window: segment.window,
      options: segment.options)
    if segment.payloadCount > 0 {
      packet.append(segment.payloadCount)
      unsafe connection.owned.pointee.sendChain.copy(
        offset: segment.payloadOffset, count: segment.payloadCount, into: packet.dataAddress)
    }
    SegmentBuilder.finish(header, from: key.localAddress, to: key.remoteAddress, into: &packet)
    sockets.counters.segmentsSent.increment()
    if segment.isRetransmission { sockets.counters.segmentsRetransmitted.increment() }
    outgoing.append(packet)
  }

  mutating func deliver(_ payload: consuming Packet) {
    let shared = unsafe connection.shared
    let bytes = UInt64(payload.count)
    if unsafe connection.owned.pointee.isOrphan || connection.status.contains(.receiveShutdown) {
      sockets.counters.bytesDiscarded.increment(by: bytes)
      discarded += Int(bytes)
      _ = consume payload
      return
    }
    // The list first, the count after it: who sees the count finds the packets.
    unsafe _ = shared.pointee.received.post(payload.intoItem(), limit: Mailbox.maximumCount)
    unsafe shared.pointee.slotsProduced.store(shared.pointee.slotsProduced.loadRelaxed() &+ 1)
    unsafe shared.pointee.produced.store(shared.pointee.produced.loadRelaxed() &+ bytes)
  }
}

/// Writes TCP headers into packets, with the checksum.
enum SegmentBuilder {
  /// The header in front of what the packet holds already.
  static func finish(
    _ header: TCPHeader, from source: IPAddress, to destination: IPAddress, into packet: inout Packet
  ) {
    packet.prepend(header.byteCount)
    var bytes = packet.mutableBytes
    header.emit(into: &bytes)
    InternetChecksum.seal(
      &bytes, at: TCPHeader.checksumOffset, source: source, destination: destination, protocol: .tcp)
  }
}
