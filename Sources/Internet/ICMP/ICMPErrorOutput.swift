// ICMP errors that we send: when (RFC 1122 section 3.2.2, RFC 4443 section 2.4), how often, and about what.

public import Buffers
public import Exclusion
import SoftInterrupts
import Wire

/// Why a packet is refused.
public enum RejectReason: Sendable, Equatable {
  /// Nobody listens on the port.
  case portUnreachable
  /// Nobody speaks the protocol. IPv4; IPv6 has a parameter problem for it.
  case protocolUnreachable
  /// There is no way there.
  case networkUnreachable
  /// Not to be had.
  case hostUnreachable
  /// Forbidden.
  case prohibited
  /// Hop limit used up on the way.
  case hopLimitExceeded
  /// Fragments missing for too long.
  case reassemblyTimeExceeded
  /// Larger than the next link carries.
  case packetTooBig(mtu: Int)
  /// The octet at `pointer`, from the start of the IP header, is wrong.
  case parameterProblem(code: UInt8, pointer: Int, evenIfMulticast: Bool = false)

  /// Multicast packets are answered for these only.
  fileprivate var isAllowedForMulticast: Bool {
    switch self {
    case .packetTooBig: true
    case .parameterProblem(_, _, let evenIfMulticast): evenIfMulticast
    case .portUnreachable, .protocolUnreachable, .networkUnreachable, .hostUnreachable, .prohibited,
      .hopLimitExceeded,
      .reassemblyTimeExceeded:
      false
    }
  }

  fileprivate var icmpv4: ICMPv4Message {
    switch self {
    case .portUnreachable: .destinationUnreachable(code: ICMPv4Message.Unreachable.port, nextHopMTU: 0)
    case .protocolUnreachable:
      .destinationUnreachable(code: ICMPv4Message.Unreachable.protocol, nextHopMTU: 0)
    case .networkUnreachable: .destinationUnreachable(code: ICMPv4Message.Unreachable.network, nextHopMTU: 0)
    case .hostUnreachable: .destinationUnreachable(code: ICMPv4Message.Unreachable.host, nextHopMTU: 0)
    case .prohibited: .destinationUnreachable(code: ICMPv4Message.Unreachable.prohibited, nextHopMTU: 0)
    case .hopLimitExceeded: .timeExceeded(code: 0)
    case .reassemblyTimeExceeded: .timeExceeded(code: 1)
    case .packetTooBig(let mtu):
      .destinationUnreachable(
        code: ICMPv4Message.Unreachable.fragmentationNeeded, nextHopMTU: UInt16(clamping: mtu))
    case .parameterProblem(_, let pointer, _): .parameterProblem(code: 0, pointer: UInt8(clamping: pointer))
    }
  }

  fileprivate var icmpv6: ICMPv6Message {
    switch self {
    case .portUnreachable: .destinationUnreachable(code: ICMPv6Message.Unreachable.port)
    case .protocolUnreachable: .parameterProblem(code: ICMPv6Message.Problem.nextHeader, pointer: 6)
    case .networkUnreachable: .destinationUnreachable(code: ICMPv6Message.Unreachable.noRoute)
    case .hostUnreachable: .destinationUnreachable(code: ICMPv6Message.Unreachable.address)
    case .prohibited: .destinationUnreachable(code: ICMPv6Message.Unreachable.prohibited)
    case .hopLimitExceeded: .timeExceeded(code: 0)
    case .reassemblyTimeExceeded: .timeExceeded(code: 1)
    case .packetTooBig(let mtu): .packetTooBig(mtu: UInt32(clamping: mtu))
    case .parameterProblem(let code, let pointer, _):
      .parameterProblem(code: code, pointer: UInt32(clamping: pointer))
    }
  }
}

