import Buffers
import Exclusion
import SoftInterrupts
import Wire

extension InternetLayer {
  /// An ICMP message for us; its bytes begin with the ICMP header. RFC 1122 section 3.2.2.
  func receiveICMPv4(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    count(.icmpReceived, cx)
    let message: ICMPv4Message
    do {
      guard packet.attachedCount == 0 || Self.isWholeICMPv4(packet) else {
        return drop(packet, .icmpBadChecksum, &cx)
      }
      message = try ICMPv4Message.parse(packet.bytes, verifyingChecksum: packet.attachedCount == 0)
    } catch .badChecksum {
      return drop(packet, .icmpBadChecksum, &cx)
    } catch {
      return drop(packet, .icmpMalformed, &cx)
    }
    switch message {
    case .echoRequest:
      guard mayAnswerEcho(packet, .icmpv4, &cx) else { return handToTransport(packet, .icmpv4, &cx) }
      var span = packet.mutableBytes
      Self.answerEcho(&span, with: 0)
      sendEchoReply(packet, .icmpv4, &cx)
    case .destinationUnreachable(let code, let mtu):
      receiveError(packet, ICMPv4Message.failure(code: code, mtu: Int(mtu)), &cx)
    case .timeExceeded:
      receiveError(packet, .timeExceeded, &cx)
    case .parameterProblem(_, let pointer):
      receiveError(packet, .parameterProblem(pointer: Int(pointer)), &cx)
    case .redirect:
      // Routes come from the user; a redirect would be posted to the control context.
      drop(packet, .icmpErrorsIgnored, &cx)
    case .echoReply, .timestampRequest, .timestampReply, .other:
      handToTransport(packet, .icmpv4, &cx)
    }
  }

  /// Whether the checksum is right of a message that lies in pieces.
  private static func isWholeICMPv4(_ packet: borrowing Packet) -> Bool {
    var sum = InternetChecksum()
    packet.add(from: 0, count: packet.totalCount, to: &sum)
    return sum.finish() == 0
  }

  /// Makes a request an answer, wherever its data lies: only its type changes, and the checksum by as much (RFC 1624).
  static func answerEcho(_ span: inout MutableRawSpan, with type: UInt8) {
    let before = span.bytes.uint16(at: 0)
    span.set(type, at: 0)
    let sum = UInt32(~span.bytes.uint16(at: 2)) + UInt32(~before) + UInt32(span.bytes.uint16(at: 0))
    let folded = (sum & 0xFFFF) + sum >> 16
    span.set(~UInt16(truncatingIfNeeded: folded + folded >> 16), at: 2)
  }

  /// Whether an echo request is ours to answer: not one to a broadcast or multicast address (RFC 1122
  /// section 3.2.2.6: amplification), not one for an address that is not ours.
  func mayAnswerEcho(_ packet: borrowing Packet, _ number: IPProtocol, _ cx: inout SoftInterrupt) -> Bool {
    count(.icmpEchoRequests, cx)
    let (flags, destination) = (packet.metadata.flags, packet.metadata.destination)
    guard !flags.contains(.linkBroadcast), !flags.contains(.linkMulticast) else { return false }
    return destination.isLoopback || snapshot.with { $0.own(destination) != nil }
  }

  /// The packet is the reply already, its metadata still the request's.
  func sendEchoReply(_ packet: consuming Packet, _ number: IPProtocol, _ cx: inout SoftInterrupt) {
    count(.icmpEchoReplies, cx)
    let (ours, theirs) = (packet.metadata.destination, packet.metadata.source)
    let zone = theirs.isLinkLocal ? packet.metadata.interface : 0
    var trafficClass = TrafficClass(rawValue: packet.metadata.trafficClass)
    trafficClass.notification = .notCapable
    send(
      packet, from: ours, to: theirs, protocol: number, trafficClass: trafficClass, inFragments: true,
      zone: zone,
      &cx)
  }

  /// Queries and answers that this layer does not deal with: for a `ping` above, if there is one.
  func handToTransport(_ packet: consuming Packet, _ number: IPProtocol, _ cx: inout SoftInterrupt) {
    let isRequest = packet.bytes.uint8(at: 0) == (number == .icmpv4 ? 8 : 128)
    guard hasTransport(number) else {
      return drop(packet, isRequest ? .icmpEchoIgnored : .icmpUnknownType, &cx)
    }
    if isRequest { count(.icmpEchoIgnored, cx) }
    deliver(packet, to: number, &cx)
  }
}

extension ICMPv4Message {
  /// What a "destination unreachable" means to a sender (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812).
  static func failure(code: UInt8, mtu: Int) -> DeliveryFailure.Reason {
    switch code {
    case Unreachable.protocol: .protocolUnreachable
    case Unreachable.port: .portUnreachable
    case Unreachable.fragmentationNeeded: .packetTooBig(mtu: mtu)
    case 9, 10, 13: .prohibited
    case Unreachable.host, 7, 8, 12, 14: .hostUnreachable
    default: .networkUnreachable
    }
  }
}
