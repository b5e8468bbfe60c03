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
  /// What of the connection's credit is left, and what this run has used of it, in bytes of memory.
  let allowance: Int
  var charge = 0
  /// The engine had more to send than that.
  var isHeld = false
  /// Bytes that were thrown away because nobody reads.
  var discarded = 0
  /// Memory that was admitted and not delivered, in bytes.
  var admitted = 0

  init(_ connection: ConnectionRef, pool: PacketPoolRef, sockets: SocketContextRef) {
    self.connection = connection
    self.pool = pool
    self.sockets = sockets
    let limit = connection.creditLimit(sockets)
    allowance = limit == .max ? .max : limit - connection.credit.outstanding
  }

  mutating func mayTransmitText() -> Bool {
    if charge < allowance { return true }
    isHeld = true
    return false
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
      urgentPointer: segment.urgentPointer, options: segment.options)
    if segment.payloadCount > 0 {
      packet.append(segment.payloadCount)
      // The next segment lies behind this one: it is not looked for from the front.
      unsafe connection.owned.pointee.sendChain.seek(to: segment.payloadOffset)
      unsafe connection.owned.pointee.sendChain.copy(
        offset: segment.payloadOffset, count: segment.payloadCount, into: packet.dataAddress)
      packet.credit = connection.credit
      charge += packet.charge
    }
    SegmentBuilder.finish(
      header, from: key.localAddress, to: key.remoteAddress, order: sockets.optionOrder,
      unsafe connection.owned.pointee.authentication.outgoing(segment.sequence, segment.flags), into: &packet)
    sockets.counters.segmentsSent.increment()
    let marks = unsafe connection.owned.pointee.shape.marks
    let notification: CongestionNotification = segment.isCapable ? .capable0 : .notCapable
    packet.metadata.trafficClass =
      TrafficClass(dscp: marks.trafficClass.dscp, notification: notification).rawValue
    if segment.isRetransmission { sockets.counters.segmentsRetransmitted.increment() }
    outgoing.append(packet)
  }

  /// Nobody will read what arrives.
  private var isUnread: Bool {
    unsafe connection.owned.pointee.isOrphan || connection.status.contains(.receiveShutdown)
  }

  mutating func admit(_ text: borrowing Packet, isAhead: Bool) -> Bool {
    if !isAhead, isUnread { return true }  // it goes at once
    let bytes = text.occupiedBytes
    guard connection.admit(bytes, beside: admitted, isAhead: isAhead, pool: pool, sockets) else {
      return false
    }
    admitted += bytes
    return true
  }

  mutating func released(_ packets: Int, bytes: Int, _ reason: TCPRelease) {
    switch reason {
    case .collapsed: sockets.counters.slotsCollapsed.increment(by: UInt64(packets))
    case .pruned:
      sockets.counters.slotsPruned.increment(by: UInt64(packets))
      // At once: it makes the room that was missing.
      unsafe connection.shared.pointee.reassemblyOccupied.subtract(UInt64(bytes))
      sockets.memory.give(bytes, .reassembly)
    }
  }

  mutating func deliver(_ payload: consuming Packet) {
    if isUnread {
      let bytes = payload.totalCount
      sockets.counters.bytesDiscarded.increment(by: UInt64(bytes))
      discarded += bytes
      _ = consume payload
      return
    }
    let occupied = payload.occupiedBytes
    switch unsafe connection.shared.pointee.received.append(payload, &connection.owned.pointee.receiveEnd) {
    case .posted: admitted -= occupied
    case .postedInPlace(let freed):
      admitted -= occupied
      sockets.memory.give(freed, .receive)
    case .collapsed: sockets.counters.slotsCollapsed.increment()
    }
  }
}

/// Writes TCP headers into packets, with the checksum.
enum SegmentBuilder {
  /// The header in front of what the packet holds already, which is authenticated as `protection` says.
  static func finish(
    _ header: TCPHeader, from source: IPAddress, to destination: IPAddress, order: TCPOptionOrder = .linux,
    _ protection: SegmentProtection = .none, into packet: inout Packet
  ) {
    switch protection {
    case .none: break
    case .digest(let secret): return finishSigned(header, source, destination, order, secret, into: &packet)
    case .code(let code): return finishCoded(header, source, destination, order, code, into: &packet)
    }
    packet.prepend(header.byteCount)
    var bytes = packet.mutableBytes
    header.emit(into: &bytes, order: order)
    InternetChecksum.seal(
      &bytes, at: TCPHeader.checksumOffset, source: source, destination: destination, protocol: .tcp)
  }
}
