import Buffers
import Exclusion
import SoftInterrupts
import Wire

extension InternetLayer {
  /// An ICMPv6 message for us; its bytes begin with the ICMPv6 header. RFC 4443, RFC 4861.
  func receiveICMPv6(_ packet: consuming Packet, _ interface: InterfaceRef, _ cx: inout SoftInterrupt) {
    count(.icmpReceived, cx)
    guard let source = packet.metadata.source.ipv6, let destination = packet.metadata.destination.ipv6 else {
      return drop(packet, .icmpMalformed, &cx)
    }
    let isApart = packet.attachedCount > 0
    if isApart,
      packet.checksum(source: IPAddress(source), destination: IPAddress(destination), protocol: .icmpv6) != 0
    {
      return drop(packet, .icmpBadChecksum, &cx)
    }
    let message: ICMPv6Message
    do {
      message = try ICMPv6Message.parse(
        packet.bytes, source: source, destination: destination, verifyingChecksum: !isApart)
    } catch .badChecksum {
      return drop(packet, .icmpBadChecksum, &cx)
    } catch .badCode {
      return drop(packet, .ndInvalid, &cx)
    } catch {
      return drop(packet, .icmpMalformed, &cx)
    }
    switch message {
    case .echoRequest:
      guard mayAnswerEcho(packet, .icmpv6, &cx) else { return handToTransport(packet, .icmpv6, &cx) }
      var span = packet.mutableBytes
      Self.answerEcho(&span, with: 129)
      sendEchoReply(packet, .icmpv6, &cx)
    case .destinationUnreachable(let code):
      receiveError(packet, ICMPv6Message.failure(code: code), &cx)
    case .packetTooBig(let mtu):
      receiveError(packet, .packetTooBig(mtu: Int(mtu)), &cx)
    case .timeExceeded:
      receiveError(packet, .timeExceeded, &cx)
    case .parameterProblem(let code, let pointer):
      let isProtocol = code == Problem.nextHeader
      receiveError(packet, isProtocol ? .protocolUnreachable : .parameterProblem(pointer: Int(pointer)), &cx)
    case .neighborSolicitation, .neighborAdvertisement:
      // No honest one is so long, or comes in fragments (RFC 6980).
      if isApart || packet.metadata.flags.contains(.joined) || isHidden(packet, interface) {
        return drop(packet, .ndInvalid, &cx)
      }
      receiveNeighborDiscovery(packet, message, interface, &cx)
    case .routerSolicitation:
      if isApart || packet.metadata.flags.contains(.joined) { return drop(packet, .ndInvalid, &cx) }
      receiveSolicitation(packet, interface, &cx)
    case .routerAdvertisement, .redirect:
      // Behind extension headers it was not seen before.
      if interface.isGuarded { return drop(packet, .ingressRogueRouter, &cx) }
      drop(packet, packet.metadata.hopLimit == 255 ? .ndIgnored : .ndInvalid, &cx)
    case .echoReply, .other:
      handToTransport(packet, .icmpv6, &cx)
    }
  }

  /// Whether a message lies behind extension headers on a guarded link: ``guardFrame(_:_:_:)`` did not see it, and no honest
  /// host hides what it says of its neighbours so (RFC 7113 section 3 of what looks for it there).
  private func isHidden(_ packet: borrowing Packet, _ interface: InterfaceRef) -> Bool {
    interface.isGuarded
      && packet.metadata.transportOffset != packet.metadata.networkOffset + UInt16(IPv6Header.byteCount)
  }

  private typealias Problem = ICMPv6Message.Problem
}

extension ICMPv6Message {
  /// What a "destination unreachable" means to a sender (RFC 4443 section 3.1).
  static func failure(code: UInt8) -> DeliveryFailure.Reason {
    switch code {
    case Unreachable.port: .portUnreachable
    case Unreachable.prohibited, 5, 6: .prohibited
    case Unreachable.address: .hostUnreachable
    default: .networkUnreachable
    }
  }
}