extension InternetLayer {
  /// Drops a received packet and tells its sender why, where that is allowed and the limits permit it. The
  /// packet is as its transport got it, or whole.
  ///
  /// - Parameter reporter: whose word it is, for a gateway that passes on what a router far away says; nil, or of another
  ///   family: this host's own.
  public func reject(
    _ packet: consuming Packet, _ reason: RejectReason, reporter: IPAddress? = nil, _ cx: inout SoftInterrupt
  ) {
    let headers = packet.startOffset - Int(packet.metadata.networkOffset)
    guard headers >= 0 else { return }
    packet.prepend(headers)  // back to the IP header, which nobody overwrote
    count(.packetsDropped, packet.metadata.interface, cx)
    guard mayReject(packet, reason) else { return count(.icmpErrorsForbidden, cx) }
    guard allowsError(cx) else { return }
    guard var error = cx.pool.allocate() else { return count(.poolExhausted, cx) }

    let (offender, asked) = (packet.metadata.source, packet.metadata.destination)
    let source = snapshot.with { $0.own(asked) != nil } || asked.isLoopback ? asked : nil
    let zone = offender.isLinkLocal ? packet.metadata.interface : 0
    let teller = reporter.flatMap { $0.isIPv4 == offender.isIPv4 && !$0.isUnspecified ? $0 : nil }
    guard let route = route(to: offender, sourceHint: source, zone: zone) else { return }
    // 576 bytes in all for IPv4 (RFC 1812 section 4.3.2.3), 1280 for IPv6 (RFC 4443 section 2.4 c).
    let quoted = min(packet.count, offender.isIPv4 ? 576 - 28 : 1280 - 48)
    error.append(8 + quoted)
    var span = error.mutableBytes
    span.copy(packet.bytes.extracting(0..<quoted), at: 8)
    let speaker = teller ?? route.source
    if let own = speaker.ipv6, let other = offender.ipv6 {
      reason.icmpv6.emit(into: &span, source: own, destination: other)
    } else {
      reason.icmpv4.emit(into: &span)
    }
    let outcome = send(
      error, from: speaker, to: offender, protocol: offender.isIPv4 ? .icmpv4 : .icmpv6, route: route, &cx)
    if outcome == .sent { count(.icmpErrorsSent, cx) }
  }

  /// Tells the sender of a packet that is gone why it went nowhere. `packet` is what of it is quoted, from its transport
  /// header on, with ``Packet/headroomDefault`` in front.
  public func reject(
    _ packet: consuming Packet, from source: IPAddress, to destination: IPAddress,
    protocol number: IPProtocol, _ reason: RejectReason, reporter: IPAddress? = nil,
    _ cx: inout SoftInterrupt
  ) {
    guard source.isIPv4 == destination.isIPv4, packet.headroom >= IPv6Header.byteCount else { return }
    packet.metadata.source = source
    packet.metadata.destination = destination
    packet.metadata.hopLimit = configuration.hopLimit
    buildHeader(&packet, source, destination, number)
    packet.trimFront(source.isIPv4 ? IPv4Header.fixedByteCount : IPv6Header.byteCount)
    reject(packet, reason, reporter: reporter, &cx)
  }

  private func mayReject(_ packet: borrowing Packet, _ reason: RejectReason) -> Bool {
    let metadata = packet.metadata
    let isMulticast = metadata.flags.contains(.linkBroadcast) || metadata.flags.contains(.linkMulticast)
    if isMulticast, metadata.source.isIPv4 || !reason.isAllowedForMulticast { return false }
    if metadata.source.isUnspecified || metadata.source.isMulticast { return false }
    if metadata.source.isIPv4 {
      guard let view = try? IPv4View(quoted: packet.bytes), view.fragmentOffset == 0 else { return false }
      guard view.protocol == .icmpv4 else { return true }
      guard let inner = try? ICMPv4Message.parse(view.payload, verifyingChecksum: false) else { return false }
      return !inner.isError
    }
    guard let view = try? IPv6View(quoted: packet.bytes) else { return false }
    // A chain that cannot be walked is not one of an ICMPv6 error that we would know for one.
    guard let chain = try? IPv6Extensions.walk(view), chain.upperProtocol == .icmpv6,
      chain.upperOffset < view.bytes.byteCount
    else { return true }
    let type = view.bytes.uint8(at: chain.upperOffset)
    return type >= 128 && type != 137
  }
}
