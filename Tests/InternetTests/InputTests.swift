import Chance
import Buffers
import Devices
import Exclusion
import SoftInterrupts
import Testing
import Wire

@testable import Internet

@Suite struct InputTests {
  /// A frame that nobody gets, and the one counter that says why.
  struct Bad: Sendable, CustomTestStringConvertible {
    var why: InternetEvent
    var frame: [UInt8]
    var testDescription: String { "\(why)" }
    init(_ why: InternetEvent, _ frame: [UInt8]) {
      self.why = why
      self.frame = frame
    }
  }

  static func address(_ text: String) -> IPAddress { IPAddress(text)! }
  static func flipped(_ frame: [UInt8], at offset: Int) -> [UInt8] {
    var frame = frame
    frame[offset] ^= 0x55
    return frame
  }

  static let badFrames: [Bad] = [
    Bad(.frameTooShort, []),
    Bad(.frameTooShort, [UInt8](repeating: 1, count: 13)),
    Bad(.frameNotForUs, Frame.ethernet(Frame.bareIPv4([]), type: .ipv4, to: MACAddress(0x0200_0000_0003))),
    Bad(.frameFromGroup, Frame.ethernet(Frame.bareIPv4([]), type: .ipv4, from: MACAddress(0x0100_0000_0003))),
    Bad(.unknownVLAN, Frame.ethernet([], type: .ipv4, vlan: VLANTag(identifier: 7))),
    Bad(.unknownVLAN, Frame.ethernet([], type: .ipv4, vlan: VLANTag(rawValue: 9, isService: true))),
    Bad(.unknownVLAN, Frame.ethernet([0x81, 0, 0, 0], type: .vlan, vlan: VLANTag(identifier: 0))),
    Bad(.unknownEtherType, Frame.ethernet([1, 2, 3], type: EtherType(rawValue: 0x88CC))),
    Bad(.unknownEtherType, Frame.ethernet([1, 2, 3], type: EtherType(rawValue: 3))),

    Bad(.ipv4Malformed, Frame.ethernet([0x45, 0, 0], type: .ipv4)),
    // R6: the total length is more than there is.
    Bad(.ipv4Malformed, Frame.ethernet([UInt8](repeating: 0x45, count: 20), type: .ipv4)),
    Bad(.ipv4Malformed, Frame.ipv4([]) { $0.totalLength = 19 }),
    Bad(.ipv4Malformed, Frame.ipv4([]) { $0.totalLength = 2000 }),
    Bad(.ipv4Malformed, Frame.ethernet(flipped(Frame.bareIPv4([]), at: 0), type: .ipv4)),  // version 1
    Bad(.ipv4BadChecksum, flipped(Frame.ipv4(Frame.udp()), at: 14 + 10)),
    Bad(.ipv4SourceRoute, Frame.ipv4(Frame.udp(), options: [131, 7, 4, 10, 0, 2, 1, 0])),
    Bad(.ipv4SourceRoute, Frame.ipv4(Frame.udp(), options: [1, 137, 7, 4, 10, 0, 2, 1])),
    Bad(.ipv4MartianSource, Frame.ipv4(Frame.udp(), from: address("127.0.0.1"))),
    Bad(.ipv4MartianSource, Frame.ipv4(Frame.udp(), from: address("224.0.0.1"))),
    Bad(.ipv4MartianSource, Frame.ipv4(Frame.udp(), from: address("255.255.255.255"))),
    Bad(.ipv4MartianSource, Frame.ipv4(Frame.udp(), from: address("0.0.0.0"))),
    Bad(.ipv4MartianSource, Frame.ipv4(Frame.udp(), from: address("0.1.2.3"))),
    Bad(.ipv4MartianSource, Frame.ipv4(Frame.udp(), from: address("241.0.0.1"))),
    Bad(.ipv4MartianSource, Frame.ipv4(Frame.udp(), from: address("10.0.2.255"))),
    Bad(.ipv4MartianSource, Frame.ipv4(Frame.udp(), from: Host.ipv4)),
    Bad(.ipv4MartianDestination, Frame.ipv4(Frame.udp(), to: address("127.0.0.1"))),
    Bad(.ipv4MartianDestination, Frame.ipv4(Frame.udp(), to: address("0.0.0.0"))),
    Bad(.ipv4MartianDestination, Frame.ipv4(Frame.udp(), to: address("250.0.0.1"))),
    Bad(.ipv4MartianDestination, Frame.ipv4(Frame.udp(), station: .broadcast)),
    Bad(.ipv4NotForUs, Frame.ipv4(Frame.udp(), to: address("10.0.2.3"))),
    Bad(.ipv4NotForUs, Frame.ipv4(Frame.udp(), to: address("8.8.8.8"))),
    Bad(.fragmentMalformed, Frame.ipv4(Frame.udp([1])) { $0.moreFragments = true }),
    Bad(.fragmentMalformed, Frame.ipv4(Frame.udp()) { $0.fragmentOffset = 65_528 }),
    Bad(
      .groupNotJoined,
      Frame.ipv4(Frame.udp(), to: address("224.0.0.251"), station: MACAddress(0x0100_5E00_00FB))),

    Bad(.ipv6Malformed, Frame.ethernet([0x60, 0, 0], type: .ipv6)),
    Bad(.ipv6Malformed, Frame.ethernet([UInt8](repeating: 0x60, count: 40), type: .ipv6)),
    Bad(.ipv6Malformed, flipped(Frame.ipv6(Frame.udp()), at: 14)),
    Bad(
      .ipv6BadExtension, Frame.ipv6([17, 0, 0x41, 0, 0, 0, 0, 0] + Frame.udp(), next: .destinationOptions)),
    Bad(.ipv6BadExtension, Frame.ipv6([17, 9, 0, 0, 0, 0, 0, 0], next: .hopByHop)),
    Bad(.ipv6MartianSource, Frame.ipv6(Frame.udp(), from: address("::1"))),
    Bad(.ipv6MartianSource, Frame.ipv6(Frame.udp(), from: address("ff02::1"))),
    Bad(.ipv6MartianSource, Frame.ipv6(Frame.udp(), from: Host.ipv6)),
    Bad(.ipv6MartianSource, Frame.ipv6(Frame.udp(), from: address("::ffff:10.0.2.100"))),
    Bad(.ipv6MartianDestination, Frame.ipv6(Frame.udp(), to: address("::ffff:10.0.2.2"))),
    Bad(.ipv6MartianDestination, Frame.ipv6(Frame.udp(), to: address("::1"))),
    Bad(.ipv6MartianDestination, Frame.ipv6(Frame.udp(), to: address("::"))),
    Bad(.ipv6MartianDestination, Frame.ipv6(Frame.udp(), to: address("ff01::1"))),
    Bad(.ipv6NotForUs, Frame.ipv6(Frame.udp(), to: address("fd00:2::3"))),
    Bad(.groupNotJoined, Frame.ipv6(Frame.udp(), to: address("ff02::fb"))),
    Bad(.ipv6NoNextHeader, Frame.ipv6([1, 2, 3], next: .none)),

    Bad(.icmpMalformed, Frame.ipv4([8, 0, 1], protocol: .icmpv4)),
    Bad(
      .icmpBadChecksum,
      Frame.ipv4(flipped(Frame.icmpv4(.echoRequest(identifier: 1, sequence: 1)), at: 4), protocol: .icmpv4)),
    Bad(
      .icmpBadChecksum,
      Frame.ipv6(flipped(Frame.icmpv6(.echoRequest(identifier: 1, sequence: 1)), at: 4), next: .icmpv6)),
    Bad(.icmpUnknownType, Frame.ipv4(Frame.icmpv4(.other(type: 40, code: 0, rest: 0)), protocol: .icmpv4)),
    Bad(.icmpUnknownType, Frame.ipv6(Frame.icmpv6(.other(type: 200, code: 0, rest: 0)), next: .icmpv6)),
    Bad(.icmpErrorsIgnored, Frame.ipv4(Frame.icmpv4(.timeExceeded(code: 0), [0x45, 0]), protocol: .icmpv4)),
    Bad(.ndIgnored, Frame.ipv6(Frame.icmpv6(.routerSolicitation), next: .icmpv6, hopLimit: 255)),
    Bad(.ndInvalid, Frame.ipv6(Frame.icmpv6(.routerSolicitation), next: .icmpv6, hopLimit: 64)),

    Bad(.arpMalformed, Frame.ethernet([0, 1, 8, 0, 6, 4], type: .arp)),
    Bad(.arpMalformed, Frame.ethernet([UInt8](repeating: 0, count: 28), type: .arp)),
    Bad(.arpMalformed, Frame.ethernet(Frame.payload(Frame.arp(.request, station: .broadcast)), type: .arp)),
    Bad(.arpMalformed, Frame.arp(.request, sender: address("127.0.0.1"))),
  ]

