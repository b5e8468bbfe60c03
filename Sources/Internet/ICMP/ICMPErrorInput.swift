// ICMP errors about packets of ours: whose packet was it, and who must hear of it.

import Buffers
import Exclusion
import SoftInterrupts
import Wire

extension InternetLayer {
  /// An ICMP or ICMPv6 error; the packet that it is about is quoted after the eight bytes of the header.
  func receiveError(
    _ packet: consuming Packet, _ reason: DeliveryFailure.Reason, _ cx: inout SoftInterrupt
  ) {
    guard let failure = quotedFailure(packet, from: 8, reason, reporter: packet.metadata.source),
      // Whoever reports an error reports it to the packet's source (RFC 5927 section 4.1).
      failure.local.address == packet.metadata.destination,
      hasTransport(failure.protocolNumber)
    else { return drop(packet, .icmpErrorsIgnored, &cx) }
    _ = consume packet
    count(.icmpErrorsReceived, cx)
    fail(failure, &cx)
  }

  /// A packet of ours whose neighbour did not answer; its bytes begin with the IP header.
  func reportUnreachable(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    guard let failure = quotedFailure(packet, from: 0, .hostUnreachable, reporter: nil) else { return }
    _ = consume packet
    fail(failure, &cx)
  }

  /// The start of what a quoted datagram carries, if that is quoted too (RFC 1812 section 4.3.2.3).
  private func carried(_ datagram: RawSpan) -> QuotedTransport? {
    guard datagram.byteCount >= 2 * UDPHeader.byteCount else { return nil }
    // Why it is none is nobody's concern: the error is about the datagram then, as it would be without.
    return try? QuotedTransport.parse(datagram.extracting(UDPHeader.byteCount..<datagram.byteCount))
  }

  /// What a quoted packet says about its sender, or nil if it cannot be told: truncated before the ports,
  /// not the first fragment, nonsense.
  private func quotedFailure(
    _ packet: borrowing Packet, from start: Int, _ reason: DeliveryFailure.Reason, reporter: IPAddress?
  ) -> DeliveryFailure? {
    guard packet.count > start else { return nil }
    let quoted = packet.bytes.extracting(start..<packet.count)
    let (source, destination): (IPAddress, IPAddress)
    let (number, transportBytes): (IPProtocol, RawSpan)
    if quoted.uint8(at: 0) >> 4 == 4 {
      guard let view = try? IPv4View(quoted: quoted), view.fragmentOffset == 0 else { return nil }
      (source, destination) = (IPAddress(view.source), IPAddress(view.destination))
      number = view.protocol
      transportBytes = view.payload
    } else {
      guard let view = try? IPv6View(quoted: quoted), let chain = try? IPv6Extensions.walk(view),
        chain.fragment?.offset ?? 0 == 0, chain.upperOffset <= view.bytes.byteCount
      else { return nil }
      (source, destination) = (IPAddress(view.source), IPAddress(view.destination))
      number = chain.upperProtocol
      transportBytes = view.bytes.extracting(chain.upperOffset..<view.bytes.byteCount)
    }
    guard let ports = try? QuotedTransport.parse(transportBytes) else { return nil }
    let interface = packet.metadata.interface
    func zone(_ address: IPAddress) -> UInt16 { address.isLinkLocal && !address.isIPv4 ? interface : 0 }
    let hasPorts = number == .tcp || number == .udp
    return DeliveryFailure(
      reason: reason, protocolNumber: number,
      local: SocketAddress(source, port: hasPorts ? ports.sourcePort : 0, zone: zone(source)),
      remote: SocketAddress(destination, port: hasPorts ? ports.destinationPort : 0, zone: zone(destination)),
      sequence: number == .tcp ? ports.sequence : nil, reporter: reporter, interface: interface,
      carried: number == .udp ? carried(transportBytes) : nil)
  }
}
