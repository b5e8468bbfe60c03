import Devices
import Exclusion
import SoftInterrupts
import Testing
import Timing
import Wire

@testable import Internet

@Suite struct NeighborTests {
  // Rules: RFC 1191 2-1; RFC 4821 4-4, 8-1, 8-2
  @Test func P4_firstPacketWaitsForTheAnswer() throws {
    let host = Host()
    host.send(Frame.udp([1, 2, 3]), to: Host.peer4)
    let asked = host.wire.takeSent()
    try #require(asked.count == 1)
    #expect(Frame.header(asked[0])?.destination == .broadcast)
    let request = try #require(Frame.arp(asked[0]))
    #expect(
      request.operation == .request && request.target == Host.peer4.ipv4 && request.sender == Host.ipv4.ipv4)

    let answered = host.exchange(Frame.arpReply())
    try #require(answered.count == 1)
    #expect(Frame.header(answered[0])?.destination == Host.peerStation)
    let (header, payload) = try #require(Frame.ipv4(answered[0]))
    #expect(payload == Frame.udp([1, 2, 3]))
    #expect(header.dontFragment && header.identification == 0 && header.timeToLive == 64)
    #expect(host.packetsInUse == 0)
  }

  @Test func P4_firstPacketWaitsForTheAdvertisement() throws {
    let host = Host()
    host.send(Frame.udp([9]), to: Host.peer6)
    let asked = host.wire.takeSent()
    try #require(asked.count == 1)
    let (header, _) = try #require(Frame.ipv6(asked[0]))
    #expect(header.hopLimit == 255 && header.destination == Host.peer6.ipv6!.solicitedNodeMulticast)
    #expect(Frame.header(asked[0])?.destination == MACAddress(multicast: header.destination))
    #expect(Frame.icmpv6(asked[0]) == .neighborSolicitation(target: Host.peer6.ipv6!))

    let answered = host.exchange(Frame.neighborAdvertisement())
    try #require(answered.count == 1)
    #expect(Frame.ipv6(answered[0])?.payload == Frame.udp([9]))
    #expect(host.packetsInUse == 0)
  }

  @Test(arguments: [Host.peer4, Host.peer6])
  func NB_PEND_waitingPacketsLeaveInOrder(peer: IPAddress) {
    let host = Host(contexts: 3, queues: 3)
    for number in 0..<12 {
      host.send(Frame.udp([UInt8(number)]), to: peer, on: number % 3)
    }
    _ = host.wire.takeSent()
    host.wire.arrive(peer.isIPv4 ? Frame.arpReply() : Frame.neighborAdvertisement())
    host.scheduler.settle()
    for context in 0..<3 {
      let own = host.wire.sent.filter { $0.queue == context }
      #expect(own.compactMap(\.bytes.last) == [0, 3, 6, 9].map { UInt8($0 + context) })
    }
    #expect(host.packetsInUse == 0)
  }

  /// A packet that is on its way to the cache is not passed by a later one that finds the answer already
  /// there: the owner ran out of budget between the two.
  @Test func NB_PEND_noPacketPassesOneThatIsUnderWay() {
    let host = Host(contexts: 2, queues: 2)
    func step(_ context: Int) { host.scheduler.step(host.contexts, context: context) }
    // The cache of interface 2 lives on context 0; context 1 can only post to it.
    host.send(Frame.udp([1]), to: Host.peer4, on: 1)
    host.wire.arrive(Frame.arpReply(), queue: 1)
    for number in 0..<80 {
      let other = IPAddress(high: 0, low: Host.peer4.low + UInt64(number % 50))
      host.wire.arrive(Frame.arpRequest(for: IPAddress("10.0.2.1")!, sender: other), queue: 1)
    }
    step(1)  // the signal
    step(1)  // answer and noise
    host.send(Frame.udp([2]), to: Host.peer4, on: 1, settles: false)
    step(1)  // and the packet behind them
    step(0)  // the answer is known now; the packet is still in the gate
    host.send(Frame.udp([3]), to: Host.peer4, on: 1, settles: false)
    step(1)
    #expect(host.wire.sent.compactMap { Frame.ipv4($0.bytes)?.payload.last } == [1])
    host.scheduler.settle()
    let sent = host.wire.sent.filter { $0.queue == 1 }
    #expect(sent.compactMap { Frame.ipv4($0.bytes)?.payload.last } == [1, 2, 3])
    #expect(host.packetsInUse == 0)
  }

  /// A stale neighbour's news and the notice of its use are under way together, and the owner runs out of budget
  /// between the two: the notice, which is in its list, is not posted again.
  @Test func NB_PEND_PCB_POST_theNoticeOfUseIsPostedOnce() {
    let host = Host(contexts: 2, queues: 2)
    func step(_ context: Int) { host.scheduler.step(host.contexts, context: context) }
    host.introducePeer()
    host.scheduler.run(milliseconds: 60_000)  // stale
    let other = MACAddress(0x0200_0000_0099)
    func noise(_ count: Int) {
      for number in 0..<count {
        let sender = IPAddress(high: 0, low: Host.peer4.low + 1 + UInt64(number % 50))
        host.wire.arrive(Frame.arpRequest(for: IPAddress("10.0.2.1")!, sender: sender), queue: 1)
      }
    }
    noise(60)
    host.wire.arrive(Frame.arp(.request, station: other, target: IPAddress("10.0.2.1")!), queue: 1)
    noise(20)
    for _ in 0..<4 { step(1) }  // all of it waits at the cache, which lives on context 0
    host.send(Frame.udp([1]), to: Host.peer4, on: 1, settles: false)
    step(1)  // used: the notice waits behind noise,
    noise(20)
    for _ in 0..<3 { step(1) }  // and before some
    #expect(Frame.header(host.wire.takeSent().last ?? [])?.destination == Host.peerStation)
    step(0)  // the news were learned, the notice was not
    host.send(Frame.udp([2]), to: Host.peer4, on: 1, settles: false)
    step(1)
    #expect(Frame.header(host.wire.takeSent().last ?? [])?.destination == other)
    host.scheduler.settle()
    // The use is known: after its delay the neighbour is probed.
    let before = host.count(.solicitationsSent)
    host.scheduler.run(milliseconds: 5500)
    #expect(host.count(.solicitationsSent) == before + 1)
    host.scheduler.run(milliseconds: 60_000)
    #expect(host.packetsInUse == 0)
  }

  /// A neighbour is given up while a packet for it is on its way: the packet asks again.
  @Test func NB_PEND_anEntryStaysWhileAPacketIsUnderWay() {
    let host = Host(contexts: 2, queues: 2)
    host.send(Frame.udp([1]), to: Host.peer4)
    host.scheduler.run(milliseconds: 2900)
    host.send(Frame.udp([2]), to: Host.peer4, on: 1, settles: false)
    host.scheduler.step(host.contexts, context: 1)
    host.clock.advance(by: .milliseconds(200))
    host.scheduler.settle()
    #expect(host.count(.neighborsFailed) == 1 && host.received.failures.count == 1)
    #expect(host.count(.solicitationsSent) == 4)
    #expect(host.layer.interface(host.link)?.neighbors?.count == 1)
    _ = host.wire.takeSent()
    #expect(host.exchange(Frame.arpReply()).compactMap(\.last) == [2])
    #expect(host.packetsInUse == 0)
  }

  @Test func NB_ONE_oneEntryAndOneQuestionForManyPackets() {
    let host = Host(contexts: 2, queues: 2)
    for context in [0, 1, 0, 1] { host.send(Frame.udp(), to: Host.peer4, on: context) }
    #expect(host.count(.neighborsCreated) == 1)
    #expect(host.count(.solicitationsSent) == 1)
    #expect(host.layer.interface(host.link)?.neighbors?.count == 1)
    host.scheduler.run(milliseconds: 10_000)  // nobody answers
    #expect(host.layer.interface(host.link)?.neighbors?.count == 0)
    #expect(host.packetsInUse == 0)
  }

  @Test func X4_theWaitingListIsBoundedAndTheOldestGivesWay() {
    let host = Host()
    for number in 0..<40 { host.send(Frame.udp([UInt8(number)]), to: Host.peer4) }
    #expect(host.packetsInUse == 16)
    #expect(host.count(.neighborWaitOverflow) == 24)
    // Others are not held up.
    let other = IPAddress("10.0.2.101")!
    host.send(Frame.udp([77]), to: other)
    _ = host.wire.takeSent()
    let sent = host.exchange(Frame.arpReply(other, station: MACAddress(0x0200_0000_0065)))
    #expect(sent.compactMap(\.last) == [77])
    #expect(host.exchange(Frame.arpReply()).compactMap(\.last) == (24..<40).map { UInt8($0) })
    #expect(host.packetsInUse == 0)
  }

  @Test(arguments: [Host.peer4, Host.peer6])
  func noAnswerIsReportedToTheTransport(peer: IPAddress) {
    let host = Host()
    host.send(Frame.udp(from: 1234, to: 80), to: peer)
    host.send(Frame.udp(from: 1235, to: 80), to: peer)
    host.scheduler.run(milliseconds: 10_000)
    #expect(host.count(.solicitationsSent) == 3)
    #expect(host.count(.neighborsFailed) == 1)
    #expect(host.count(.neighborUnreachableDrops) == 2)
    #expect(host.received.failures.map(\.reason) == [.hostUnreachable, .hostUnreachable])
    #expect(host.received.failures.map(\.local.port) == [1234, 1235])
    #expect(host.received.failures.first?.remote == SocketAddress(peer, port: 80))
    #expect(host.received.failures.first?.reporter == nil)
    #expect(host.packetsInUse == 0)
    // Forgotten: the next packet asks anew.
    #expect(host.layer.interface(host.link)?.neighbors?.count == 0)
    host.send(Frame.udp(), to: peer)
    #expect(host.count(.solicitationsSent) == 4)
    #expect(host.scheduler.nextDeadline != nil)
    host.scheduler.run(milliseconds: 10_000)
    #expect(host.scheduler.nextDeadline == nil)  // an idle stack does not tick
  }

  @Test(arguments: [Host.peer4, Host.peer6])
  func staleNeighborIsUsedProbedAndForgotten(peer: IPAddress) throws {
    let host = Host()
    host.introducePeer()
    let before = host.count(.solicitationsSent)
    host.scheduler.run(milliseconds: 60_000)  // reachable time is at most 45 s
    #expect(host.scheduler.nextDeadline == nil)
    host.send(Frame.udp([5]), to: peer)
    #expect(host.wire.takeSent().compactMap(\.last) == [5])  // no waiting while stale
    host.scheduler.run(milliseconds: 4900)
    #expect(host.count(.solicitationsSent) == before)
    host.scheduler.run(milliseconds: 200)
    let probe = try #require(host.wire.takeSent().first)
    #expect(host.count(.solicitationsSent) == before + 1)
    #expect(Frame.header(probe)?.destination == Host.peerStation)  // asked alone, not the link
    host.scheduler.run(milliseconds: 5000)
    #expect(host.count(.solicitationsSent) == before + 3)
    host.send(Frame.udp([6]), to: peer)
    #expect(Frame.header(host.wire.takeSent().last ?? [])?.destination.isMulticast == true)
    host.scheduler.run(milliseconds: 10_000)
    #expect(host.packetsInUse == 0)
  }

  @Test func confirmationFromAboveSparesTheProbe() throws {
    let host = Host()
    host.introducePeer()
    host.scheduler.run(milliseconds: 60_000)
    let before = host.count(.solicitationsSent)
    host.send(Frame.udp(), to: Host.peer4)  // delay
    let layer = host.layer
    host.scheduler.run(milliseconds: 1000)
    host.perform { cx in
      guard let route = layer.route(to: Host.peer4) else { return }
      layer.confirmReachability(route, cx)
    }
    host.scheduler.run(milliseconds: 20_000)
    #expect(host.count(.solicitationsSent) == before)
  }

  @Test func overrideRulesOfRFC4861() {
    let host = Host()
    host.introducePeer()
    let other = MACAddress(0x0200_0000_0099)
    func destination() -> MACAddress? {
      _ = host.wire.takeSent()
      host.send(Frame.udp(), to: Host.peer6)
      return Frame.header(host.wire.takeSent().last ?? [])?.destination
    }
    // Another station without override: the entry becomes stale and keeps the known one.
    host.exchange(Frame.neighborAdvertisement(station: other, flags: [.solicited]))
    #expect(destination() == Host.peerStation)
    // With override it is replaced.
    host.exchange(Frame.neighborAdvertisement(station: other, flags: [.override]))
    #expect(destination() == other)
    host.exchange(Frame.neighborAdvertisement(flags: [.solicited, .override]))
    #expect(destination() == Host.peerStation)
    host.scheduler.run(milliseconds: 100_000)
    #expect(host.packetsInUse == 0)
  }

  @Test func gratuitousMessagesUpdateButDoNotCreate() {
    let host = Host()
    host.exchange(Frame.arp(.reply, target: Host.peer4, to: .broadcast))
    host.exchange(
      Frame.neighborAdvertisement(flags: [.override], to: .allNodesIPv6))
    #expect(host.layer.interface(host.link)?.neighbors?.count == 0)
    host.introducePeer()
    let moved = MACAddress(0x0200_0000_0077)
    host.exchange(
      Frame.arp(.request, station: moved, target: Host.peer4, targetStation: .zero, to: .broadcast))
    host.send(Frame.udp(), to: Host.peer4)
    #expect(Frame.header(host.wire.takeSent().last ?? [])?.destination == moved)
  }

  @Test func requestsForUsAreAnsweredAndRemembered() throws {
    let host = Host()
    let reply = try #require(host.exchange(Frame.arpRequest()).first)
    let message = try #require(Frame.arp(reply))
    #expect(Frame.header(reply)?.destination == Host.peerStation)
    #expect(message.operation == .reply && message.senderHardware == Host.station)
    #expect(message.sender == Host.ipv4.ipv4 && message.target == Host.peer4.ipv4)
    // The asker is known now: no question of our own.
    host.send(Frame.udp([3]), to: Host.peer4)
    #expect(host.wire.takeSent().compactMap(\.last) == [3])

    let advertisement = try #require(host.exchange(Frame.neighborSolicitation()).first)
    #expect(Frame.ipv6(advertisement)?.header.hopLimit == 255)
    #expect(
      Frame.icmpv6(advertisement)
        == .neighborAdvertisement(flags: [.solicited, .override], target: Host.ipv6.ipv6!))
    #expect(Frame.header(advertisement)?.destination == Host.peerStation)
    #expect(host.exchange(Frame.arpRequest(for: IPAddress("10.0.2.3")!)).isEmpty)
    #expect(host.exchange(Frame.neighborSolicitation(for: IPAddress("fd00:2::3")!)).isEmpty)
    #expect(host.packetsInUse == 0)
  }

  @Test func duplicateDetectionOfOthersIsAnsweredToAll() throws {
    let host = Host()
    let reply = try #require(
      host.exchange(Frame.neighborSolicitation(from: .anyIPv6, station: nil)).first)
    #expect(Frame.ipv6(reply)?.header.destination == .allNodes)
    #expect(Frame.icmpv6(reply) == .neighborAdvertisement(flags: .override, target: Host.ipv6.ipv6!))
    let probe = try #require(host.exchange(Frame.arpRequest(sender: .anyIPv4)).first)
    #expect(Frame.arp(probe)?.operation == .reply)
    #expect(host.layer.interface(host.link)?.neighbors?.count == 0)
  }

  @Test func newAddressesAreAnnounced() throws {
    let host = Host()
    let (layer, link) = (host.layer, host.link)
    host.perform { cx in
      try? layer.change(&cx) { tables throws(NetworkChangeError) in
        try tables.addAddress(InterfaceAddress(IPPrefix("10.0.2.9/24")!, interface: link))
        try tables.addAddress(InterfaceAddress(IPPrefix("fd00:2::9/64")!, interface: link))
      }
    }
    let sent = host.wire.takeSent()
    try #require(sent.count == 2)
    let request = try #require(Frame.arp(sent[0]))
    #expect(request.sender == IPv4Address(10, 0, 2, 9) && request.target == request.sender)
    #expect(Frame.header(sent[0])?.destination == .broadcast)
    #expect(
      Frame.icmpv6(sent[1])
        == .neighborAdvertisement(flags: .override, target: IPv6Address("fd00:2::9")!))
    #expect(Frame.ipv6(sent[1])?.header.destination == .allNodes)
    // And they answer from then on.
    #expect(host.exchange(Frame.arpRequest(for: IPAddress("10.0.2.9")!)).count == 1)
    #expect(host.packetsInUse == 0)
  }

  @Test func conflictsAreCounted() {
    let host = Host()
    host.exchange(
      Frame.arp(.request, sender: Host.ipv4, target: Host.ipv4, targetStation: .zero, to: .broadcast))
    #expect(host.count(.addressConflict) == 1)
    host.exchange(Frame.neighborAdvertisement(Host.ipv6, flags: .override, to: .allNodesIPv6))
    // Our own address as source is a martian before it is a conflict; a peer that lies about the target only:
    let message = Frame.icmpv6(
      .neighborAdvertisement(flags: .override, target: Host.ipv6.ipv6!),
      Frame.bytes(8) { NeighborDiscoveryOption.targetLinkLayer(Host.peerStation).emit(into: &$0, at: 0) })
    host.exchange(Frame.ipv6(message, next: .icmpv6, hopLimit: 255))
    #expect(host.count(.ipv6MartianSource) == 1)
    #expect(host.count(.addressConflict) == 2)
  }

  @Test func invalidDiscoveryIsDropped() {
    let host = Host()
    #expect(host.exchange(Frame.neighborSolicitation(hopLimit: 254)).isEmpty)
    #expect(host.exchange(Frame.neighborSolicitation(from: .anyIPv6)).isEmpty)  // must not name a station
    host.exchange(Frame.neighborAdvertisement(to: .allNodesIPv6))  // solicited, to a group
    host.exchange(Frame.neighborAdvertisement(station: .broadcast))
    let zeroLength = Frame.icmpv6(.neighborSolicitation(target: Host.ipv6.ipv6!), [1, 0, 0, 0, 0, 0, 0, 0])
    host.exchange(Frame.ipv6(zeroLength, next: .icmpv6, hopLimit: 255))
    #expect(host.count(.ndInvalid) == 5)
    #expect(host.packetsInUse == 0)
  }

  @Test func theCacheIsBounded() {
    let host = Host { $0.neighborLimit = 32 }
    func address(_ number: Int) -> IPAddress { IPAddress(high: 0, low: Host.peer4.low + UInt64(number)) }
    // A sweep of the subnet: nobody answers, yet each packet gets its question.
    for number in 1...100 { host.send(Frame.udp(), to: address(number)) }
    #expect(host.count(.solicitationsSent) == 100)
    #expect(host.layer.interface(host.link)?.neighbors?.count == 32)
    #expect(host.count(.neighborsEvicted) == 68)
    // One that answers and is used survives the sweep.
    host.send(Frame.udp(), to: Host.peer4)
    host.exchange(Frame.arpReply())
    for number in 1...100 { host.send(Frame.udp(), to: address(number)) }
    let before = host.count(.solicitationsSent)
    host.send(Frame.udp(), to: Host.peer4)
    #expect(host.count(.solicitationsSent) == before)
    host.scheduler.run(milliseconds: 100_000)
    #expect(host.packetsInUse == 0)
    #expect(host.layer.interface(host.link)?.neighbors?.count == 1)
  }
}
