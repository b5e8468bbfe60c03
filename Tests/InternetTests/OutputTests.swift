import Buffers
import Devices
import Exclusion
import SoftInterrupts
import Testing
import Timing
import Wire

@testable import Internet

@Suite struct OutputTests {
  /// Sends and returns what `send` said.
  private func outcome(
    _ host: Host, _ count: Int = 8, from source: IPAddress = Host.ipv4,
    to destination: IPAddress = Host.peer4,
    headroom: Int = Packet.headroomDefault
  ) -> SendOutcome? {
    final class Box: @unchecked Sendable { var outcome: SendOutcome? }
    let (box, layer) = (Box(), host.layer)
    host.perform { cx in
      guard var packet = cx.pool.allocate(headroom: headroom) else { return }
      fill(&packet, [UInt8](repeating: 0, count: count))
      box.outcome = layer.send(packet, from: source, to: destination, protocol: .udp, &cx)
    }
    return box.outcome
  }

  @Test func whatCannotBeSentIsSaidAndCounted() {
    let host = Host()
    host.introducePeer()
    #expect(outcome(host, 1480) == .sent)
    #expect(outcome(host, 1481) == .tooBig(mtu: 1500))
    #expect(outcome(host, 1460, from: Host.ipv6, to: Host.peer6) == .sent)
    #expect(outcome(host, 1461, from: Host.ipv6, to: Host.peer6) == .tooBig(mtu: 1500))
    #expect(outcome(host, to: IPAddress("8.8.8.8")!) == .noRoute)
    #expect(outcome(host, from: IPAddress("10.0.2.3")!) == .badSource)
    #expect(outcome(host, from: Host.ipv6) == .badSource)
    #expect(outcome(host, headroom: 20) == .noHeadroom)
    #expect(host.count(.sendTooBig) == 2 && host.count(.sendNoRoute) == 1)
    #expect(host.count(.sendBadSource) == 2 && host.count(.sendNoHeadroom) == 1)
    #expect(host.packetsInUse == 0)
  }

  /// The shorter output of connections writes what the general one does, and refuses what that refuses.
  @Test func theShortOutputIsTheGeneralOne() throws {
    let host = Host()
    host.introducePeer()
    let layer = host.layer
    for destination in [Host.peer4, Host.peer6] {
      let route = try #require(layer.route(to: destination))
      let source = destination.isIPv4 ? Host.ipv4 : Host.ipv6
      let cases: [(Int, Bool, UInt8?)] = [
        (8, false, nil), (21, true, 7), (1400, false, 255), (1500, false, 1),
      ]
      for (count, mayFragment, limit) in cases {
        host.perform { cx in
          for isShort in [false, true] {
            guard var packet = cx.pool.allocate() else { return }
            fill(&packet, [UInt8](repeating: 0xAB, count: count))
            packet.metadata.trafficClass = 0xB8
            if isShort {
              layer.send(
                packet, by: route, from: source, to: destination, protocol: .tcp, hopLimit: limit,
                mayFragment: mayFragment, &cx)
            } else {
              layer.send(
                packet, from: source, to: destination, protocol: .tcp, hopLimit: limit,
                trafficClass: TrafficClass(rawValue: 0xB8), mayFragment: mayFragment, route: route, &cx)
            }
          }
        }
        var sent = host.wire.takeSent()
        #expect(sent.count == (count < 1500 ? 2 : 0))
        guard sent.count == 2 else { continue }
        if mayFragment, destination.isIPv4 {
          // The next number, and the checksum that goes with it.
          #expect(Frame.ipv4(sent[1])?.header.identification != Frame.ipv4(sent[0])?.header.identification)
          let second = sent[1]
          let header = second.span
          let sum = unsafe InternetChecksum.of(header.bytes.extracting(14..<34))
          #expect(sum == 0)
          for at in [18, 19, 24, 25] { sent[1][at] = sent[0][at] }
        }
        #expect(sent[0] == sent[1])
      }
    }
    #expect(host.count(.sendTooBig) == 4)
    #expect(host.packetsInUse == 0)
  }

