// Fragments on their way out: a packet of ours that its link does not carry in one (RFC 791 section 2.3, RFC 8200 section
// 4.5).

import Buffers
import Exclusion
import SoftInterrupts
import Wire

extension InternetLayer {
  /// Sends a packet in as many fragments as its route needs: `packet` begins with its transport header. Where the pool runs
  /// out, the rest is lost, as on a network.
  func sendFragments(
    _ packet: borrowing Packet, _ interface: InterfaceRef, by way: RouteDecision, from source: IPAddress,
    to destination: IPAddress, protocol number: IPProtocol, hopLimit: UInt8, _ trafficClass: TrafficClass,
    _ cx: inout SoftInterrupt
  ) -> SendOutcome {
    let isIPv4 = destination.isIPv4
    let headers =
      isIPv4 ? IPv4Header.fixedByteCount : IPv6Header.byteCount + IPv6Fragment.byteCount
    let (total, unit) = (packet.totalCount, (way.mtu - headers) & ~7)
    guard unit > 0, total + (isIPv4 ? headers : 0) <= 65_535 else {
      count(.sendTooBig, cx)
      return .tooBig(mtu: way.mtu)
    }
    let identification = nextIdentification(cx)
    var at = 0
    while at < total {
      let bytes = min(unit, total - at)
      guard var piece = fragment(of: packet, at, bytes, cx.pool) else {
        count(.poolExhausted, cx)
        return .sent
      }
      piece.metadata.source = source
      piece.metadata.destination = destination
      piece.metadata.hopLimit = hopLimit
      piece.metadata.trafficClass = trafficClass.rawValue
      let hasMore = at + bytes < total
      if isIPv4 {
        buildHeader(&piece, source, destination, number, identification: identification)
        mark(&piece, at: at, hasMore: hasMore)
      } else {
        piece.prepend(IPv6Fragment.byteCount)
        var span = piece.mutableBytes
        // Contexts number their own.
        IPv6Fragment(
          nextHeader: number, offset: UInt16(at), moreFragments: hasMore,
          identification: UInt32(cx.index) << 16 | UInt32(identification)
        ).emit(into: &span)
        buildHeader(&piece, source, destination, .fragment)
      }
      count(.fragmentsSent, cx)
      transmit(piece, interface, to: way.nextHop, way.delivery, &cx)
      at += bytes
    }
    count(isIPv4 ? .ipv4Sent : .ipv6Sent, cx)
    return .sent
  }

  /// A part of a packet's bytes: in a slot where they fit, else shared, for devices that gather.
  private func fragment(
    of packet: borrowing Packet, _ at: Int, _ count: Int, _ pool: PacketPoolRef
  ) -> Packet? {
    guard var piece = pool.allocate() else { return nil }
    if count <= piece.tailroom {
      piece.append(count)
      unsafe packet.copyBytes(from: at, count: count, into: piece.dataAddress)
    } else {
      piece.becomeCopy(of: packet)
      piece.trimFront(at)
      piece.truncate(to: count)
      piece.metadata = PacketMetadata()
    }
    return piece
  }

  /// Says in an IPv4 header, which is the packet's, what part of a whole it is.
  private func mark(_ piece: inout Packet, at offset: Int, hasMore: Bool) {
    var span = piece.mutableBytes
    span.set(UInt16(offset / 8) | (hasMore ? 0x2000 : 0), at: 6)
    span.set(0 as UInt16, at: 10)
    span.set(InternetChecksum.ofFixedHeader(span.bytes), at: 10)
  }
}
