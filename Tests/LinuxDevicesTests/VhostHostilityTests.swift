import CLinux
import Glibc
import Testing
import Timing
import Wire

@testable import LinuxDevices

/// What front-ends and guests may not say, and what comes of it.
@Suite("Hostile front-ends and guests")
struct VhostHostilityTests {
  private static let buffer = VhostGuest.free

  /// A message at the wrong time or of no sense: why the connection ends.
  struct Case: Sendable, CustomTestStringConvertible {
    let what: String
    let error: VhostError
    let isRunning: Bool
    let say: @Sendable (VhostGuest) -> Void
    var testDescription: String { what }

    init(
      _ what: String, _ error: VhostError, isRunning: Bool = false,
      _ say: @escaping @Sendable (VhostGuest) -> Void
    ) {
      (self.what, self.error, self.isRunning, self.say) = (what, error, isRunning, say)
    }
  }

  private static func region(
    _ guest: UInt64, _ size: UInt64, user: UInt64, offset: UInt64 = 0
  ) -> VhostUserRegion {
    VhostUserRegion(guestAddress: guest, size: size, userAddress: user, fileOffset: offset)
  }
  private static func table(_ regions: [VhostUserRegion]) -> @Sendable (VhostGuest) -> Void {
    { guest in guest.send(.setMemoryTable(regions), regions.map { _ in guest.file }) }
  }
  /// Ring 1 is described, but for what `change` says.
  private static func ring(
    size: UInt32 = 8, _ change: @escaping @Sendable (inout VhostUserRingAddress) -> Void
  ) -> @Sendable (VhostGuest) -> Void {
    { guest in
      guest.send(.setMemoryTable(VhostGuest.regions), [guest.file, guest.file])
      guest.send(.setRingSize(ring: 1, value: size))
      var address = VhostGuest.address(1)
      change(&address)
      guest.send(.setRingAddress(address))
      guest.send(.setRingKick(ring: 1, hasDescriptor: true), [guest.kicks[1]])
    }
  }