  // Rules: RFC 1122 3.2.1.3-3; RFC 9293 MUST-44
  @Test func anUnspecifiedSourceIsChosenUnlessTheRouteIsGiven() throws {
    let host = Host()
    host.introducePeer()
    host.send(Frame.udp(), to: Host.peer4, from: .anyIPv4)
    #expect(Frame.ipv4(host.wire.takeSent().last ?? [])?.header.source == Host.ipv4.ipv4)
    let everybody = IPAddress("255.255.255.255")!
    let route = try #require(host.layer.route(to: everybody, zone: host.link))
    host.send(Frame.udp(), to: everybody, from: .anyIPv4, route: route)
    #expect(Frame.ipv4(host.wire.takeSent().last ?? [])?.header.source == .any)
    let other = try #require(host.layer.route(to: Host.peer4))
    host.send(Frame.udp(), to: Host.peer4, from: Host.ipv6, route: other)
    #expect(host.count(.sendBadSource) == 1)
    #expect(host.packetsInUse == 0)
  }

  @Test func groupsAndBroadcastsNeedNoResolution() throws {
    let host = Host()
    for (text, station) in [
      ("255.255.255.255", MACAddress.broadcast), ("10.0.2.255", .broadcast),
      ("224.0.0.251", MACAddress(0x0100_5E00_00FB)), ("ff02::fb", MACAddress(0x3333_0000_00FB)),
    ] {
      host.send(Frame.udp([1]), to: IPAddress(text)!)
      #expect(host.wire.takeSent().compactMap { Frame.header($0)?.destination } == [station])
    }
    #expect(host.packetsInUse == 0)
  }

