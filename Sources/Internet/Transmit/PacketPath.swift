// The way of a row of packets that differ in nothing but what they carry: what every one of them asks for is asked once.

public import Buffers
import Devices
public import Exclusion
import SoftInterrupts
public import Wire

/// A way that was looked up, with the addresses, the protocol and the hop limit of all that goes it. Good for as long as
/// who made it runs: the tables may change in the next pass.
public struct PacketPath {
  /// Source, destination and next hop.
  let source: IPAddress
  let destination: IPAddress
  let route: RouteDecision
  let interface: InterfaceRef
  let number: IPProtocol
  let hopLimit: UInt8
  let mayFragment: Bool
  /// Hop limit and protocol, as they stand in an IPv4 header.
  let third: UInt32
  /// What all of them add to its checksum: that, and the addresses.
  let sum: UInt64
  /// An IPv4 way: its headers are written here. Others take the general way.
  let isIPv4: Bool
}

extension InternetLayer {
  /// The way of packets between two addresses, by a route that is current. Nil: there is none, and every packet is
  /// refused in its own way by ``send(_:from:to:protocol:hopLimit:trafficClass:mayFragment:inFragments:route:zone:_:)``.
  ///
  /// - Parameters:
  ///   - route: of this generation.
  ///   - source: one of ours.
  ///   - number: the transport.
  ///   - hopLimit: nil for the configured one.
  ///   - mayFragment: as for a single packet.
  public func path(
    _ route: RouteDecision, from source: IPAddress, to destination: IPAddress, protocol number: IPProtocol,
    hopLimit: UInt8?, mayFragment: Bool
  ) -> PacketPath? {
    guard let interface = interface(route.interface), source.isIPv4 == destination.isIPv4,
      !source.isUnspecified
    else { return nil }
    let limit = hopLimit ?? configuration.hopLimit
    let third = UInt32(limit) &<< 24 | UInt32(number.rawValue) &<< 16
    let addresses = (source.low & 0xFFFF_FFFF) &+ (destination.low & 0xFFFF_FFFF)
    return PacketPath(
      source: source, destination: destination, route: route, interface: interface, number: number,
      hopLimit: limit, mayFragment: mayFragment, third: third, sum: addresses &+ UInt64(third),
      isIPv4: destination.isIPv4)
  }

  /// Sends a packet that way, as ``send(_:from:to:protocol:hopLimit:trafficClass:mayFragment:inFragments:route:zone:_:)``
  /// does: its bytes are a transport header, with the checksum in place or left to the device, and its payload; its traffic
  /// class is in its metadata.
  @discardableResult
  public func send(_ packet: consuming Packet, along path: PacketPath, _ cx: inout SoftInterrupt)
    -> SendOutcome
  {
    let total = packet.totalCount &+ IPv4Header.fixedByteCount
    guard path.isIPv4, packet.headroom >= IPv4Header.fixedByteCount + EthernetHeader.taggedByteCount,
      total <= path.route.mtu || (packet.metadata.offload.segmentation != .none && total <= 65535)
    else { return sendGenerally(packet, path, &cx) }
    packet.metadata.source = path.source
    packet.metadata.hopLimit = path.hopLimit
    packet.metadata.transportOffset = UInt16(packet.startOffset)
    let segments = packet.metadata.offload.segmentCount
    let first = 0x4500_0000 | UInt32(packet.metadata.trafficClass) &<< 16 | UInt32(UInt16(total))
    // Of what is never fragmented the identification says nothing (RFC 6864 section 4.1).
    let second: UInt32 =
      path.mayFragment ? UInt32(nextIdentification(cx, count: segments)) &<< 16 : 0x4000
    let checksum = InternetChecksum.ofWords(path.sum &+ UInt64(first) &+ UInt64(second))
    prependHeader(&packet, IPv4Header.fixedByteCount)
    packet.metadata.networkOffset = UInt16(packet.startOffset)
    var span = packet.mutableBytes
    span.set(first, at: 0)
    span.set(second, at: 4)
    span.set(path.third | UInt32(checksum), at: 8)
    span.set(UInt32(truncatingIfNeeded: path.source.low), at: 12)
    span.set(UInt32(truncatingIfNeeded: path.destination.low), at: 16)
    count(.ipv4Sent, cx)
    transmit(packet, path.interface, to: path.route.nextHop, path.route.delivery, &cx)
    return .sent
  }
  @inline(never) private func sendGenerally(
    _ packet: consuming Packet, _ path: PacketPath, _ cx: inout SoftInterrupt
  ) -> SendOutcome {
    let kind = TrafficClass(rawValue: packet.metadata.trafficClass)
    return send(
      packet, from: path.source, to: path.destination, protocol: path.number, hopLimit: path.hopLimit,
      trafficClass: kind, mayFragment: path.mayFragment, route: path.route, &cx)
  }
}
