import Testing
import Timing
import Wire

@testable import Internet

/// Packets in fragments, both ways (RFC 791, RFC 8200 section 4.5, RFC 5722, RFC 6980).
@Suite struct FragmentTests {
  /// The fragments of a datagram of `count` bytes, each of at most `size`.
  private static func pieces(
    _ payload: [UInt8], size: Int, isIPv4: Bool, identification: UInt32 = 7, number: IPProtocol = .udp
  ) -> [[UInt8]] {
    stride(from: 0, to: payload.count, by: size).map { at in
      let piece = Array(payload[at..<min(at + size, payload.count)])
      return fragment(
        piece, at: at, hasMore: at + size < payload.count, isIPv4: isIPv4, identification: identification,
        number: number)
    }
  }
  private static func fragment(
    _ piece: [UInt8], at: Int, hasMore: Bool, isIPv4: Bool, identification: UInt32 = 7,
    number: IPProtocol = .udp
  ) -> [UInt8] {
    if isIPv4 {
      return Frame.ipv4(piece, protocol: number) {
        $0.fragmentOffset = UInt16(at)
        $0.moreFragments = hasMore
        $0.identification = UInt16(truncatingIfNeeded: identification)
        $0.dontFragment = false
      }
    }
    let header = IPv6Fragment(
      nextHeader: number, offset: UInt16(at), moreFragments: hasMore, identification: identification)
    return Frame.ipv6(
      Frame.bytes(8) { header.emit(into: &$0) } + piece, next: .fragment, hopLimit: 255)
  }
  private static func payload(_ count: Int) -> [UInt8] {
    Frame.udp((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
  }

  @Test(arguments: [true, false], [1480, 552, 8])
  func inWhateverOrderTheyComeTheyAreOnePacket(isIPv4: Bool, size: Int) {
    let payload = Self.payload(size == 8 ? 200 : 65_000)
    let pieces = Self.pieces(payload, size: size, isIPv4: isIPv4)
    let orders = [pieces, pieces.reversed(), pieces.indices.sorted { $0 % 3 < $1 % 3 }.map { pieces[$0] }]
    for (number, order) in orders.enumerated() {
      let host = Host()
      for piece in order { host.wire.arrive(piece) }
      host.scheduler.settle()
      #expect(host.received.packets.count == 1, "order \(number)")
      #expect(host.received.packets.first?.bytes == payload)
      #expect(host.received.packets.first?.source == (isIPv4 ? Host.peer4 : Host.peer6))
      #expect(host.count(.fragmentsJoined) == 1 && host.packetsInUse == 0)
      #expect(host.contexts.counters(0).timersArmed.value == 0)
    }
  }

  @Test(arguments: [true, false]) func theyMeetWhateverContextTheyComeBy(isIPv4: Bool) {
    let host = Host(contexts: 4, queues: 4)
    for identification in 0..<8 as Range<UInt32> {
      let payload = Self.payload(3000 + Int(identification))
      for (index, piece) in Self.pieces(
        payload, size: 800, isIPv4: isIPv4, identification: identification
      ).enumerated() {
        host.wire.arrive(piece, queue: (index + Int(identification)) % 4)
      }
      host.scheduler.settle()
      #expect(host.received.packets.last?.bytes == payload)
    }
    #expect(host.received.packets.count == 8 && host.packetsInUse == 0)
  }

  @Test(arguments: [true, false]) func whatContradictsIsThrownAwayWhole(isIPv4: Bool) {
    let host = Host()
    let payload = Self.payload(2000)
    let pieces = Self.pieces(payload, size: 1000, isIPv4: isIPv4)
    // The same again is no contradiction.
    host.exchange(pieces[0], pieces[0])
    #expect(host.count(.fragmentRepeated) == 1)
    let overlap = Self.fragment(Array(payload[992..<1992]), at: 992, hasMore: true, isIPv4: isIPv4)
    host.exchange(overlap)
    #expect(host.count(.fragmentOverlap) == 1 && host.packetsInUse == 0)
    // Nothing is left of it: the rest does not make it whole.
    host.exchange(pieces[1], pieces[2])
    #expect(host.received.packets.isEmpty)
    // Another end than before.
    host.exchange(
      Self.fragment([1, 2, 3, 4, 5, 6, 7, 8], at: 3000, hasMore: false, isIPv4: isIPv4, identification: 9),
      Self.fragment([1, 2, 3, 4, 5, 6, 7, 8], at: 3008, hasMore: false, isIPv4: isIPv4, identification: 9))
    #expect(host.count(.fragmentOverlap) == 2 && host.packetsInUse == 2, "what is left of the first")
  }

  @Test(arguments: [true, false]) func whatIsMissingIsNotWaitedForForEver(isIPv4: Bool) throws {
    let host = Host()
    host.introducePeer()
    let first = Self.pieces(Self.payload(2000), size: 1000, isIPv4: isIPv4)[0]
    // Of one the first is there, of the other it is not: only the former is told of.
    host.exchange(
      first,
      Self.fragment([1, 2, 3, 4, 5, 6, 7, 8], at: 800, hasMore: true, isIPv4: isIPv4, identification: 8))
    #expect(host.packetsInUse == 2)
    host.clock.advance(by: .seconds(isIPv4 ? 30 : 60))
    host.scheduler.settle()
    let sent = host.wire.takeSent()
    if isIPv4 {
      #expect(sent.compactMap { Frame.icmpv4($0) } == [.timeExceeded(code: 1)])
    } else {
      #expect(sent.compactMap { Frame.icmpv6($0) }.filter(\.isError) == [.timeExceeded(code: 1)])
    }
    #expect(host.count(.fragmentTimedOut) == 2 && host.packetsInUse == 0)
  }

  @Test func thereIsABoundAndTheOldestGivesWay() {
    let host = Host {
      $0.reassemblyLimit = 4
      $0.reassemblyBytes = 16 << 10
    }
    for identification in 0..<20 as Range<UInt32> {
      host.exchange(
        Self.fragment(
          [UInt8](repeating: 1, count: 800), at: 0, hasMore: true, isIPv4: true,
          identification: identification))
    }
    #expect(host.packetsInUse == 4 && host.count(.fragmentOverflow) == 16)
    // The memory of one is bounded as well.
    for index in 1..<12 {
      host.exchange(
        Self.fragment(
          [UInt8](repeating: 1, count: 800), at: 800 * index, hasMore: true, isIPv4: true, identification: 19)
      )
    }
    #expect(host.packetsInUse == 8)
    host.layer.forgetNeighbors()
    host.scheduler.settle()
    #expect(host.packetsInUse == 0 && host.contexts.counters(0).timersArmed.value == 0)
  }

  @Test func neighbourDiscoveryInFragmentsIsNotBelieved() {
    let host = Host()
    let solicitation = Frame.ipv6(Frame.neighborSolicitation())!.payload
    for piece in Self.pieces(solicitation, size: 16, isIPv4: false, number: .icmpv6) {
      host.wire.arrive(piece)
    }
    host.scheduler.settle()
    #expect(host.count(.fragmentsJoined) == 1 && host.count(.ndInvalid) + host.count(.icmpBadChecksum) == 1)
    #expect(host.count(.ndReceived) == 0 && host.packetsInUse == 0)
  }

  @Test func anImpossibleLengthOfIPv6IsToldOf() {
    let host = Host()
    host.introducePeer()
    let odd = host.exchange(Self.fragment([1, 2, 3], at: 0, hasMore: true, isIPv4: false))
    #expect(odd.compactMap { Frame.icmpv6($0) }.contains(.parameterProblem(code: 0, pointer: 4)))
    let far = host.exchange(
      Self.fragment([UInt8](repeating: 0, count: 16), at: 65_528, hasMore: false, isIPv4: false))
    #expect(far.compactMap { Frame.icmpv6($0) }.contains(.parameterProblem(code: 0, pointer: 42)))
    #expect(host.count(.fragmentMalformed) == 2 && host.packetsInUse == 0)
  }

  @Test(arguments: [true, false]) func whatALinkDoesNotCarryLeavesInFragments(isIPv4: Bool) throws {
    let host = Host()
    host.introducePeer()
    let payload = Self.payload(1700)
    let layer = host.layer
    host.perform { cx in
      guard var packet = cx.pool.allocate() else { return }
      fill(&packet, payload)
      let outcome = layer.send(
        packet, from: isIPv4 ? Host.ipv4 : Host.ipv6, to: isIPv4 ? Host.peer4 : Host.peer6, protocol: .udp,
        inFragments: true, &cx)
      #expect(outcome == .sent)
    }
    let sent = host.wire.takeSent()
    #expect(sent.count == 2 && host.count(.fragmentsSent) == 2)
    #expect(sent.allSatisfy { $0.count <= 1514 })
    // Another host puts them together.
    let other = Host()
    for frame in sent {
      if isIPv4 {
        let (header, piece) = try #require(Frame.ipv4(frame))
        #expect(!header.dontFragment)
        other.wire.arrive(
          Self.fragment(
            piece, at: Int(header.fragmentOffset), hasMore: header.moreFragments, isIPv4: true,
            identification: UInt32(header.identification)))
      } else {
        let (header, piece) = try #require(Frame.ipv6(frame))
        #expect(header.nextHeader == .fragment)
        let fragment = try IPv6Fragment.parse(piece.raw)
        other.wire.arrive(
          Self.fragment(
            Array(piece[8...]), at: Int(fragment.offset), hasMore: fragment.moreFragments, isIPv4: false,
            identification: fragment.identification))
      }
    }
    other.scheduler.settle()
    #expect(other.received.packets.first?.bytes == payload)
    #expect(host.packetsInUse == 0 && other.packetsInUse == 0)
  }
}