  /// What is sent to ourselves comes back in a later pass, not inside the sender's frame.
  @Test(arguments: ["127.0.0.1", "10.0.2.2", "fd00:2::2", "::1"])
  func R2_TX_NOREC_ownAddressesLoopBackLater(text: String) throws {
    let host = Host()
    let own = IPAddress(text)!
    let (layer, received) = (host.layer, host.received)
    final class Seen: @unchecked Sendable { var inside = 0 }
    let seen = Seen()
    host.perform { cx in
      guard var packet = cx.pool.allocate() else { return }
      fill(&packet, Frame.udp([1, 2]))
      layer.send(packet, from: own, to: own, protocol: .udp, &cx)
      seen.inside = received.packets.count
    }
    #expect(seen.inside == 0)
    #expect(
      host.received.packets == [
        Host.Received.Arrival(source: own, destination: own, bytes: Frame.udp([1, 2]))
      ])
    #expect(host.wire.takeSent().isEmpty)
    #expect(host.packetsInUse == 0)
  }

  @Test func pingOverLoopback() {
    let host = Host(protocols: [.icmpv4])
    let layer = host.layer
    host.perform { cx in
      guard var packet = cx.pool.allocate() else { return }
      fill(&packet, Frame.icmpv4(.echoRequest(identifier: 3, sequence: 4)))
      layer.send(
        packet, from: IPAddress("127.0.0.1")!, to: IPAddress("127.0.0.1")!, protocol: .icmpv4, &cx)
    }
    #expect(host.received.packets.map(\.bytes) == [Frame.icmpv4(.echoReply(identifier: 3, sequence: 4))])
    #expect(host.packetsInUse == 0)
  }

  @Test func onlyWhatMayBeFragmentedHasANumber() {
    let host = Host(linkLayer: .ip)
    let layer = host.layer
    final class Seen: @unchecked Sendable { var headers: [(mayFragment: Bool, number: UInt16)] = [] }
    let seen = Seen()
    host.perform { cx in
      for isFree in [false, true, true] {
        guard var packet = cx.pool.allocate() else { return }
        fill(&packet, Frame.udp())
        let number = isFree ? layer.nextIdentification(cx) : nil
        layer.buildHeader(&packet, Host.ipv4, Host.peer4, .udp, identification: number)
        guard let view = try? IPv4View(packet.bytes) else { return }
        seen.headers.append((!view.dontFragment, view.identification))
      }
    }
    #expect(seen.headers.map(\.mayFragment) == [false, true, true])
    #expect(seen.headers.count == 3 && seen.headers[0].number == 0)
    #expect(seen.headers.count == 3 && seen.headers[2].number == seen.headers[1].number &+ 1)
    #expect(host.packetsInUse == 0)
  }

  @Test func whatIsLeftToTheDeviceMovesWithTheHeaders() {
    let host = Host(linkLayer: .ip)
    let layer = host.layer
    final class Seen: @unchecked Sendable { var offload: PacketOffload? }
    let seen = Seen()
    host.perform { cx in
      guard var packet = cx.pool.allocate() else { return }
      fill(&packet, Frame.udp())
      packet.metadata.offload.needsChecksum = true
      packet.metadata.offload.checksumOffset = 6
      packet.metadata.source = Host.ipv6
      layer.buildHeader(&packet, Host.ipv6, Host.peer6, .udp)
      seen.offload = packet.metadata.offload
    }
    #expect(seen.offload?.checksumStart == 40 && seen.offload?.checksumOffset == 6)
    #expect(host.packetsInUse == 0)
  }

  /// Two stacks on one link find each other and ping, without a test in between.
  @Test(arguments: [true, false])
  func twoStacksTalk(isIPv4: Bool) throws {
    let clock = VirtualClock(start: Instant(milliseconds: 1000))
    let scheduler = ManualScheduler(clock: clock)
    let pair = LinkPair(left: .ethernet(Host.station), right: .ethernet(Host.peerStation))
    func stack(_ device: any Device, _ addresses: [String]) throws -> (ContextSet, InternetLayer) {
      let contexts = try ContextSet(ContextConfiguration(timeSource: clock))
      let layer = InternetLayer(contexts: contexts, configuration: InternetConfiguration(seed: 3))
      let link = try layer.addInterface(InterfaceDescription(device: device))
      try layer.configure { tables throws(NetworkChangeError) in
        for text in addresses {
          try tables.addAddress(InterfaceAddress(IPPrefix(text)!, interface: link))
        }
      }
      return (contexts, layer)
    }
    let (leftContexts, left) = try stack(pair.left, ["10.0.2.2/24", "fd00:2::2/64"])
    let (rightContexts, right) = try stack(pair.right, ["10.0.2.100/24", "fd00:2::100/64"])
    final class Replies: @unchecked Sendable { var bytes: [[UInt8]] = [] }
    let replies = Replies()
    left.setTransport(
      TransportHandler(receive: { packet, _ in replies.bytes.append(copy(packet)) }),
      for: isIPv4 ? .icmpv4 : .icmpv6)
    scheduler.add(leftContexts)
    scheduler.add(rightContexts)
    let (own, peer) = isIPv4 ? (Host.ipv4, Host.peer4) : (Host.ipv6, Host.peer6)
    for sequence in 1...5 as ClosedRange<UInt16> {
      leftContexts.perform(on: 0) { cx in
        guard var packet = cx.pool.allocate() else { return }
        let request =
          isIPv4
          ? Frame.icmpv4(.echoRequest(identifier: 1, sequence: sequence), [1, 2, 3])
          : Frame.icmpv6(.echoRequest(identifier: 1, sequence: sequence), [1, 2, 3], from: own, to: peer)
        fill(&packet, request)
        left.send(packet, from: own, to: peer, protocol: isIPv4 ? .icmpv4 : .icmpv6, &cx)
      }
      scheduler.settle()
    }
    #expect(replies.bytes.count == 5)
    #expect(right.count(of: .icmpEchoReplies) == 5)
    #expect(left.count(of: .solicitationsSent) == 1 && right.count(of: .solicitationsSent) == 0)
    scheduler.run(until: clock.now().adding(milliseconds: 60_000))
    #expect(scheduler.nextDeadline == nil)
    #expect(leftContexts.pool(0).inUse == 0 && rightContexts.pool(0).inUse == 0)
  }
}
