import Buffers
import Devices
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
  /// What this run has used of the connection's credit, in bytes of memory.
  var charge = 0
  /// What was left of it when this run began to send text; most runs do not.
  private var knownAllowance: Int?
  /// The same once super-segments are cut that the device does not take.
  private var used = 0
  /// What the device does by which its segments leave; nothing for those whose bytes are authenticated, or go in UDP.
  let offloads: DeviceOffloads
  /// They are not, and go in IP.
  let isPlain: Bool
  /// A segment may be larger than a packet's slot.
  private let hasLargeSegments: Bool
  /// The engine had more to send than that.
  var isHeld = false
  /// Bytes that were thrown away because nobody reads.
  var discarded = 0
  /// Memory that was admitted and not delivered, in bytes.
  var admitted = 0
  /// What of it no segment has been given yet.
  private var admittedAhead = 0
  /// What the reader gets next, once others are behind it.
  private var row = FullPackets()
  /// Whether the pool runs low, once it was asked in this run.
  private var isPoolLow: Bool?

  init(_ connection: ConnectionRef, pool: PacketPoolRef, sockets: SocketContextRef) {
    self.connection = connection
    self.pool = pool
    self.sockets = sockets
    isPlain =
      unsafe connection.owned.pointee.isPlain
      || connection.owned.pointee.authentication.isNone && connection.shared.pointee.key.encapsulation == 0
    offloads = isPlain ? unsafe connection.owned.pointee.offloads : []
    hasLargeSegments = unsafe connection.owned.pointee.engine.configuration.maximumSegment > Self.slotText
  }
  private mutating func allowance() -> Int {
    if let knownAllowance { return knownAllowance }
    let limit = connection.creditLimit(sockets)
    let left = limit == .max ? .max : limit - connection.credit.outstanding
    knownAllowance = left
    return left
  }

  mutating func mayTransmitText() -> Bool { mayTransmitText(beside: 0) }
  /// A super-segment that the device takes goes whole; what is cut counts as the segments that it is.
  mutating func mayTransmitText(beside segments: Int) -> Bool {
    if segments > 0, takesJoined { return true }
    // With nothing out there is room, whatever the limit.
    if knownAllowance == nil, segments == 0, used == 0, connection.credit.outstanding == 0 { return true }
    if used + segments * Packet.occupied < allowance() { return true }
    isHeld = true
    return false
  }
  mutating func mayTransmitText(_ number: Int, beside segments: Int) -> Int {
    if segments > 0, takesJoined { return number }
    let left = allowance()
    if left == .max { return number }
    // Those for which less is out, with the ones before them, than may be.
    let most = (left - used - 1) / Packet.occupied + 1 - segments
    return left > used ? max(0, min(number, most)) : 0
  }
  private var takesJoined: Bool {
    unsafe offloads.contains(connection.shared.pointee.key.remoteAddress.isIPv4 ? .tcp4 : .tcp6)
  }

  /// Where the device does not take super-segments they are cut on the way to its queue, into what lies in slots: what is
  /// done for a segment here, and down to there, is done once for all of them.
  var joinedTextLimit: Int { isPlain && (takesJoined || !hasLargeSegments) ? Self.joinedLimit : 0 }
  /// Payload that lies in a slot whatever its headers.
  private static var slotText: Int { Packet.capacity - Packet.headroomDefault }
  /// What a packet of either family carries beside the longest headers.
  private static var joinedLimit: Int { 65_535 - IPv6Header.byteCount - TCPHeader.maximumByteCount }
  /// Copying less costs less than another piece.
  static var worthAttaching: Int { 512 }

  mutating func send(_ segment: borrowing TCPOutgoing) {
    if segment.segmentSize > 0 { return sendJoined(segment) }
    if segment.payloadCount > Self.slotText { return sendLarge(segment) }
    let allocated = segment.payloadCount == 0 ? pool.allocateReserve() : pool.allocate()
    guard var packet = allocated else {
      sockets.counters.segmentsWithoutBuffer.increment()
      return
    }
    if segment.payloadCount > 0 {
      fill(&packet, from: segment.payloadOffset, count: segment.payloadCount)
    }
    finish(packet, segment, at: 0, count: segment.payloadCount)
  }

  mutating func sendPlain(_ header: TCPGlance, payloadOffset: Int, payloadCount count: Int) {
    guard count < Self.worthAttaching, unsafe connection.owned.pointee.isPlain else {
      return sendUnusual(header, payloadOffset, count)
    }
    guard var packet = count == 0 ? pool.allocateReserve() : pool.allocate() else {
      sockets.counters.segmentsWithoutBuffer.increment()
      return
    }
    // On no account: while it is out nothing else of the connection's is sent that is new.
    if count > 0 { copy(from: payloadOffset, count: count, to: &packet) }
    let key = unsafe connection.shared.pointee.key
    SegmentBuilder.finish(header, key, leavesChecksum: offloads.contains(.checksum), into: &packet)
    sockets.counters.segmentsSent.increment()
    let dscp = unsafe connection.owned.pointee.shape.marks.trafficClass.dscp
    packet.metadata.trafficClass = TrafficClass(dscp: dscp, notification: .notCapable).rawValue
    outgoing.append(packet)
  }
  @inline(never) private mutating func sendUnusual(_ header: TCPGlance, _ offset: Int, _ count: Int) {
    var segment = TCPOutgoing(
      sequence: header.sequence, acknowledgment: header.acknowledgment, flags: header.flags,
      window: header.window, payloadOffset: offset, payloadCount: count)
    if header.hasTimestamps { segment.options.timestamps = header.timestamps }
    send(segment)
  }

  /// A super-segment: one packet, or more where the payload lies in too many pieces for one. They end where segments
  /// end.
  private mutating func sendJoined(_ segment: borrowing TCPOutgoing) {
    let (size, total) = (segment.segmentSize, segment.payloadCount)
    var at = 0
    while at < total {
      guard var packet = pool.allocate() else {
        // The rest is lost, as on a network.
        sockets.counters.segmentsWithoutBuffer.increment(by: UInt64((total - at + size - 1) / size))
        return
      }
      var count = unsafe packet.attach(
        &connection.owned.pointee.sendChain, offset: segment.payloadOffset + at, count: total - at)
      if count < total - at {
        packet.trimBack(count % size)
        count -= count % size
      }
      if count == 0 {
        count = min(size, total - at, packet.tailroom)
        copy(from: segment.payloadOffset + at, count: count, to: &packet)
      }
      finish(packet, segment, at: at, count: count)
      at += count
    }
  }

  /// A segment that does not fit into a slot: attached. Where its payload lies in too many pieces, or is authenticated,
  /// it leaves as several smaller ones.
  private mutating func sendLarge(_ segment: borrowing TCPOutgoing) {
    let total = segment.payloadCount
    var at = 0
    while at < total {
      guard var packet = pool.allocate() else {
        sockets.counters.segmentsWithoutBuffer.increment()
        return
      }
      var count = 0
      if isPlain {
        count = unsafe packet.attach(
          &connection.owned.pointee.sendChain, offset: segment.payloadOffset + at, count: total - at)
      }
      if count == 0 {
        count = min(total - at, packet.tailroom)
        copy(from: segment.payloadOffset + at, count: count, to: &packet)
      }
      finish(packet, segment, at: at, count: count)
      at += count
    }
  }

  /// The payload of one segment: attached where the device gathers, else copied.
  private func fill(_ packet: inout Packet, from offset: Int, count: Int) {
    if offloads.isSuperset(of: [.gathering, .checksum]), count >= Self.worthAttaching {
      let attached = unsafe packet.attach(
        &connection.owned.pointee.sendChain, offset: offset, count: count)
      if attached == count { return }
      packet.trimBack(attached)
    }
    copy(from: offset, count: count, to: &packet)
  }
  private func copy(from offset: Int, count: Int, to packet: inout Packet) {
    packet.append(count)
    // The next segment lies behind this one: it is not looked for from the front.
    if offset > 0 { unsafe connection.owned.pointee.sendChain.seek(to: offset) }
    unsafe connection.owned.pointee.sendChain.copy(offset: offset, count: count, into: packet.dataAddress)
  }

  /// Puts the header in front of `count` bytes of the segment's payload, those from `at` on.
  private mutating func finish(
    _ packet: consuming Packet, _ segment: borrowing TCPOutgoing, at: Int, count: Int
  ) {
    let size = segment.segmentSize
    var flags = segment.flags
    if at + count < segment.payloadCount { flags.subtract([.psh, .fin]) }
    if at > 0 { flags.remove(.cwr) }
    let key = unsafe connection.shared.pointee.key
    let header = TCPHeader(
      sourcePort: key.localPort, destinationPort: key.remotePort, sequence: segment.sequence + at,
      acknowledgment: segment.acknowledgment, flags: flags, window: segment.window,
      urgentPointer: segment.urgentPointer, options: segment.options)
    let segments = size > 0 ? (count + size - 1) / size : 1
    if count > 0 {
      packet.credit = connection.credit
      charge += packet.charge
      used += segments > 1 && !takesJoined ? segments * Packet.occupied : packet.charge
    }
    let leavesChecksum = packet.pieceCount > 0 || offloads.contains(.checksum)
    if unsafe connection.owned.pointee.isPlain {
      SegmentBuilder.finishPlain(
        header, key.localAddress, key.remoteAddress, sockets.optionOrder, leavesChecksum: leavesChecksum,
        into: &packet)
    } else {
      SegmentBuilder.finish(
        header, from: key.localAddress, to: key.remoteAddress, order: sockets.optionOrder,
        unsafe connection.owned.pointee.authentication.outgoing(segment.sequence, flags),
        leavesChecksum: leavesChecksum, into: &packet)
    }
    if segments > 1 {
      packet.metadata.offload.segmentation = key.remoteAddress.isIPv4 ? .tcp4 : .tcp6
      packet.metadata.offload.segmentSize = UInt16(size)
      packet.metadata.offload.segmentCount = UInt16(segments)
      packet.metadata.offload.headerLength = UInt16(header.byteCount)
    }
    sockets.counters.segmentsSent.increment(by: UInt64(segments))
    let marks = unsafe connection.owned.pointee.shape.marks
    let notification: CongestionNotification = segment.isCapable ? .capable0 : .notCapable
    packet.metadata.trafficClass =
      TrafficClass(dscp: marks.trafficClass.dscp, notification: notification).rawValue
    if segment.isRetransmission { sockets.counters.segmentsRetransmitted.increment() }
    outgoing.append(packet)
  }

  var isTaken: Bool { connection.status.contains(.accepted) }

  /// Nobody will read what arrives.
  private var isUnread: Bool {
    unsafe connection.owned.pointee.isOrphan || connection.status.contains(.receiveShutdown)
  }

  mutating func admit(_ text: borrowing Packet, isAhead: Bool) -> Bool {
    if !isAhead, isUnread { return true }  // it goes at once
    let bytes = text.occupiedBytes
    if bytes <= admittedAhead {
      admittedAhead -= bytes
      return true
    }
    guard
      connection.admit(bytes, beside: admitted, isAhead: isAhead, isPoolLow: lookWhetherPoolIsLow(), sockets)
    else { return false }
    admitted += bytes
    return true
  }

  /// Memory of a packet without attached bytes was asked for, and no segment has been given it yet: the next one gets it.
  @inline(__always) var isAdmittedAhead: Bool { admittedAhead >= Packet.occupied }
  @inline(__always) mutating func takeAdmitted() { admittedAhead -= Packet.occupied }
  private mutating func lookWhetherPoolIsLow() -> Bool {
    let isLow = isPoolLow ?? pool.isLow
    isPoolLow = isLow
    return isLow
  }

  /// Asks for the memory of so many packets at once, without attached bytes. If it is not to be had each is asked for.
  mutating func admit(segments: Int) {
    let bytes = segments * Packet.occupied
    guard segments > 1, !isUnread, !pool.isLow, sockets.memory.state == .normal,
      connection.receiveOccupied + admitted + bytes <= connection.receiveMemoryLimit,
      sockets.memory.take(bytes, .receive)
    else { return }
    admitted += bytes
    admittedAhead += bytes
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

  mutating func refused(_ reason: TCPRefusal) {
    switch reason {
    case .beyondWindow: sockets.counters.segmentsBeyondWindow.increment()
    case .closedWindow: sockets.counters.segmentsAtClosedWindow.increment()
    case .noRoom: sockets.counters.receiveQueueFull.increment()
    }
  }

  /// As ``deliver(_:)``, of what others follow at once: ``deliverRow()`` comes before anything else is delivered.
  @inline(__always) mutating func deliverInRow(_ payload: consuming Packet) {
    guard unsafe connection.owned.pointee.receiveEnd.isFull(payload), !isUnread else {
      deliverRow()
      return deliver(payload)
    }
    row.append(payload)
  }
  mutating func deliverRow() {
    guard row.count > 0 else { return }
    admitted -= row.count * Packet.occupied
    unsafe connection.shared.pointee.received.append(&row, &connection.owned.pointee.receiveEnd)
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
  /// `leavesChecksum`: its checksum is left to a device; else the packet has no attached bytes.
  static func finish(
    _ header: TCPHeader, from source: IPAddress, to destination: IPAddress, order: TCPOptionOrder = .linux,
    _ protection: SegmentProtection = .none, leavesChecksum: Bool = false, into packet: inout Packet
  ) {
    switch protection {
    case .none:
      finishPlain(header, source, destination, order, leavesChecksum: leavesChecksum, into: &packet)
    case .digest(let secret): finishSigned(header, source, destination, order, secret, into: &packet)
    case .code(let code): finishCoded(header, source, destination, order, code, into: &packet)
    }
  }

  /// A header without other options than time stamps, of a connection without authentication.
  @inline(__always) static func finish(
    _ header: TCPGlance, _ key: FlowKey, leavesChecksum: Bool, into packet: inout Packet
  ) {
    var sum = InternetChecksum()
    sum.addPseudoHeader(
      source: key.localAddress, destination: key.remoteAddress, protocol: .tcp,
      byteCount: header.headerByteCount &+ packet.totalCount)
    let checksum: UInt16
    if leavesChecksum {
      packet.metadata.offload.needsChecksum = true
      packet.metadata.offload.checksumOffset = UInt16(TCPHeader.checksumOffset)
      checksum = sum.foldedSum
    } else {
      // Out of what the header is made of: it is not read again.
      sum.add(words: header.sum(sourcePort: key.localPort, destinationPort: key.remotePort))
      if packet.count > 0 { sum.add(packet.bytes) }
      checksum = sum.finish()
    }
    packet.prepend(header.headerByteCount)
    var bytes = packet.mutableBytes
    header.emit(
      into: &bytes, sourcePort: key.localPort, destinationPort: key.remotePort, checksum: checksum)
  }

  /// The same without any authentication: a `SegmentProtection` is a quarter of a kilobyte, which most have no use for.
  static func finishPlain(
    _ header: TCPHeader, _ source: IPAddress, _ destination: IPAddress, _ order: TCPOptionOrder,
    leavesChecksum: Bool, into packet: inout Packet
  ) {
    packet.prepend(header.byteCount)
    let byteCount = packet.totalCount
    if leavesChecksum {
      packet.metadata.offload.needsChecksum = true
      packet.metadata.offload.checksumOffset = UInt16(TCPHeader.checksumOffset)
    }
    var bytes = packet.mutableBytes
    header.emit(into: &bytes, order: order)
    guard !leavesChecksum else {
      InternetChecksum.sealPartially(
        &bytes, at: TCPHeader.checksumOffset, source: source, destination: destination, protocol: .tcp,
        byteCount: byteCount)
      return
    }
    InternetChecksum.seal(
      &bytes, at: TCPHeader.checksumOffset, source: source, destination: destination, protocol: .tcp)
  }
}