  // Rules: RFC 1122 3.2.1.2-1, 3.2.1.3-1, 3.2.1.3-2, 3.2.2-1
  @Test(arguments: badFrames)
  func R7_whatNobodyWantsIsCountedAndRecycled(bad: Bad) {
    let host = Host()
    let answer = host.exchange(bad.frame)
    #expect(answer.isEmpty)
    #expect(host.count(bad.why) == 1)
    #expect(host.received.packets.isEmpty)
    #expect(host.packetsInUse == 0)
    let statistics = host.layer.statistics().interfaces[Int(host.link) - 1]
    #expect(statistics.packetsReceived == 1 && statistics.packetsDropped == 1)
    // Service goes on.
    host.exchange(Frame.ipv4(Frame.udp([1])))
    #expect(host.received.packets.count == 1)
    #expect(host.packetsInUse == 0)
  }

  /// Frames from two stations on two queues, in turn: each answer goes to who asked, by the queue of its question.
  @Test func R9_whatIsKnownOfAPacketTravelsWithIt() {
    let host = Host(contexts: 2, queues: 2)
    let stations = [MACAddress(0x0200_0000_0071), MACAddress(0x0200_0000_0072)]
    let senders = [IPAddress("10.0.2.71")!, IPAddress("10.0.2.72")!]
    for round in 0..<20 {
      for side in [0, 1] {
        let question = Frame.arp(.request, sender: senders[side], station: stations[side])
        host.wire.arrive(question, queue: (side + round) % 2)
      }
      for context in [round % 2, 1 - round % 2, 0, 1] { host.scheduler.step(host.contexts, context: context) }
    }
    host.scheduler.settle()
    var answers = [0, 0]
    for frame in host.wire.takeSent() {
      guard let answer = Frame.arp(frame), answer.operation == .reply else { continue }
      let side = answer.target == senders[0].ipv4 ? 0 : 1
      answers[side] += 1
      #expect(Frame.header(frame)?.destination == stations[side])
      #expect(answer.targetHardware == stations[side] && answer.target == senders[side].ipv4)
    }
    #expect(answers == [20, 20])
    #expect(host.packetsInUse == 0)
  }

