import Buffers
import Wire

/// Cuts super-segments where no device does it.
enum Segmentation {
  /// Makes the packets that `packet` stands for, `size` bytes of payload in each but the last: sequence numbers go on,
  /// and identifications of what may be fragmented (else they say nothing, RFC 6864 section 4.1); PSH and FIN are the
  /// last one's, CWR is the first one's (RFC 3168 section 6.1.2).
  ///
  /// - Parameters:
  ///   - size: at least 1.
  ///   - isVerified: nobody looks at their checksums any more, and none are made.
  ///   - pool: of the calling context.
  /// None of them is on an account.
  ///
  /// - Returns: false where `pool` had no packet, or a piece is too large for one: what follows is missing then.
  static func cut(
    _ packet: borrowing Packet, _ layout: TransportLayout, size: Int, isVerified: Bool = false,
    pool: PacketPoolRef, into queue: inout PacketQueue
  ) -> Bool {
    let payload = packet.totalCount - layout.payload
    guard size > 0, packet.headroom + layout.payload + min(size, payload) <= Packet.capacity else {
      return false
    }
    let common = CommonHeader(packet.bytes, layout)
    let inner = common.inner(layout, size: size)
    var cursor = PacketCursor(slotOffset: layout.payload)
    var model = unsafe packet.dataAddress
    var at = 0
    var index: UInt16 = 0
    repeat {
      let count = min(size, payload - at)
      guard var piece = pool.allocate(like: packet) else { return false }
      piece.append(layout.payload + count)
      unsafe piece.dataAddress.copyMemory(from: model, byteCount: layout.payload)
      let text = unsafe copy(
        count, of: packet, from: &cursor, into: piece.dataAddress + layout.payload, isVerified: isVerified)
      if isVerified { piece.metadata.flags.insert(.checksumVerified) }
      let isLast = at + count == payload
      var bytes = piece.mutableBytes
      if let inner, index > 0, !isLast, let text {
        // Its headers are those of the one before, which is in the queue and nobody's yet.
        inner.finish(&bytes, layout, text, sequence: common.sequence &+ UInt32(at))
      } else {
        finish(&bytes, layout, common, text, at: at, index: index, isLast: isLast)
      }
      unsafe model = piece.dataAddress
      queue.append(piece)
      at += count
      index &+= 1
    } while at < payload
    return true
  }

  /// The same, one after the other in `room`, for a driver that copies them on; `body` gets the length of each.
  ///
  /// - Returns: false where a segment does not fit into `room`, or `body` says so: what follows is missing then.
  static func forEach(
    _ packet: borrowing Packet, _ layout: TransportLayout, size: Int, in room: UnsafeMutableRawBufferPointer,
    _ body: (Int) -> Bool
  ) -> Bool {
    let payload = packet.totalCount - layout.payload
    guard size > 0, layout.payload + min(size, payload) <= room.count, let start = room.baseAddress
    else { return false }
    let common = CommonHeader(packet.bytes, layout)
    var cursor = PacketCursor(slotOffset: layout.payload)
    var at = 0
    var index: UInt16 = 0
    repeat {
      let count = min(size, payload - at)
      unsafe start.copyMemory(from: packet.dataAddress, byteCount: layout.payload)
      let text = unsafe copy(
        count, of: packet, from: &cursor, into: start + layout.payload, isVerified: false)
      var bytes = unsafe MutableRawSpan(_unsafeStart: start, byteCount: layout.payload + count)
      finish(
        &bytes, layout, common, text, at: at, index: index, isLast: at + count == payload)
      guard body(layout.payload + count) else { return false }
      at += count
      index &+= 1
    } while at < payload
    return true
  }

  /// The payload of the next segment, and its sum; nil: nobody asks for that.
  @inline(__always) private static func copy(
    _ count: Int, of packet: borrowing Packet, from cursor: inout PacketCursor,
    into place: UnsafeMutableRawPointer, isVerified: Bool
  ) -> InternetChecksum? {
    guard !isVerified else {
      unsafe packet.copyNext(count, from: &cursor, into: place)
      return nil
    }
    var sum = InternetChecksum()
    unsafe packet.copyNext(count, from: &cursor, into: place, addingTo: &sum)
    return sum
  }

  /// What is read, and summed, once for all segments: their headers differ in little.
  private struct CommonHeader {
    var identification: UInt16 = 0
    /// Identifications go on.
    var isCounted = false
    var sequence: UInt32 = 0
    /// Of TCP: data offset and flags.
    var control: UInt16 = 0
    /// Of IPv4's header, without its length, identification and checksum.
    var network = InternetChecksum()
    /// Of the pseudo header, without the length, and of the transport's, without what differs.
    var transport = InternetChecksum()

