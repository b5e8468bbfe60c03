import Testing
import Wire

@testable import Drill

/// What a host does not take in: nobody could have meant it, or it was damaged on the way.
@Suite struct HostArrivalTests {
  /// A SYN, byte by byte, with a checksum for these addresses.
  private func syn(
    _ world: HostWorld, options: [UInt8] = [], from source: IPAddress? = nil, to destination: IPAddress? = nil
  ) -> [UInt8] {
    let (source, destination) = (source ?? world.remote, destination ?? world.local)
    let words = UInt8(5 + options.count / 4)
    var segment: [UInt8] = [
      0x9C, 0x40, 0x1F, 0x90, 0, 0, 0, 7, 0, 0, 0, 0, words << 4, 2, 0xFF, 0xFF, 0, 0, 0, 0,
    ]
    segment += options
    var span = segment.mutableSpan
    var bytes = unsafe span.mutableBytes  // bytes have no padding
    InternetChecksum.seal(
      &bytes, at: TCPHeader.checksumOffset, source: source, destination: destination, protocol: .tcp)
    return world.header(segment.count, .tcp, from: source, to: destination) + segment
  }

  // Rules: RFC 9293 MUST-3
  @Test(arguments: [true, false]) func damagedSegmentsAreNotAnswered(isIPv4: Bool) throws {
    let world = try HostWorld(isIPv4: isIPv4)
    try world.listen()
    let whole = syn(world)
    for index in (isIPv4 ? 20 : 40)..<whole.count {
      var damaged = whole
      damaged[index] ^= 4
      world.host.inject(damaged)
      #expect(try world.seen().isEmpty, "\(index)")
    }
    world.host.inject(whole)
    try world.one([.syn, .ack])
    world.expectNothingLeft()
  }

  // Rules: RFC 9293 MUST-57, MUST-63
  @Test func nobodyConnectsToManyNorFromNowhere() throws {
    let world = try HostWorld()
    try world.listen()
    for source in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1", "240.0.0.1"] {
      world.host.inject(syn(world, from: IPAddress(source)!))
      #expect(try world.seen().isEmpty, "from \(source)")
    }
    world.host.inject(syn(world, from: world.local))
    #expect(try world.seen().isEmpty, "from the host itself")
    for destination in ["255.255.255.255", "224.0.0.1"] {
      world.host.inject(syn(world, to: IPAddress(destination)!))
      #expect(try world.seen().isEmpty, "to \(destination)")
    }
    world.host.inject(syn(world))
    try world.one([.syn, .ack])
    world.expectNothingLeft()
  }

  // Rules: RFC 9293 MUST-57, MUST-63
  @Test func nobodyConnectsToManyNorFromNowhereOverIPv6() throws {
    let world = try HostWorld(isIPv4: false)
    try world.listen()
    for source in ["::", "::1", "ff02::1"] {
      world.host.inject(syn(world, from: IPAddress(source)!))
      #expect(try world.seen().isEmpty, "from \(source)")
    }
    world.host.inject(syn(world, to: IPAddress("ff02::1")!))
    #expect(try world.seen().isEmpty)
    world.host.inject(syn(world))
    try world.one([.syn, .ack])
    world.expectNothingLeft()
  }

  /// An option that nobody knows is stepped over by its length; where lengths make no sense the segment is dropped,
  /// and nothing else suffers.
  // Rules: RFC 9293 MUST-4, MUST-6, MUST-7, MUST-68
  @Test func optionsAreSteppedOverByTheirLength() throws {
    let world = try HostWorld()
    try world.listen()
    for options: [UInt8] in [
      [200, 0, 1, 1], [200, 1, 1, 1], [2, 0, 5, 180], [200, 5, 1, 1], [1, 1, 1, 200],
      [2, 4, 2, 88, 200, 9, 1, 1],
    ] {
      world.host.inject(syn(world, options: options))
      #expect(try world.seen().isEmpty, "\(options)")
    }
    // 600 bytes behind one of four bytes that is unknown, and behind a NOP.
    world.host.inject(syn(world, options: [200, 4, 9, 9, 1, 2, 4, 2, 88, 0, 9, 9]))
    try world.one([.syn, .ack])
    world.next = 8
    world.send(.ack)
    try world.expect(.accept(3, flags: 0), 4)
    try world.expect(.write(4, .zeros(1000)), 1000)
    #expect(try world.seen().map(\.payload) == [600, 400])
    world.expectNothingLeft()
  }
}