  /// A frame that comes alone is worked on in the same instant: nothing is held for company.
  @Test func RX_HOLD_aFrameIsNotHeldForCompany() {
    let host = Host()
    let before = host.clock.now()
    for number in 1...3 {
      host.exchange(Frame.ipv4(Frame.udp([UInt8(number)])))
      #expect(host.received.packets.count == number)
    }
    #expect(host.clock.now() == before)
  }

  /// Addresses that were looked at are known only until the tables change, for the frames to us alone, by the same link.
  @Test func whatIsKnownOfAddressesEndsWithTheTables() {
    let host = Host()
    let (other, network) = (IPAddress("10.0.2.3")!, IPPrefix("10.0.2.3/24")!)
    let link = host.link
    func change(_ edit: @escaping @Sendable (inout NetworkTables) throws(NetworkChangeError) -> Void) {
      host.perform { cx in try? cx.internet.change(&cx, edit) }
    }
    for _ in 0..<3 {
      host.exchange(Frame.ipv4(Frame.udp(), to: other))
      #expect(host.received.packets.isEmpty)
      change { tables throws(NetworkChangeError) in
        try tables.addAddress(InterfaceAddress(network, interface: link))
      }
      for _ in 0..<3 { host.exchange(Frame.ipv4(Frame.udp(), to: other)) }
      #expect(host.received.packets.count == 3)
      host.received.packets = []
      // The same addresses in a frame to everyone are nobody's (RFC 1122 section 3.3.6).
      host.exchange(Frame.ipv4(Frame.udp(), to: other, station: .broadcast))
      #expect(host.received.packets.isEmpty)
      change { tables throws(NetworkChangeError) in
        try tables.removeAddress(other, interface: link)
      }
    }
  }

