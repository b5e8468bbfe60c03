import Buffers
import Exclusion
import SoftInterrupts
import Wire

extension InternetLayer {
  /// An ICMPv6 message for us; its bytes begin with the ICMPv6 header. RFC 4443, RFC 4861.
  func receiveICMPv6(_ packet: consuming Packet, _ interface: InterfaceRef, _ cx: inout SoftInterrupt) {
    count(.icmpReceived, cx)
    guard packet.attachedCount == 0, let source = packet.metadata.source.ipv6,
      let destination = packet.metadata.destination.ipv6
    else { return drop(packet, .icmpMalformed, &cx) }
    let message: ICMPv6Message
    do {
      message = try ICMPv6Message.parse(packet.bytes, source: source, destination: destination)
    } catch .badChecksum {
      return drop(packet, .icmpBadChecksum, &cx)
    } catch .badCode {
      return drop(packet, .ndInvalid, &cx)
    } catch {
      return drop(packet, .icmpMalformed, &cx)
    }
    switch message {
    case .echoRequest(let identifier, let sequence):
      guard mayAnswerEcho(packet, .icmpv6, &cx) else { return handToTransport(packet, .icmpv6, &cx) }
      var span = packet.mutableBytes
      ICMPv6Message.echoReply(identifier: identifier, sequence: sequence)
        .emit(into: &span, source: destination, destination: source)
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
      receiveNeighborDiscovery(packet, message, interface, &cx)
    case .routerSolicitation, .routerAdvertisement, .redirect:
      drop(packet, packet.metadata.hopLimit == 255 ? .ndIgnored : .ndInvalid, &cx)
    case .echoReply, .other:
      handToTransport(packet, .icmpv6, &cx)
    }
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