    init(_ bytes: RawSpan, _ layout: TransportLayout) {
      let start = layout.network
      if layout.isIPv4 {
        identification = bytes.uint16(at: start + 4)
        isCounted = bytes.uint8(at: start + 6) & 0x40 == 0
        network.add(bytes.uint16(at: start))
        network.add(bytes.extracting(start + 6..<start + 10))
        network.add(bytes.extracting(start + 12..<layout.transport))
        transport.add(bytes.extracting(start + 12..<start + 20))
      } else {
        transport.add(bytes.extracting(start + 8..<start + IPv6Header.byteCount))
      }
      transport.add(UInt16(layout.isTCP ? IPProtocol.tcp.rawValue : IPProtocol.udp.rawValue))
      let header = layout.transport
      transport.add(bytes.extracting(header..<header + 4))
      guard layout.isTCP else { return }
      sequence = bytes.uint32(at: header + 4)
      control = bytes.uint16(at: header + 12)
      transport.add(bytes.extracting(header + 8..<header + 12))
      transport.add(bytes.uint16(at: header + 14))
      transport.add(bytes.extracting(header + 18..<layout.payload))
    }

    /// The same of all but the first and the last, of `size` bytes of payload; nil: they differ in more than their sequence
    /// numbers, or are not TCP's.
    func inner(_ layout: TransportLayout, size: Int) -> InnerHeader? {
      var flags = TCPFlags(rawValue: control & 0x0FFF)
      guard layout.isTCP, !isCounted, !flags.contains(.cwr) else { return nil }
      flags.subtract([.psh, .fin])
      var sum = transport
      sum.add(UInt16(layout.payload - layout.transport + size))
      sum.add(control & 0xF000 | flags.rawValue)
      return InnerHeader(transport: sum)
    }
  }

  /// What segments of TCP have in common that are neither the first nor the last.
  private struct InnerHeader {
    /// Of the pseudo header, and of the transport's but for the sequence number.
    let transport: InternetChecksum

    /// Makes of the headers of another one those of this one.
    @inline(__always) func finish(
      _ bytes: inout MutableRawSpan, _ layout: TransportLayout, _ text: InternetChecksum, sequence: UInt32
    ) {
      var sum = transport
      sum.add(words: UInt64(sequence))
      sum.add(text)
      bytes.set(sequence, at: layout.transport + 4)
      bytes.set(sum.finish(), at: layout.transport + TCPHeader.checksumOffset)
    }
  }

  /// Makes a segment's headers of the super-segment's. `text`: the sum of its payload; nil: it needs no checksum.
  @inline(__always) private static func finish(
    _ bytes: inout MutableRawSpan, _ layout: TransportLayout, _ common: CommonHeader,
    _ text: InternetChecksum?, at: Int, index: UInt16, isLast: Bool
  ) {
    let (network, transport) = (layout.network, layout.transport)
    let length = UInt16(bytes.byteCount - network)
    if layout.isIPv4 {
      let identification = common.isCounted ? common.identification &+ index : common.identification
      bytes.set(length, at: network + 2)
      bytes.set(identification, at: network + 4)
      var sum = common.network
      sum.add(length)
      sum.add(identification)
      bytes.set(sum.finish(), at: network + 10)
    } else {
      bytes.set(length - UInt16(IPv6Header.byteCount), at: network + 4)
    }
    let segment = UInt16(bytes.byteCount - transport)
    var sum = common.transport
    sum.add(segment)
    if layout.isTCP {
      let sequence = common.sequence &+ UInt32(at)
      var flags = TCPFlags(rawValue: common.control & 0x0FFF)
      if !isLast { flags.subtract([.psh, .fin]) }
      if index > 0 { flags.remove(.cwr) }
      let control = common.control & 0xF000 | flags.rawValue
      bytes.set(sequence, at: transport + 4)
      bytes.set(control, at: transport + 12)
      sum.add(UInt16(truncatingIfNeeded: sequence &>> 16))
      sum.add(UInt16(truncatingIfNeeded: sequence))
      sum.add(control)
    } else {
      bytes.set(segment, at: transport + 4)
      sum.add(segment)
    }
    guard let text else { return bytes.set(0 as UInt16, at: layout.checksum) }
    sum.add(text)
    let checksum = sum.finish()
    bytes.set(checksum == 0 && !layout.isTCP ? 0xFFFF : checksum, at: layout.checksum)
  }
}