  static let cases: [Case] = [
    Case("another version", .malformed) { $0.send([1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]) },
    Case("an answer", .malformed) { $0.send([1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]) },
    Case("a long payload", .malformed) { $0.send([1, 0, 0, 0, 1, 0, 0, 0, 1, 4, 0, 0]) },
    Case("a payload of 4 GiB", .malformed) { $0.send([5, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255]) },
    Case("a payload where there is none", .malformed) { $0.send([1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]) },
    Case("a word that is short", .malformed) {
      $0.send([2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0])
    },
    Case("a table without pieces", .malformed) { $0.send(.setMemoryTable([])) },
    Case("a table shorter than it says", .malformed) {
      $0.send([5, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    },
    Case("a table of nine", .malformed) { guest in
      guest.send(.setMemoryTable((0..<9).map { region(UInt64($0) << 20, 4096, user: UInt64($0) << 20) }))
    },
    Case("nobody's message", .unknownMessage) { $0.send(.unknown) },
    Case("memory without descriptors", .descriptors) { $0.send(.setMemoryTable(VhostGuest.regions)) },
    Case("memory with one too few", .descriptors) { $0.send(.setMemoryTable(VhostGuest.regions), [$0.file]) },
    Case("more descriptors than any message has", .descriptors) {
      $0.send(.setOwner, [Int32](repeating: $0.file, count: 12))
    },
    Case("a descriptor that nobody asked for", .descriptors) { $0.send(.getFeatures, [$0.file]) },
    Case("a kick without its descriptor", .descriptors) {
      $0.send(.setRingKick(ring: 0, hasDescriptor: true))
    },
    Case("a call with two", .descriptors) {
      $0.send(.setRingCall(ring: 0, hasDescriptor: true), [$0.calls[0], $0.calls[1]])
    },
    Case("one where there is to be none", .descriptors) {
      $0.send(.setRingCall(ring: 0, hasDescriptor: false), [$0.calls[0]])
    },
    Case("a call that is a file", .notAnEvent) {
      $0.send(.setRingCall(ring: 0, hasDescriptor: true), [$0.file])
    },
    Case("a kick that is a socket", .notAnEvent) {
      $0.send(.setRingKick(ring: 0, hasDescriptor: true), [$0.socket])
    },
    Case("no kick at all", .ringIncomplete) { $0.send(.setRingKick(ring: 0, hasDescriptor: false)) },
    Case("features that were not offered", .features) { $0.send(.setFeatures(1 << 34)) },
    Case("features of the protocol's", .features) { $0.send(.setProtocolFeatures(1)) },
    Case("other features while a ring runs", .features, isRunning: true) { $0.send(.setFeatures(0)) },
    Case("a third ring", .noSuchRing) { $0.send(.setRingSize(ring: 2, value: 8)) },
    Case("the base of another", .noSuchRing) { $0.send(.getRingBase(ring: .max)) },
    Case("a kick of another", .noSuchRing) {
      $0.send(.setRingKick(ring: 255, hasDescriptor: true), [$0.kicks[0]])
    },
    Case("a ring of no places", .ringSize) { $0.send(.setRingSize(ring: 0, value: 0)) },
    Case("of seven", .ringSize) { $0.send(.setRingSize(ring: 0, value: 7)) },
    Case("of 2048", .ringSize) { $0.send(.setRingSize(ring: 0, value: 2048)) },
    Case("of 4 Gi", .ringSize) { $0.send(.setRingSize(ring: 0, value: 1 << 31)) },
    Case("a base that is none", .ringSize) { $0.send(.setRingBase(ring: 0, value: 65_536)) },
    Case("a ring that moves while it runs", .ringRunning, isRunning: true) {
      $0.send(.setRingAddress(VhostGuest.address(1)))
    },
    Case("that grows", .ringRunning, isRunning: true) { $0.send(.setRingSize(ring: 1, value: 16)) },
    Case("that begins elsewhere", .ringRunning, isRunning: true) { $0.send(.setRingBase(ring: 1, value: 3)) },
    Case("a ring without a place", .ringIncomplete) {
      $0.send(.setRingSize(ring: 1, value: 8))
      $0.send(.setRingKick(ring: 1, hasDescriptor: true), [$0.kicks[1]])
    },
    Case("without a size", .ringIncomplete) {
      $0.send(.setRingAddress(VhostGuest.address(1)))
      $0.send(.setRingKick(ring: 1, hasDescriptor: true), [$0.kicks[1]])
    },
    Case("without memory", .ringAddress) {
      $0.send(.setRingSize(ring: 1, value: 8))
      $0.send(.setRingAddress(VhostGuest.address(1)))
      $0.send(.setRingKick(ring: 1, hasDescriptor: true), [$0.kicks[1]])
    },
    Case("descriptors outside of memory", .ringAddress, ring { $0.descriptors = 0 }),
    Case(
      "descriptors that end outside", .ringAddress,
      ring {
        $0.descriptors = VhostGuest.user + UInt64(VhostGuest.half) - 112
      }),
    Case("descriptors at an odd place", .ringAddress, ring { $0.descriptors += 8 }),
    Case("an available ring outside", .ringAddress, ring { $0.available = .max }),
    Case("an odd available ring", .ringAddress, ring { $0.available += 1 }),
    Case(
      "a used ring outside", .ringAddress,
      ring {
        $0.used = VhostGuest.user + UInt64(VhostGuest.half) - 68
      }),
    Case("a used ring between words", .ringAddress, ring { $0.used += 2 }),
    Case(
      "memory that its rings are not in", .ringAddress, isRunning: true, table([region(0, 4096, user: 0)])),
    Case("a piece of nothing", .regions, table([region(0, 0, user: 0)])),
    Case("a piece beyond the last address", .regions, table([region(.max - 4095, 8192, user: 0)])),
    Case("the same of the front-end's", .regions, table([region(0, 8192, user: .max - 4095)])),
    Case("a piece beyond the last byte", .regions, table([region(0, 8192, user: 0, offset: .max - 4095)])),
    Case(
      "pieces that overlap", .regions, table([region(0, 8192, user: 0), region(4096, 4096, user: 1 << 20)])),
    Case(
      "the same of the front-end's", .regions,
      table([
        region(0, 8192, user: 0), region(1 << 20, 4096, user: 4096),
      ])),
    Case("a short file", .notMemory, table([region(0, UInt64(VhostGuest.bytes) + 1, user: 0)])),
    Case("no memory file", .notMemory) { guest in
      guest.send(.setMemoryTable([region(0, 8, user: 0)]), [guest.kicks[0]])
    },
    Case("memory that may not be written", .notMapped) { guest in
      let sealed = sluice_shared_memory_file(4096)
      #expect(sluice_shared_memory_seal(sealed) == 0)
      guest.send(.setMemoryTable([region(0, 4096, user: 0)]), [sealed])
      close(sealed)
    },
  ]

  @Test(arguments: cases) func aMessageOfNoSenseEndsTheConnection(_ one: Case) throws {
    let rig = try VhostRig()
    let guest = VhostGuest(rig.path)
    if one.isRunning { guest.start() }
    rig.pump()
    one.say(guest)
    rig.pump()
    #expect(guest.isGone && guest.isReleased())
    let counts = rig.device.statistics
    #expect(counts.lastError == one.error && counts.broken == 1 && counts.left == 1)
    #expect(!one.error.description.isEmpty)
    // And the next one is served.
    let next = rig.guest()
    #expect(next.isThere)
  }

  /// What a guest may write into its rings: they are broken, the front-end is told, and nothing else happens.
  @Test(arguments: 0..<14) func aRingOfNoSenseIsStopped(_ number: Int) throws {
    let rig = try VhostRig()
    let guest = rig.guest()
    let (at, table) = (Self.buffer, Self.buffer + 4096)
    func chain(_ count: Int = 100, flags: UInt16 = 0, next: Int = 0) {
      guest.describe(1, 0, at: at, count, flags: flags, next: next)
      guest.offer(1, 0)
    }
    switch number {
    case 0: guest.offer(1, 8)  // a descriptor that there is not
    case 1:  // more than the ring has
      guest.available[1] = 8
      guest.offer(1, 0)
    case 2: chain(flags: 1, next: 0)  // a loop
    case 3:
      guest.describe(1, 1, at: at, 1, flags: 1, next: 0)
      chain(flags: 1, next: 1)
    case 4: chain(flags: 1, next: 8)  // on to nowhere
    case 5: chain(flags: 2)  // to be written
    case 6:  // outside of memory
      guest.describe(1, 0, at: -4096, 100)
      guest.offer(1, 0)
    case 7:  // on beyond its end
      guest.describe(1, 0, at: VhostGuest.bytes - 50, 100)
      guest.offer(1, 0)
    case 8: chain(Int(UInt32.max))
    case 9: chain(24, flags: 4)  // a table that is not made of descriptors
    case 10: chain(0, flags: 4)
    case 11:  // a table in a table
      guest.describe(1, 0, at: table, 16, flags: 4, table: at)
      chain(16, flags: 4)
    case 12: chain(16, flags: 5)  // a table, and on
    default:  // a loop in a table
      guest.describe(1, 0, at: table, 16, flags: 1, next: 0, table: at)
      chain(16, flags: 4)
    }
    guest.kick(1)
    #expect(rig.pump().isEmpty)
    #expect(rig.device.statistics.brokenRings == 1 && VhostGuest.count(guest.errors[1]) == 1)
    #expect(guest.done(1).isEmpty && rig.pool.ref.inUse == 0)
    // It stays so, the other one goes on, and the guest may begin anew.
    guest.available[1] = 0
    guest.describe(1, 0, at: at, 100)
    guest.offer(1, 0)
    #expect(rig.pump().isEmpty && rig.device.statistics.brokenRings == 1)
    guest.describe(0, 0, at: at, 2000, flags: 2)
    guest.offer(0, 0)
    #expect(rig.send(VhostRig.segment(10)) && guest.done(0).count == 1)
    guest.send(.getRingBase(ring: 1))
    rig.pump()
    #expect(guest.answer()?.count == 1)
    guest.available[1] = 0
    guest.store(0 as UInt16, at: VhostGuest.ring(1) + VhostGuest.availableAt + 2)
    guest.describe(1)
    let frame = VhostRig.segment(10)
    guest.put(VhostRig.header() + frame, at: at)
    guest.describe(1, 0, at: at, 12 + frame.count)
    guest.offer(1, 0)
    #expect(rig.pump() == [frame])
  }

  /// The same of the ring by which it receives.
  @Test(arguments: 0..<5) func roomOfNoSenseIsNotWrittenTo(_ number: Int) throws {
    let rig = try VhostRig()
    let guest = rig.guest()
    switch number {
    case 0: guest.offer(0, 9)
    case 1:
      guest.available[0] = 100
      guest.offer(0, 0)
    case 2:  // to be read
      guest.describe(0, 0, at: Self.buffer, 2000)
      guest.offer(0, 0)
    case 3:  // shorter than a header
      guest.describe(0, 0, at: Self.buffer, 11, flags: 2)
      guest.offer(0, 0)
    default:  // beyond the end of memory
      guest.describe(0, 0, at: VhostGuest.bytes - 100, 2000, flags: 2)
      guest.offer(0, 0)
    }
    #expect(rig.send(VhostRig.segment(10)) && rig.send(VhostRig.segment(10)))
    let counts = rig.device.statistics
    #expect(counts.brokenRings == 1 && counts.discarded == 2 && VhostGuest.count(guest.errors[0]) == 1)
    #expect(guest.done(0).isEmpty)
    #expect(guest.bytes(VhostGuest.bytes - 100, 100) == [UInt8](repeating: 0, count: 100))
  }

  /// A front-end that makes its memory shorter gets zeros for it, and its connection is ended; nobody is killed.
  @Test(arguments: [false, true]) func memoryIsCutOff(whileSending: Bool) throws {
    let rig = try VhostRig()
    let guest = rig.guest()
    for number in 0..<4 {
      guest.describe(0, number, at: Self.buffer, 2000, flags: 2)
      guest.offer(0, number)
      guest.describe(1, number, at: Self.buffer, 100)
      guest.offer(1, number)
    }
    #expect(rig.pump().count == 4)
    // The rings stay, buffers go.
    #expect(ftruncate(guest.file, VhostGuest.free) == 0)
    if whileSending {
      #expect(rig.send(VhostRig.segment(10)))
    } else {
      guest.offer(1, 0)
      guest.kick(1)
    }
    rig.pump()
    #expect(guest.isGone && rig.device.statistics.lastError == .memoryLost)
    let next = rig.guest()
    #expect(next.isThere)
  }

  /// Any bytes at all, as messages and in rings.
  @Test func anyBytesAreTaken() throws {
    var state: UInt64 = 0x9E37_79B9
    func random(_ below: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % below
    }
    var wrong: Set<VhostError> = []
    for _ in 0..<300 {
      let rig = try VhostRig()
      let guest = VhostGuest(rig.path)
      if random(2) == 0 { guest.start() }
      for _ in 0..<random(6) {
        let ring = random(3)
        let message: VhostUserMessage =
          switch random(8) {
          case 0: .setFeatures(UInt64(random(1 << 17)) << UInt64(random(24)))
          case 1: .setRingSize(ring: UInt32(ring), value: UInt32(1 << random(13)))
          case 2: .setRingAddress(VhostGuest.address(ring))
          case 3: .getRingBase(ring: UInt32(ring))
          case 4: .setRingKick(ring: UInt8(ring), hasDescriptor: random(2) == 0)
          case 5: .setMemoryTable(Array(VhostGuest.regions[random(2)...]))
          case 6: .setRingEnabled(ring: UInt32(ring), value: UInt32(random(2)))
          default: .setRingBase(ring: UInt32(ring), value: UInt32(random(70_000)))
          }
        var bytes = message.encoded()
        if random(4) == 0 { bytes[random(bytes.count)] = UInt8(random(256)) }
        guest.send(bytes, (0..<random(3)).map { _ in [guest.file, guest.kicks[0]][random(2)] })
        rig.pump()
        if rig.device.statistics.left > 0 { break }
      }
      for ring in 0..<2 {
        for _ in 0..<random(20) {
          guest.store(UInt16(random(0x300)), at: VhostGuest.ring(ring) + 16 * random(8) + 2 * random(8))
        }
        guest.offer(ring, random(9))
      }
      rig.pump()
      _ = rig.send(VhostRig.segment(10))
      if let error = rig.device.statistics.lastError { wrong.insert(error) }
      #expect(rig.pool.ref.inUse == 0)
    }
    #expect(wrong.count >= 5, "\(wrong)")
  }

  /// What the fuzzer does, with rings of chance.
  @Test func anyRingIsWalked() {
    var state: UInt64 = 7
    func random(_ below: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % below
    }
    var (walked, whole) = (0, 0)
    for _ in 0..<1000 {
      let bits = random(4)
      var bytes = [UInt8(bits), UInt8(random(2)), 0, UInt8(random(4)), 0, 0, 0, 0]
      func add(_ value: UInt64, _ count: Int) {
        for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
      }
      for _ in 0..<1 << bits {
        add([0x1000, 0x1FF0, 0x3000, 0x3FF8, 0][Int(random(5))] + random(64) * 8, 8)
        add([16, 32, random(500)][Int(random(3))], 4)
        add(random(3) == 0 ? random(8) : UInt64(bytes[1]) * 2, 2)
        add(random(9), 2)
      }
      add(0, 2)
      add(random(1 << bits + 2), 2)
      for _ in 0..<1 << bits { add(random(1 << bits + (random(8) == 0 ? 1 : 0)), 2) }
      let outcome = RingWalk.run(bytes)
      #expect(outcome.wrong == nil)
      walked += 1
      whole += outcome.chains
    }
    #expect(whole > 200, "\(whole) chains of \(walked) rings")
  }
}
