import Glibc
import Testing
import Wire

@testable import LinuxDevices

/// The tables of a virtual switch, and the switch between guests that speak its framing and the stack's port.
@Suite(.timeLimit(.minutes(2))) struct SwitchTests {
  private static func station(_ number: UInt64) -> MACAddress { MACAddress(0x0200_0000_0000 | number) }
  private static let gateway = station(0xFFFF)

  // MARK: Stations

  @Test func stationsBelongToWhoShowedThemFirst() {
    var table = StationTable(limit: 4)
    #expect(table.learn(Self.station(1), at: 1) == .known && table.learn(Self.station(1), at: 1) == .known)
    #expect(table.learn(Self.station(1), at: 2) == .forged && table.port(of: Self.station(1)) == 1)
    #expect(table.learn(.broadcast, at: 1) == .forged && table.learn(.zero, at: 1) == .forged)
    table.forget(port: 1)
    #expect(table.count == 0 && table.learn(Self.station(1), at: 2) == .known)
  }

  /// Whoever shows ever new stations displaces its own.
  @Test func aFloodOfStationsDisplacesItsOwn() {
    var table = StationTable(limit: 4)
    _ = table.learn(Self.station(1), at: 1)
    for number in 0..<100 {
      #expect(table.learn(Self.station(1000 + UInt64(number)), at: 2) == (number < 4 ? .known : .displaced))
    }
    #expect(table.count == 5 && table.port(of: Self.station(1)) == 1)
    #expect(table.port(of: Self.station(1099)) == 2 && table.port(of: Self.station(1095)) == nil)
  }

  // MARK: Addresses

  private static func from(ipv4 source: [UInt8]) -> [UInt8] {
    var packet = ipv4(protocol: 6, [])
    packet.replaceSubrange(12..<16, with: source)
    return packet
  }
  private static func from(ipv6 source: [UInt8], next: UInt8 = 6, _ payload: [UInt8] = []) -> [UInt8] {
    var packet = ipv6(next: next, payload)
    packet.replaceSubrange(8..<24, with: source)
    return packet
  }
  /// A DHCP server's word.
  private static func gives(_ kind: DHCPMessage.Kind, _ address: IPv4Address, to station: MACAddress)
    -> [UInt8]
  {
    var message = DHCPMessage(kind, isReply: true, transaction: 1, hardware: station)
    message.yourAddress = address
    return frame(
      from: gateway, type: 0x0800, ipv4(protocol: 17, [0, 67, 0, 68, 0, 0, 0, 0] + message.encoded))
  }

  @Test func addressesAreWhoseTheyWereShown() {
    var table = AddressTable(limit: 4)
    func isForged(_ type: UInt16, _ payload: [UInt8], at port: Int) -> Bool {
      unsafe table.isForged(
        Self.frame(from: Self.station(UInt64(port)), type: type, payload).span.bytes, at: port)
    }
    let six: [UInt8] = [0xFD, 0, 0, 2] + [UInt8](repeating: 0, count: 11)
    table.reserve([IPAddress("10.0.2.2")!], at: 0)
    // Each kind of word, from who showed it first, and from another.
    #expect(!isForged(0x0800, Self.from(ipv4: [10, 0, 2, 9]), at: 1))
    #expect(!isForged(0x86DD, Self.from(ipv6: six + [9]), at: 1))
    #expect(isForged(0x0800, Self.from(ipv4: [10, 0, 2, 9]), at: 2))
    #expect(isForged(0x0806, Self.arp(sender: [10, 0, 2, 9]), at: 2))
    #expect(isForged(0x86DD, Self.from(ipv6: six + [9]), at: 2))
    #expect(
      isForged(
        0x86DD, Self.from(ipv6: six + [8], next: 58, [136, 0, 0, 0, 0, 0, 0, 0] + six + [9]), at: 2))
    #expect(isForged(0x0806, Self.arp(sender: [10, 0, 2, 2]), at: 1), "the gateway's")
    // Who has none yet, and what is no address, are nobody's.
    #expect(
      !isForged(0x0800, Self.from(ipv4: [0, 0, 0, 0]), at: 2)
        && !isForged(0x0806, Self.arp(sender: [0, 0, 0, 0]), at: 2))
    #expect(!isForged(0x0800, [0x45], at: 2) && !isForged(0x88B5, [], at: 2))
    // Ever new ones displace their own.
    for number in 0..<100 as Range<UInt8> {
      #expect(!isForged(0x0800, Self.from(ipv4: [10, 9, 9, number]), at: 2))
    }
    #expect(isForged(0x0800, Self.from(ipv4: [10, 0, 2, 9]), at: 2))
    // What DHCP gives is its new guest's, what it offers is not yet; and who goes has nothing.
    func hear(_ kind: DHCPMessage.Kind) {
      let frame = Self.gives(kind, IPv4Address(10, 0, 2, 9), to: Self.station(2))
      unsafe table.hear(frame.span.bytes) { $0 == Self.station(2) ? 2 : nil }
    }
    hear(.offer)
    #expect(isForged(0x0800, Self.from(ipv4: [10, 0, 2, 9]), at: 2))
    hear(.acknowledge)
    #expect(!isForged(0x0800, Self.from(ipv4: [10, 0, 2, 9]), at: 2))
    #expect(isForged(0x0800, Self.from(ipv4: [10, 0, 2, 9]), at: 1))
    table.forget(port: 2)
    #expect(!isForged(0x0800, Self.from(ipv4: [10, 0, 2, 9]), at: 1))
  }

  /// Neither another guest nor the stack hears of who speaks in a guest's name.
  @Test func anAddressIsItsGuestsAlone() throws {
    let path = Self.path()
    let virtual = try make([.stream(path: path)])
    let (one, two) = (Guest(path), Guest(path))
    wait(virtual, ports: 2)
    func word(_ number: UInt64, _ payload: [UInt8]) -> [UInt8] {
      Self.frame(from: Self.station(number), type: 0x0800, Self.from(ipv4: payload))
    }
    one.send(word(1, [10, 0, 2, 9]))
    #expect(two.receive() == word(1, [10, 0, 2, 9]) && receive(virtual) == word(1, [10, 0, 2, 9]))
    two.send(word(2, [10, 0, 2, 9]))
    two.send(Self.frame(from: Self.station(2), type: 0x0806, Self.arp(sender: [10, 0, 2, 9])))
    two.send(word(2, [10, 0, 2, 8]))
    #expect(one.receive() == word(2, [10, 0, 2, 8]) && receive(virtual) == word(2, [10, 0, 2, 8]))
    #expect(virtual.statistics.forged == 2)
    virtual.stop()
  }

  // MARK: What passes between guests

  private static func frame(
    to destination: MACAddress = .broadcast, from source: MACAddress, type: UInt16 = 0x88B5,
    _ payload: [UInt8] = []
  ) -> [UInt8] {
    func bytes(_ address: MACAddress) -> [UInt8] {
      (0..<6).map { UInt8(truncatingIfNeeded: address.rawValue >> UInt64(40 - 8 * $0)) }
    }
    return bytes(destination) + bytes(source) + [UInt8(type >> 8), UInt8(truncatingIfNeeded: type)] + payload
  }
  private static func ipv4(protocol number: UInt8, offset: UInt16 = 0, _ payload: [UInt8]) -> [UInt8] {
    [0x45, 0, 0, 0, 0, 0, UInt8(offset >> 8), UInt8(truncatingIfNeeded: offset), 64, number]
      + [UInt8](repeating: 0, count: 10) + payload
  }
  private static func ipv6(next: UInt8, _ payload: [UInt8]) -> [UInt8] {
    [0x60, 0, 0, 0, 0, 0, next, 255] + [UInt8](repeating: 0, count: 32) + payload
  }
  private static func arp(sender: [UInt8]) -> [UInt8] {
    [0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1] + sender + [0, 0, 0, 0, 0, 0, 10, 0, 2, 100]
  }
  private static let eight = [UInt8](repeating: 0, count: 8)

  @Test func whatOnlyTheGatewayMaySayDoesNotPass() {
    let filter = FrameFilter(reserved: [IPAddress("10.0.2.2")!, IPAddress("fd00:2::2")!])
    func refuses(_ type: UInt16, _ payload: [UInt8]) -> Bool {
      unsafe filter.refuses(Self.frame(from: Self.station(1), type: type, payload).span.bytes)
    }
    // A server's answer, not a client's question; an advertisement of a router's, hidden or not; a claim.
    #expect(refuses(0x0800, Self.ipv4(protocol: 17, [0, 67, 0, 68])))
    #expect(!refuses(0x0800, Self.ipv4(protocol: 17, [0, 68, 0, 67])))
    #expect(!refuses(0x0800, Self.ipv4(protocol: 17, offset: 10, [0, 67, 0, 68])))
    #expect(!refuses(0x0800, Self.ipv4(protocol: 6, [0, 67, 0, 68])))
    for kind in [134, 137] as [UInt8] {
      #expect(refuses(0x86DD, Self.ipv6(next: 58, [kind, 0, 0, 0])))
      #expect(refuses(0x86DD, Self.ipv6(next: 60, [58, 0, 0, 0, 0, 0, 0, 0, kind, 0, 0, 0])))
      #expect(refuses(0x86DD, Self.ipv6(next: 0, [44, 0, 0, 0, 0, 0, 0, 0, 58, 0, 0, 0, 0, 0, 0, 0, kind])))
    }
    #expect(!refuses(0x86DD, Self.ipv6(next: 58, [128, 0, 0, 0])))
    #expect(!refuses(0x86DD, Self.ipv6(next: 6, [134, 0, 0, 0])))
    #expect(refuses(0x86DD, Self.ipv6(next: 17, [2, 35, 2, 34])))
    let gateway: [UInt8] = [0xFD, 0, 0, 2] + [UInt8](repeating: 0, count: 11)
    #expect(refuses(0x86DD, Self.ipv6(next: 58, [136, 0, 0, 0, 0, 0, 0, 0] + gateway + [2])))
    #expect(!refuses(0x86DD, Self.ipv6(next: 58, [136, 0, 0, 0, 0, 0, 0, 0] + gateway + [3])))
    #expect(
      refuses(0x0806, Self.arp(sender: [10, 0, 2, 2])) && !refuses(0x0806, Self.arp(sender: [10, 0, 2, 9])))
    // In the gateway's name: also a solicitation, which would tell the other where the gateway is.
    var spoofed = Self.ipv4(protocol: 6, [])
    spoofed.replaceSubrange(12..<16, with: [10, 0, 2, 2])
    #expect(refuses(0x0800, spoofed))
    spoofed = Self.ipv6(next: 58, [135, 0, 0, 0])
    spoofed.replaceSubrange(8..<24, with: gateway + [2])
    #expect(refuses(0x86DD, spoofed))
    // What is cut short is no use to anybody.
    #expect(refuses(0x0800, [0x45]) && refuses(0x86DD, [0x60]) && refuses(0x0806, [0]))
    #expect(refuses(0x86DD, Self.ipv6(next: 0, [58])))
    #expect(!refuses(0x88B5, []))
  }

  // MARK: The switch

  /// A guest: a stream with lengths in front of its frames, or a datagram socket. Calls block, but not for ever.
  private final class Guest {
    let descriptor: Int32
    private let isStream: Bool
    private var decoder = LengthFramingDecoder(limit: 2000)
    private var frames: [[UInt8]] = []

    init(_ path: String, local: String? = nil) {
      isStream = local == nil
      descriptor = socket(AF_UNIX, Int32((isStream ? SOCK_STREAM : SOCK_DGRAM).rawValue), 0)
      var patience = timeval(tv_sec: 30, tv_usec: 0)
      _ = unsafe setsockopt(
        descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout.size(ofValue: patience)))
      let bound = local.map { unsafe Self.name($0) { unsafe bind(descriptor, $0, $1) } } ?? 0
      let connected = unsafe Self.name(path) { unsafe connect(descriptor, $0, $1) }
      #expect(bound == 0 && connected == 0)
    }
    deinit { close(descriptor) }

    private static func name(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
      var name = sockaddr_un()
      name.sun_family = sa_family_t(AF_UNIX)
      unsafe withUnsafeMutableBytes(of: &name.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
      let size = socklen_t(MemoryLayout.size(ofValue: name))
      return unsafe withUnsafeBytes(of: &name) {
        unsafe body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), size)
      }
    }

    func send(_ frame: [UInt8]) {
      var bytes: [UInt8] = []
      if isStream { unsafe LengthFraming.encode(frame.span.bytes, into: &bytes) } else { bytes = frame }
      sendRaw(bytes)
    }
    func sendRaw(_ bytes: [UInt8]) {
      #expect(unsafe Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count)
    }
    /// The next frame; empty at the end.
    func receive() -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: 65_536)
      while frames.isEmpty {
        let count = unsafe recv(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return [] }
        if isStream {
          unsafe decoder.take(bytes.span.bytes.extracting(0..<count)) { frame in
            frames.append((0..<frame.byteCount).map { frame.uint8(at: $0) })
          }
        } else {
          frames.append(Array(bytes[..<count]))
        }
      }
      return frames.removeFirst()
    }
  }

  private static func path() -> String { "/tmp/sluice-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock" }
  /// The stack's port, used by hand: frames that come there, and go from there.
  private func receive(_ virtual: VirtualSwitch) -> [UInt8] {
    let port = virtual.device.descriptor(queue: 0)!
    var bytes = [UInt8](repeating: 0, count: 2048)
    var waiting = pollfd(fd: port, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&waiting, 1, 30_000) == 1 else { return [] }
    let count = unsafe read(port, &bytes, bytes.count)
    return count > 0 ? Array(bytes[..<count]) : []
  }
  private func send(_ frame: [UInt8], _ virtual: VirtualSwitch) {
    #expect(unsafe write(virtual.device.descriptor(queue: 0)!, frame, frame.count) == frame.count)
  }
  /// Until so many guests are plugged in: what is sent before, those who come later do not hear.
  private func wait(_ virtual: VirtualSwitch, ports: Int) {
    while virtual.statistics.ports != UInt64(ports) { sched_yield() }
  }
  private func make(_ endpoints: [SwitchEndpoint], mtu: Int = 1500) throws -> VirtualSwitch {
    try VirtualSwitch(
      taking: SwitchSockets(endpoints, gateway: Self.gateway, mtu: mtu), addresses: [IPAddress("10.0.2.2")!])
  }

  @Test func framesGoWhereTheirStationsAre() throws {
    let (path, datagrams, local) = (Self.path(), Self.path(), Self.path())
    let virtual = try make([.stream(path: path), .datagrams(path: datagrams)])
    let one = Guest(path)
    let two = Guest(datagrams, local: local)
    // To everybody, and then each to the other alone.
    let hello = Self.frame(from: Self.station(1), [1])
    one.send(hello)
    #expect(receive(virtual) == hello)
    let greeting = Self.frame(from: Self.station(2), [2])
    two.send(greeting)
    #expect(receive(virtual) == greeting && one.receive() == greeting)
    let there = Self.frame(to: Self.station(2), from: Self.station(1), [3])
    one.send(there)
    #expect(two.receive() == there)
    let back = Self.frame(to: Self.station(1), from: Self.station(2), [4])
    two.send(back)
    #expect(one.receive() == back)
    // To and from the gateway; nobody else saw what was between the two.
    let asked = Self.frame(to: Self.gateway, from: Self.station(1), [5])
    one.send(asked)
    #expect(receive(virtual) == asked)
    let answer = Self.frame(to: Self.station(2), from: Self.gateway, [UInt8](repeating: 6, count: 1500))
    send(answer, virtual)
    #expect(two.receive() == answer)
    let counts = virtual.statistics
    #expect(counts.ports == 2 && counts.stations == 3 && counts.framesFromGuests == 5)
    #expect(counts.framesToGuests == 4 && counts.full == 0 && counts.forged == 0)
    virtual.stop()
    #expect(one.receive() == [])
    unsafe unlink(local)
    #expect(unsafe access(path, F_OK) != 0 && access(datagrams, F_OK) != 0)
  }

  /// Another's station, the gateway's, a server's answer, a short frame: nobody hears of them, and each is counted.
  @Test func pretendersAreDropped() throws {
    let path = Self.path()
    let virtual = try make([.stream(path: path)])
    let (one, two) = (Guest(path), Guest(path))
    wait(virtual, ports: 2)
    one.send(Self.frame(from: Self.station(1), [1]))
    #expect(two.receive() == Self.frame(from: Self.station(1), [1]))
    two.send(Self.frame(from: Self.station(1), [2]))
    two.send(Self.frame(from: Self.gateway, [3]))
    two.send([1, 2, 3])
    let rogue = Self.frame(from: Self.station(2), type: 0x0800, Self.ipv4(protocol: 17, [0, 67, 0, 68]))
    two.send(rogue)
    two.send(Self.frame(from: Self.station(2), [4]))
    #expect(one.receive() == Self.frame(from: Self.station(2), [4]))
    #expect(receive(virtual) == Self.frame(from: Self.station(1), [1]))
    // It is between guests that it does not pass: the stack has a guard of its own.
    #expect(receive(virtual) == rogue && receive(virtual) == Self.frame(from: Self.station(2), [4]))
    let counts = virtual.statistics
    #expect(counts.forged == 2 && counts.rogue == 1 && counts.malformed == 1)
    virtual.stop()
  }

  /// Frames of ever new stations: they displace their guest's own, and another's is where it was.
  @Test func aFloodOfFramesDisplacesItsOwn() throws {
    let path = Self.path()
    let virtual = try make([.stream(path: path)])
    let (one, two) = (Guest(path), Guest(path))
    wait(virtual, ports: 2)
    one.send(Self.frame(from: Self.station(1), [1]))
    #expect(two.receive() == Self.frame(from: Self.station(1), [1]))
    #expect(!receive(virtual).isEmpty)
    for number in 0..<100 as Range<UInt64> {
      two.send(Self.frame(to: Self.gateway, from: Self.station(1000 + number)))
      #expect(!receive(virtual).isEmpty)
    }
    two.send(Self.frame(to: Self.station(1), from: Self.station(1099), [2]))
    #expect(one.receive() == Self.frame(to: Self.station(1), from: Self.station(1099), [2]))
    let counts = virtual.statistics
    #expect(counts.displaced == 100 - 32 && counts.stations == 2 + 32 && counts.flooded == 1)
    virtual.stop()
  }

  @Test func guestsComeBackAndLongFramesEndThem() throws {
    let path = Self.path()
    let virtual = try make([.stream(path: path)])
    for round in 0..<3 {
      // The station is free again with the guest that had it.
      let guest = Guest(path)
      guest.send(Self.frame(from: Self.station(1), [UInt8(round)]))
      #expect(receive(virtual) == Self.frame(from: Self.station(1), [UInt8(round)]))
      if round == 2 {
        guest.sendRaw([0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3])
        #expect(guest.receive() == [])
      } else {
        shutdown(guest.descriptor, Int32(SHUT_RDWR))
        #expect(guest.receive() == [])
      }
      // It was heard of when the switch says so.
      while virtual.statistics.unplugged != UInt64(round + 1) { sched_yield() }
    }
    let counts = virtual.statistics
    #expect(counts.plugged == 3 && counts.broken == 1 && counts.ports == 0 && counts.stations == 1)
    virtual.stop()
  }

  /// A guest that takes nothing loses what is beyond its queue, and the other one hears all.
  @Test func aGuestThatTakesNothingStopsNobody() throws {
    let path = Self.path()
    let virtual = try make([.stream(path: path)])
    let (silent, other) = (Guest(path), Guest(path))
    wait(virtual, ports: 2)
    silent.send(Self.frame(from: Self.station(1)))
    #expect(other.receive() == Self.frame(from: Self.station(1)))
    other.send(Self.frame(from: Self.station(2)))
    _ = (receive(virtual), receive(virtual))
    let large = Self.frame(to: Self.station(1), from: Self.gateway, [UInt8](repeating: 7, count: 1500))
    var sent = 0
    while virtual.statistics.full == 0 {
      send(large, virtual)
      // Each is heard of before the next: the pair between us is small.
      sent += 1
      while virtual.statistics.framesToGuests < UInt64(2 + sent) { sched_yield() }
    }
    #expect(sent * large.count > VirtualSwitch.portQueueLimit)
    let word = Self.frame(to: Self.station(2), from: Self.gateway, [9])
    send(word, virtual)
    #expect(other.receive() == word)
    virtual.stop()
  }

  @Test func whatTheStackSaidLastIsHeard() throws {
    let path = Self.path()
    let virtual = try make([.stream(path: path)])
    let guest = Guest(path)
    guest.send(Self.frame(to: Self.gateway, from: Self.station(1)))
    #expect(!receive(virtual).isEmpty)
    let words = (0..<5 as Range<UInt8>).map { Self.frame(to: Self.station(1), from: Self.gateway, [$0]) }
    for word in words { send(word, virtual) }
    virtual.stop()
    #expect(words.allSatisfy { guest.receive() == $0 } && guest.receive() == [])
  }

  @Test func asManyAsThereArePorts() throws {
    let (path, datagrams) = (Self.path(), Self.path())
    let virtual = try make([.stream(path: path), .datagrams(path: datagrams)])
    var guests: [Guest] = []
    for number in 0..<VirtualSwitch.portLimit {
      guests.append(Guest(path))
      guests[number].send(Self.frame(to: Self.gateway, from: Self.station(UInt64(number + 1))))
      #expect(!receive(virtual).isEmpty)
    }
    #expect(Guest(path).receive() == [])
    #expect(virtual.statistics.ports == UInt64(VirtualSwitch.portLimit) && virtual.statistics.refused == 1)
    // One that goes makes room.
    guests.removeLast()
    while virtual.statistics.unplugged == 0 { sched_yield() }
    let local = Self.path()
    let late = Guest(datagrams, local: local)
    late.send(Self.frame(to: Self.gateway, from: Self.station(500)))
    #expect(!receive(virtual).isEmpty)
    // Of who is known by a name alone the silent one gives way to another.
    let other = Self.path()
    let later = Guest(datagrams, local: other)
    later.send(Self.frame(to: Self.gateway, from: Self.station(501)))
    #expect(!receive(virtual).isEmpty)
    #expect(virtual.statistics.unplugged == 2)
    virtual.stop()
    unsafe unlink(local)
    unsafe unlink(other)
  }

  @Test func placesThatCannotBeAreNamed() throws {
    let path = Self.path()
    let first = try make([.stream(path: path)])
    #expect(throws: LinkError.switchRefused(.stream(path: path), errno: EADDRINUSE)) {
      _ = try make([.stream(path: path)])
    }
    first.stop()
    let missing = SwitchEndpoint.datagrams(path: "/no/such/folder/socket")
    #expect(throws: LinkError.switchRefused(missing, errno: ENOENT)) { _ = try make([missing]) }
  }
}
