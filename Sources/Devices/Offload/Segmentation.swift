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
  /// - Returns: false where `pool` had no packet, or a piece is too large for one: what follows is missing then.
  static func cut(
    _ packet: borrowing Packet, _ layout: TransportLayout, size: Int, isVerified: Bool = false,
    pool: PacketPoolRef, into queue: inout PacketQueue
  ) -> Bool {
    let payload = packet.totalCount - layout.payload
    guard size > 0, packet.headroom + layout.payload + min(size, payload) <= Packet.capacity else {
      return false
    }
    var at = 0
    var index: UInt16 = 0
    repeat {
      let count = min(size, payload - at)
      guard var piece = pool.allocate(headroom: packet.headroom) else { return false }
      piece.append(layout.payload + count)
      unsafe piece.dataAddress.copyMemory(from: packet.dataAddress, byteCount: layout.payload)
      unsafe packet.copyBytes(
        from: layout.payload + at, count: count, into: piece.dataAddress + layout.payload)
      piece.metadata = packet.metadata
      piece.metadata.offload = PacketOffload()
      piece.forfeitCredit()
      if isVerified { piece.metadata.flags.insert(.checksumVerified) }
      var bytes = piece.mutableBytes
      finish(
        &bytes, layout, at: at, index: index, isLast: at + count == payload, isVerified: isVerified)
      queue.append(piece)
      at += count
      index &+= 1
    } while at < payload
    return true
  }

  /// Makes a segment's headers of the super-segment's.
  private static func finish(
    _ bytes: inout MutableRawSpan, _ layout: TransportLayout, at: Int, index: UInt16, isLast: Bool,
    isVerified: Bool
  ) {
    let (network, transport) = (layout.network, layout.transport)
    let length = bytes.byteCount - network
    if layout.isIPv4 {
      bytes.set(UInt16(length), at: network + 2)
      let isAtomic = bytes.bytes.uint8(at: network + 6) & 0x40 != 0
      if !isAtomic { bytes.set(bytes.bytes.uint16(at: network + 4) &+ index, at: network + 4) }
      bytes.set(0 as UInt16, at: network + 10)
      bytes.set(InternetChecksum.of(bytes.bytes.extracting(network..<transport)), at: network + 10)
    } else {
      bytes.set(UInt16(length - IPv6Header.byteCount), at: network + 4)
    }
    if layout.isTCP {
      bytes.set(bytes.bytes.uint32(at: transport + 4) &+ UInt32(at), at: transport + 4)
      var flags = TCPFlags(rawValue: bytes.bytes.uint16(at: transport + 12) & 0x0FFF)
      if !isLast { flags.subtract([.psh, .fin]) }
      if index > 0 { flags.remove(.cwr) }
      bytes.set(
        bytes.bytes.uint16(at: transport + 12) & 0xF000 | flags.rawValue, at: transport + 12)
    } else {
      bytes.set(UInt16(bytes.byteCount - transport), at: transport + 4)
    }
    bytes.set(0 as UInt16, at: layout.checksum)
    if isVerified { return }
    var sum = InternetChecksum()
    let addresses =
      layout.isIPv4 ? network + 12..<network + 20 : network + 8..<network + IPv6Header.byteCount
    sum.add(bytes.bytes.extracting(addresses))
    sum.add(UInt16(layout.isTCP ? IPProtocol.tcp.rawValue : IPProtocol.udp.rawValue))
    sum.add(UInt16(bytes.byteCount - transport))
    sum.add(bytes.bytes.extracting(transport..<bytes.byteCount))
    let checksum = sum.finish()
    bytes.set(checksum == 0 && !layout.isTCP ? 0xFFFF : checksum, at: layout.checksum)
  }
}
