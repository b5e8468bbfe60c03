import Buffers
import Exclusion
import SoftInterrupts
import Testing
import Timing
import Wire

@testable import Internet

@Suite struct ICMPTests {
  @Test func echoIsAnsweredInBothFamilies() throws {
    let host = Host()
    host.introducePeer()
    let data = [UInt8](0..<56)
    let reply4 = try #require(
      host.exchange(
        Frame.ipv4(Frame.icmpv4(.echoRequest(identifier: 5, sequence: 9), data), protocol: .icmpv4)
      ).first)
    #expect(Frame.icmpv4(reply4) == .echoReply(identifier: 5, sequence: 9))
    let (header4, payload4) = try #require(Frame.ipv4(reply4))
    #expect(header4.source == Host.ipv4.ipv4 && header4.destination == Host.peer4.ipv4)
    #expect(Array(payload4.dropFirst(8)) == data)

    let reply6 = try #require(
      host.exchange(
        Frame.ipv6(Frame.icmpv6(.echoRequest(identifier: 5, sequence: 9), data), next: .icmpv6)
      ).first)
    #expect(Frame.icmpv6(reply6) == .echoReply(identifier: 5, sequence: 9))
    #expect(Frame.ipv6(reply6)?.payload.dropFirst(8).elementsEqual(data) == true)
    #expect(host.count(.icmpEchoReplies) == 2)
    #expect(host.packetsInUse == 0)
  }

  @Test func echoWaitsForTheNeighborLikeAnythingElse() {
    let host = Host()
    let sent = host.exchange(
      Frame.ipv4(Frame.icmpv4(.echoRequest(identifier: 1, sequence: 1)), protocol: .icmpv4))
    #expect(sent.compactMap { Frame.arp($0)?.operation } == [.request])
    #expect(
      host.exchange(Frame.arpReply()).compactMap { Frame.icmpv4($0) } == [
        .echoReply(identifier: 1, sequence: 1)
      ])
  }

  @Test func linkLocalEchoIsAnsweredOnItsLink() throws {
    let host = Host()
    let (own, peer) = (
      IPAddress(IPv6Address(linkLocal: Host.station)), IPAddress(IPv6Address(linkLocal: Host.peerStation))
    )
    host.exchange(Frame.neighborSolicitation(for: own, from: peer))
    let request = Frame.icmpv6(.echoRequest(identifier: 1, sequence: 1), from: peer, to: own)
    let reply = try #require(host.exchange(Frame.ipv6(request, next: .icmpv6, from: peer, to: own)).first)
    #expect(
      Frame.ipv6(reply)?.header.source == own.ipv6 && Frame.ipv6(reply)?.header.destination == peer.ipv6)
  }

  @Test func echoToManyIsIgnored() {
    let host = Host()
    host.introducePeer()
    let request = Frame.icmpv4(.echoRequest(identifier: 1, sequence: 1))
    for (destination, station) in [
      ("10.0.2.255", MACAddress.broadcast), ("255.255.255.255", .broadcast),
      ("224.0.0.1", MACAddress(0x0100_5E00_0001)), ("10.0.2.255", Host.station),
    ] {
      #expect(
        host.exchange(
          Frame.ipv4(request, protocol: .icmpv4, to: IPAddress(destination)!, station: station)
        ).isEmpty)
    }
    let all = IPAddress("ff02::1")!
    let request6 = Frame.icmpv6(.echoRequest(identifier: 1, sequence: 1), to: all)
    #expect(
      host.exchange(
        Frame.ipv6(request6, next: .icmpv6, to: all, station: MACAddress(0x3333_0000_0001))
      ).isEmpty)
    // To us alone, but in a frame for all.
    #expect(
      host.exchange(
        Frame.ipv6(
          Frame.icmpv6(.echoRequest(identifier: 1, sequence: 1)), next: .icmpv6,
          station: MACAddress(0x3333_0000_0001))
      ).isEmpty)
    #expect(host.count(.icmpEchoIgnored) == 6)
    #expect(host.count(.icmpEchoReplies) == 0)
    #expect(host.packetsInUse == 0)
  }

  @Test func unknownProtocolsArePointedOut() throws {
    let host = Host()
    host.introducePeer()
    let unknown = IPProtocol(rawValue: 200)
    let packet4 = Frame.ipv4([1, 2, 3, 4, 5, 6, 7, 8, 9], protocol: unknown)
    let error4 = try #require(host.exchange(packet4).first)
    #expect(Frame.icmpv4(error4) == .destinationUnreachable(code: 2, nextHopMTU: 0))
    #expect(Frame.ipv4(error4)?.payload.dropFirst(8).elementsEqual(packet4.dropFirst(14)) == true)

    let packet6 = Frame.ipv6([200, 0, 1, 4, 0, 0, 0, 0] + [1, 2, 3], next: .destinationOptions)
    let error6 = try #require(host.exchange(packet6).first)
    #expect(Frame.icmpv6(error6) == .parameterProblem(code: 1, pointer: 40))
    #expect(Frame.ipv6(error6)?.payload.dropFirst(8).elementsEqual(packet6.dropFirst(14)) == true)
    #expect(host.count(.ipv4UnknownProtocol) == 1 && host.count(.ipv6UnknownProtocol) == 1)
    #expect(host.packetsInUse == 0)
  }

  @Test func transportsRejectPacketsThatNobodyListensFor() throws {
    let host = Host()
    host.introducePeer()
    host.received.rejection = .portUnreachable
    let long = Frame.udp([UInt8](repeating: 7, count: 1400))
    let error4 = try #require(host.exchange(Frame.ipv4(long, options: [1, 1, 1, 0])).first)
    #expect(Frame.icmpv4(error4) == .destinationUnreachable(code: 3, nextHopMTU: 0))
    #expect(Frame.ipv4(error4)?.header.totalLength == 576)  // RFC 1812 section 4.3.2.3
    let error6 = try #require(host.exchange(Frame.ipv6(long)).first)
    #expect(Frame.icmpv6(error6) == .destinationUnreachable(code: 4))
    #expect(error6.count == 14 + 1280)
    let small = try #require(host.exchange(Frame.ipv4(Frame.udp([1]))).first)
    #expect(Frame.ipv4(small)?.header.totalLength == 57)
    #expect(host.count(.icmpErrorsSent) == 3)
    #expect(host.packetsInUse == 0)
  }

  @Test func malformedOptionsArePointedOut() throws {
    let host = Host()
    host.introducePeer()
    let error4 = try #require(host.exchange(Frame.ipv4(Frame.udp(), options: [1, 7, 40, 0])).first)
    #expect(Frame.icmpv4(error4) == .parameterProblem(code: 0, pointer: 21))
    let unknownOption: [UInt8] = [17, 0, 0x9E, 4, 0, 0, 0, 0]
    let error6 = try #require(
      host.exchange(Frame.ipv6(unknownOption + Frame.udp(), next: .destinationOptions)).first)
    #expect(Frame.icmpv6(error6) == .parameterProblem(code: 2, pointer: 42))
    // To a group, for this kind of option, all the same (RFC 4443 section 2.4 e).
    let all = IPAddress("ff02::1")!
    let station = MACAddress(0x3333_0000_0001)
    let toGroup = host.exchange(
      Frame.ipv6(unknownOption + Frame.udp(), next: .destinationOptions, to: all, station: station))
    #expect(toGroup.compactMap { Frame.icmpv6($0) } == [.parameterProblem(code: 2, pointer: 42)])
    let quiet: [UInt8] = [17, 0, 0xDE, 4, 0, 0, 0, 0]
    #expect(
      host.exchange(Frame.ipv6(quiet + Frame.udp(), next: .destinationOptions, to: all, station: station))
        .isEmpty)
    #expect(host.count(.icmpErrorsForbidden) == 1)
    #expect(host.packetsInUse == 0)
  }

  @Test func noErrorIsSentAboutErrorsGroupsAndStrangers() {
    let host = Host(protocols: [.udp, .tcp, .icmpv4, .icmpv6])
    host.introducePeer()
    host.received.rejection = .portUnreachable
    let quiet = [
      Frame.ipv4(Frame.udp(), to: IPAddress("10.0.2.255")!, station: .broadcast),
      Frame.ipv4(Frame.udp(), to: IPAddress("224.0.0.1")!, station: MACAddress(0x0100_5E00_0001)),
      Frame.ipv4(Frame.udp(), to: IPAddress("10.0.2.255")!),
      Frame.ipv4(Frame.udp(), from: .anyIPv4, to: IPAddress("255.255.255.255")!, station: .broadcast),
      Frame.ipv4(Frame.icmpv4(.other(type: 4, code: 0, rest: 0)), protocol: .icmpv4),
      Frame.ipv6(Frame.udp(), to: IPAddress("ff02::1")!, station: MACAddress(0x3333_0000_0001)),
      Frame.ipv6(Frame.icmpv6(.other(type: 100, code: 0, rest: 0)), next: .icmpv6),
      Frame.ipv6(Frame.udp(), from: .anyIPv6),
    ]
    for frame in quiet { #expect(host.exchange(frame).isEmpty) }
    #expect(host.count(.icmpErrorsForbidden) == UInt64(quiet.count))
    #expect(host.count(.icmpErrorsSent) == 0)
    #expect(host.packetsInUse == 0)
  }

  @Test func errorsAreLimitedPerContextAndPerStack() {
    let host = Host(contexts: 2, queues: 2) {
      $0.errorLimitPerContext = RateLimitParameters(perSecond: 10, burst: 6)
      $0.errorLimit = RateLimitParameters(perSecond: 10, burst: 9)
    }
    host.introducePeer()
    host.received.rejection = .portUnreachable
    func burst() -> Int {
      for number in 0..<40 { host.wire.arrive(Frame.ipv4(Frame.udp()), queue: number & 1) }
      host.scheduler.settle()
      return host.wire.takeSent().count
    }
    #expect(burst() == 9)
    #expect(host.count(.icmpErrorsLimitedContext) == 28)
    #expect(host.count(.icmpErrorsLimitedStack) == 3)
    host.clock.advance(by: .milliseconds(300))
    #expect(burst() == 3)
    host.clock.advance(by: .seconds(60))
    #expect(burst() == 9)
    #expect(host.packetsInUse == 0)
  }

  // Rules: RFC 1122 3.2.2.1-1
  @Test func errorsReachTheTransportWithTheInnerKey() throws {
    let host = Host()
    let inner4 = Frame.bareIPv4(Frame.udp(from: 1111, to: 2222), from: Host.ipv4, to: IPAddress("9.9.9.9")!)
    host.exchange(
      Frame.ipv4(
        Frame.icmpv4(.destinationUnreachable(code: 4, nextHopMTU: 1300), inner4), protocol: .icmpv4,
        from: IPAddress("10.0.2.1")!))
    let failure = try #require(host.received.failures.first)
    #expect(failure.reason == .packetTooBig(mtu: 1300) && failure.protocolNumber == .udp)
    #expect(failure.local == SocketAddress(Host.ipv4, port: 1111))
    #expect(failure.remote == SocketAddress(IPAddress("9.9.9.9")!, port: 2222))
    #expect(failure.reporter == IPAddress("10.0.2.1") && failure.interface == host.link)

    // TCP with its sequence number, cut after eight bytes as RFC 792 allows.
    let tcp: [UInt8] = [0, 80, 0x30, 0x39, 0xDE, 0xAD, 0xBE, 0xEF]
    let header = IPv6Header(
      source: Host.ipv6.ipv6!, destination: Host.peer6.ipv6!, nextHeader: .tcp, payloadByteCount: 20)
    let inner6 = Frame.bytes(40) { header.emit(into: &$0) } + tcp
    host.exchange(
      Frame.ipv6(Frame.icmpv6(.destinationUnreachable(code: 4), inner6), next: .icmpv6))
    let second = try #require(host.received.failures.last)
    #expect(second.reason == .portUnreachable && second.protocolNumber == .tcp)
    #expect(second.sequence == SequenceNumber(0xDEAD_BEEF) && second.local.port == 80)

    // A packet that we cannot have sent.
    let forged = Frame.bareIPv4(Frame.udp(), from: IPAddress("1.2.3.4")!, to: Host.peer4)
    host.exchange(Frame.ipv4(Frame.icmpv4(.timeExceeded(code: 0), forged), protocol: .icmpv4))
    let fragment = Frame.bareIPv4(Frame.udp(), from: Host.ipv4, to: Host.peer4) { $0.fragmentOffset = 64 }
    host.exchange(Frame.ipv4(Frame.icmpv4(.timeExceeded(code: 0), fragment), protocol: .icmpv4))
    #expect(host.received.failures.count == 2)
    #expect(host.count(.icmpErrorsReceived) == 2 && host.count(.icmpErrorsIgnored) == 2)
    #expect(host.packetsInUse == 0)
  }

  // Rules: RFC 6633 5-1, 8-1
  @Test func sourceQuenchesReachNobody() {
    let host = Host()
    let inner = Frame.bareIPv4(Frame.udp(from: 1111, to: 2222), from: Host.ipv4, to: IPAddress("9.9.9.9")!)
    for kind: UInt8 in [4, 3] {
      // A quench has the form of "host unreachable" but for its type, and is told to nobody.
      var message = Frame.icmpv4(.destinationUnreachable(code: kind == 3 ? 1 : 0, nextHopMTU: 0), inner)
      message[0] = kind
      // The checksum's high byte, of which the type is a part.
      message[2] &+= 3 &- kind
      host.exchange(Frame.ipv4(message, protocol: .icmpv4, from: IPAddress("10.0.2.1")!))
      #expect(host.count(.icmpBadChecksum) == 0)
      #expect(host.received.failures.count == (kind == 3 ? 1 : 0))
    }
    #expect(host.count(.icmpUnknownType) == 1)
    #expect(host.packetsInUse == 0)
  }

  // Rules: RFC 1122 3.2.2.4-1, 3.2.2.5-1
  @Test func timesAndParametersAreToldToo() {
    let host = Host()
    let inner4 = Frame.bareIPv4(Frame.udp(from: 1111, to: 2222), from: Host.ipv4, to: Host.peer4)
    for message in [ICMPv4Message.timeExceeded(code: 0), .parameterProblem(code: 0, pointer: 20)] {
      host.exchange(Frame.ipv4(Frame.icmpv4(message, inner4), protocol: .icmpv4))
    }
    #expect(host.received.failures.map(\.reason) == [.timeExceeded, .parameterProblem(pointer: 20)])
    #expect(host.received.failures.allSatisfy { $0.local.port == 1111 && $0.remote.port == 2222 })
    #expect(host.packetsInUse == 0)
  }

  @Test func anEmptyPoolIsCountedNotFatal() {
    let host = Host(packetLimit: 66)  // 64 of them are the transports' reserve
    host.send(Frame.udp(), to: Host.peer4)
    host.send(Frame.udp(), to: IPAddress("10.0.2.101")!)
    #expect(host.packetsInUse <= 2)
    #expect(host.count(.poolExhausted) > 0)
    host.scheduler.run(milliseconds: 10_000)
    #expect(host.packetsInUse == 0)
    host.send(Frame.udp([1]), to: Host.peer4)
    _ = host.wire.takeSent()
    #expect(host.exchange(Frame.arpReply()).compactMap(\.last) == [1])
  }
}
