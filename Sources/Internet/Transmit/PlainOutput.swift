// The packets of a connection, which has looked its way up and keeps it: what is left to be done for one of them.

public import Buffers
import Devices
public import Exclusion
import SoftInterrupts
public import Wire

extension InternetLayer {
  /// Sends a packet as
  /// ``send(_:from:to:protocol:hopLimit:trafficClass:mayFragment:inFragments:route:zone:_:)`` does, by a route that is
  /// current: nothing is looked up, and an IPv4 header is made out of the words that it consists of.
  ///
  /// - Parameters:
  ///   - packet: a transport header, with the checksum in place or left to the device, and its payload; its traffic class
  ///     is in its metadata.
  ///   - route: of this generation.
  ///   - source: one of ours.
  ///   - number: the transport.
  ///   - hopLimit: nil for the configured one.
  ///   - mayFragment: as there.
  @discardableResult
  public func send(
    _ packet: consuming Packet, by route: RouteDecision, from source: IPAddress, to destination: IPAddress,
    protocol number: IPProtocol, hopLimit: UInt8?, mayFragment: Bool, _ cx: inout SoftInterrupt
  ) -> SendOutcome {
    let total = packet.totalCount &+ IPv4Header.fixedByteCount
    guard destination.isIPv4, source.isIPv4, UInt32(truncatingIfNeeded: source.low) != 0,
      packet.headroom >= IPv4Header.fixedByteCount + EthernetHeader.taggedByteCount,
      total <= route.mtu || (packet.metadata.offload.segmentation != .none && total <= 65535),
      let interface = interface(route.interface)
    else {
      let kind = TrafficClass(rawValue: packet.metadata.trafficClass)
      return send(
        packet, from: source, to: destination, protocol: number, hopLimit: hopLimit, trafficClass: kind,
        mayFragment: mayFragment, route: route, &cx)
    }
    let limit = hopLimit ?? configuration.hopLimit
    packet.metadata.source = source
    packet.metadata.hopLimit = limit
    packet.metadata.transportOffset = UInt16(truncatingIfNeeded: packet.startOffset)
    let first = 0x4500_0000 | UInt32(packet.metadata.trafficClass) &<< 16 | UInt32(truncatingIfNeeded: total)
    // Of what is never fragmented the identification says nothing (RFC 6864 section 4.1).
    let second: UInt32 =
      mayFragment
      ? UInt32(nextIdentification(cx, count: packet.metadata.offload.segmentCount)) &<< 16 : 0x4000
    let third = UInt32(limit) &<< 24 | UInt32(number.rawValue) &<< 16
    let (from, to) = (UInt32(truncatingIfNeeded: source.low), UInt32(truncatingIfNeeded: destination.low))
    let checksum = InternetChecksum.ofWords(
      UInt64(first) &+ UInt64(second) &+ UInt64(third) &+ UInt64(from) &+ UInt64(to))
    prependHeader(&packet, IPv4Header.fixedByteCount)
    packet.metadata.networkOffset = UInt16(truncatingIfNeeded: packet.startOffset)
    var span = packet.mutableBytes
    span.set(first, at: 0)
    span.set(second, at: 4)
    span.set(third | UInt32(checksum), at: 8)
    span.set(from, at: 12)
    span.set(to, at: 16)
    count(.ipv4Sent, cx)
    transmit(packet, interface, to: route.nextHop, route.delivery, &cx)
    return .sent
  }
}