  @Test func paddingAndPriorityTagsAreTakenOff() {
    let host = Host()
    let padding = [UInt8](repeating: 0xEE, count: 18)
    host.exchange(Frame.ipv4(Frame.udp([4])) + padding, Frame.ipv6(Frame.udp([6])) + padding)
    host.exchange(
      Frame.ethernet(Frame.bareIPv4(Frame.udp([8])), type: .ipv4, vlan: VLANTag(identifier: 0, priority: 5)))
    #expect(host.received.packets.map(\.bytes) == [Frame.udp([4]), Frame.udp([6]), Frame.udp([8])])
    #expect(host.received.packets.map(\.source) == [Host.peer4, Host.peer6, Host.peer4])
    #expect(host.packetsInUse == 0)
  }

  // Rules: RFC 1122 3.2.1.8-1; RFC 9293 MUST-50
  @Test func wellFormedOptionsAndExtensionsAreSteppedOver() {
    let host = Host()
    host.exchange(Frame.ipv4(Frame.udp([1]), options: [148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0]))
    host.exchange(
      Frame.ipv6([60, 0, 5, 2, 0, 0, 1, 0] + [17, 0, 1, 4, 0, 0, 0, 0] + Frame.udp([2]), next: .hopByHop),
      Frame.ipv6([17, 0, 0, 0, 0, 0, 0, 0] + Frame.udp([3]), next: .routing),  // no segments left
      Frame.ipv6([17, 0, 0, 0, 0, 0, 0, 9] + Frame.udp([4]), next: .fragment))  // atomic (RFC 6946)
    #expect(host.received.packets.compactMap(\.bytes.last) == [1, 2, 3, 4])
    #expect(host.packetsInUse == 0)
  }

  @Test func broadcastAndGroupsOfOursAreDelivered() {
    let host = Host()
    for destination in ["10.0.2.255", "255.255.255.255"] {
      host.exchange(Frame.ipv4(Frame.udp(), to: IPAddress(destination)!, station: .broadcast))
    }
    host.exchange(
      Frame.ipv4(Frame.udp(), to: IPAddress("224.0.0.1")!, station: MACAddress(0x0100_5E00_0001)),
      Frame.ipv6(Frame.udp(), to: IPAddress("ff02::1")!, station: MACAddress(0x3333_0000_0001)),
      Frame.ipv6(Frame.udp(), to: IPAddress(Host.ipv6.ipv6!.solicitedNodeMulticast)))
    // DHCP: a source without an address, to everybody.
    host.exchange(
      Frame.ipv4(Frame.udp(), from: .anyIPv4, to: IPAddress("255.255.255.255")!, station: .broadcast))
    #expect(host.received.packets.count == 6)
    #expect(host.packetsInUse == 0)
  }

  @Test func aGatewayTakesForeignDestinationsWhereItWasTold() throws {
    let host = Host(acceptsForeign: true)
    host.introducePeer()
    let outside = IPAddress("93.184.216.34")!
    host.exchange(Frame.ipv4(Frame.udp([5]), to: outside))
    #expect(host.received.packets.last?.destination == outside)
    host.send(Frame.udp([6]), to: Host.peer4, from: outside)
    let (header, _) = try #require(Frame.ipv4(host.wire.takeSent().last ?? []))
    #expect(header.source == outside.ipv4)
    // But it does not pretend to be a host that it cannot ask.
    let answer = host.exchange(
      Frame.ipv4(Frame.icmpv4(.echoRequest(identifier: 1, sequence: 1)), protocol: .icmpv4, to: outside))
    #expect(answer.isEmpty)
    #expect(host.packetsInUse == 0)
  }

  @Test func barePacketsNeedNoLinkHeader() throws {
    let host = Host(linkLayer: .ip)
    host.exchange(Frame.bareIPv4(Frame.udp([1])))
    #expect(host.received.packets.count == 1)
    host.exchange([0x10, 1, 2], [])
    #expect(host.count(.unknownEtherType) == 1 && host.count(.frameTooShort) == 1)
    host.send(Frame.udp([2]), to: Host.peer6)
    let sent = try #require(host.wire.takeSent().first)
    #expect(sent.count == 40 + 9 && sent[0] == 0x60)  // nobody was asked for a station
    #expect(host.packetsInUse == 0)
  }

  /// SeededGenerator garbage: bytes at random, good frames with bytes changed, cut off, or made longer.
  @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8])
  func RX_TOTAL_garbageIsNoMoreThanCounted(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let host = Host(contexts: 2, queues: 2)
    let good: [[UInt8]] = [
      Frame.ipv4(Frame.udp([1, 2, 3])), Frame.ipv6(Frame.udp([1, 2, 3])), Frame.arpRequest(),
      Frame.arpReply(),
      Frame.neighborSolicitation(), Frame.neighborAdvertisement(),
      Frame.ipv4(Frame.icmpv4(.echoRequest(identifier: 1, sequence: 2), [1, 2, 3]), protocol: .icmpv4),
      Frame.ipv6(Frame.icmpv6(.echoRequest(identifier: 1, sequence: 2), [1, 2, 3]), next: .icmpv6),
      Frame.ipv4(
        Frame.icmpv4(
          .destinationUnreachable(code: 3, nextHopMTU: 0),
          Frame.bareIPv4(Frame.udp(), from: Host.ipv4, to: Host.peer4)), protocol: .icmpv4),
      Frame.ipv6([60, 0, 5, 2, 0, 0, 1, 0] + [17, 0, 1, 4, 0, 0, 0, 0] + Frame.udp(), next: .hopByHop),
      Frame.ipv4(Frame.udp(), options: [148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0]),
      Frame.ethernet(Frame.bareIPv4([]), type: .ipv4, vlan: VLANTag(identifier: 0)),
    ]
    let rounds = 3000
    for round in 0..<rounds {
      var frame: [UInt8]
      if Int.random(in: 0..<4, using: &random) == 0 {
        frame = (0..<Int.random(in: 0...1600, using: &random)).map { _ in
          UInt8.random(in: 0...255, using: &random)
        }
      } else {
        frame = good.randomElement(using: &random)!
        for _ in 0..<Int.random(in: 0...3, using: &random) where !frame.isEmpty {
          // Past the link header more often than not, so that something is left to parse.
          let from = frame.count > 14 && Int.random(in: 0..<8, using: &random) > 0 ? 14 : 0
          frame[Int.random(in: from..<frame.count, using: &random)] = UInt8.random(
            in: 0...255, using: &random)
        }
        switch Int.random(in: 0..<6, using: &random) {
        case 0: frame.removeLast(Int.random(in: 0...frame.count, using: &random))
        case 1: frame += [UInt8](repeating: 0xAA, count: Int.random(in: 0...1500, using: &random))
        default: break
        }
      }
      host.wire.arrive(frame, queue: round & 1)
      if round % 50 == 0 { host.scheduler.settle() }
    }
    host.scheduler.settle()
    _ = host.wire.takeSent()
    #expect(host.count(.framesReceived) == UInt64(rounds))
    // Service goes on; and what answers to garbage waited for nobody.
    host.exchange(Frame.arpReply(), Frame.neighborAdvertisement())
    let before = host.received.packets.count
    host.exchange(Frame.ipv4(Frame.udp([7])), Frame.ipv6(Frame.udp([8])))
    #expect(host.received.packets.count == before + 2)
    for index in 0..<2 {
      #expect(host.contexts.counters(index).entries.value == host.contexts.counters(index).exits.value)
    }
  }
}
