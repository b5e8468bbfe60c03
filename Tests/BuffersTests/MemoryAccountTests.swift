import Chance
import Buffers
import Exclusion
import Testing

@Suite struct MemoryAccountTests {
  private static let limits = MemoryLimits(low: 64 << 10, pressure: 100 << 10, hard: 200 << 10)

  /// Every byte that is reserved is in use or cached by a share, and shares owe nothing.
  private func expectExact(
    _ account: MemoryAccount, _ shares: borrowing Shares, location: SourceLocation = #_sourceLocation
  ) {
    var used = MemoryKind.allCases.reduce(0) { $0 + account.ref.outside($1) }
    var cached = 0
    for at in 0..<2 {
      let (use, cache) = shares.numbers(at)
      #expect(cache >= 0, sourceLocation: location)
      used += use
      cached += cache
    }
    #expect(account.ref.reserved == used + cached, sourceLocation: location)
  }

  struct Shares: ~Copyable {
    let first: MemoryShare
    let second: MemoryShare
    init(_ account: MemoryAccount) {
      first = MemoryShare(account.ref)
      second = MemoryShare(account.ref)
    }
    func numbers(_ at: Int) -> (Int, Int) {
      at == 0
        ? (MemoryKind.allCases.reduce(0) { $0 + first.used($1) }, first.cached)
        : (MemoryKind.allCases.reduce(0) { $0 + second.used($1) }, second.cached)
    }
    func take(_ at: Int, _ bytes: Int, isGuaranteed: Bool = false) -> Bool {
      at == 0
        ? first.take(bytes, .receive, isGuaranteed: isGuaranteed)
        : second.take(bytes, .receive, isGuaranteed: isGuaranteed)
    }
    func give(_ at: Int, _ bytes: Int) {
      if at == 0 { first.give(bytes, .receive) } else { second.give(bytes, .receive) }
    }
  }

  @Test func statesComeAndGoWithHysteresis() {
    let account = MemoryAccount(limits: Self.limits, shares: 1)
    let share = MemoryShare(account.ref)
    func take() -> Bool { share.take(Packet.occupied, .receive) }
    var held = 0
    while account.ref.state == .normal {
      #expect(take())
      held += 1
    }
    #expect(account.ref.state == .pressure)
    #expect(held * Packet.occupied <= Self.limits.pressure + Packet.occupied)
    #expect(share.cached == 0 || account.ref.reserved <= Self.limits.pressure + 4 * Packet.occupied)
    while take() { held += 1 }
    #expect(account.ref.state == .exhausted && share.cached == 0)
    #expect(held * Packet.occupied == Self.limits.hard, "exact when it matters")
    let isGranted = share.take(Packet.occupied, .send, isGuaranteed: true)
    #expect(isGranted, "the guarantee holds beyond the limit")
    share.give(Packet.occupied, .send)
    share.give(Packet.occupied, .receive)
    #expect(account.ref.state == .exhausted && !take(), "one freed slot is no recovery")
    held -= 1
    while account.ref.state == .exhausted {
      share.give(Packet.occupied, .receive)
      held -= 1
    }
    #expect(account.ref.state == .pressure)
    #expect(held * Packet.occupied == 150 << 10, "half the way back to pressure")
    while account.ref.state == .pressure {
      share.give(Packet.occupied, .receive)
      held -= 1
    }
    #expect(account.ref.state == .normal && held * Packet.occupied == Self.limits.low)
    while held > 0 {
      share.give(Packet.occupied, .receive)
      held -= 1
    }
    #expect(account.ref.entries(into: .pressure) == 2)
    #expect(account.ref.entries(into: .exhausted) == 1)
    #expect(account.ref.entries(into: .normal) == 1)
    #expect(share.refusals == 2)
    #expect(share.used(.receive) == 0 && account.ref.reserved == share.cached)
  }

  /// The shared word is touched once a step, not once a slot.
  @Test func sharesReserveInSteps() {
    let account = MemoryAccount(limits: MemoryLimits(hard: 64 << 20), shares: 4)
    let share = MemoryShare(account.ref)
    func take(_ count: Int = 1) -> Bool { share.take(count * Packet.occupied, .receive) }
    #expect(take())
    let reserved = account.ref.reserved
    #expect(reserved == Packet.occupied + (64 << 10))
    for _ in 0..<32 { #expect(take()) }
    #expect(account.ref.reserved == reserved)
    for _ in 0..<33 { share.give(Packet.occupied, .receive) }
    #expect(account.ref.reserved == reserved && share.cached == reserved)
    #expect(take(2))
    #expect(account.ref.reserved == reserved)
  }

  /// With memory short nothing is cached, what was is not to be had, and what serves another purpose is moved.
  @Test func nothingIsCachedInNeed() {
    let account = MemoryAccount(limits: Self.limits, shares: 2)
    let shares = Shares(account)
    func take(_ at: Int) -> Bool { shares.take(at, Packet.occupied) }
    #expect(take(1) && shares.second.cached > 0)
    while account.ref.state == .normal { #expect(take(0)) }
    while shares.first.cached > 0 { #expect(take(0)) }
    #expect(account.ref.state == .pressure && take(0))
    #expect(shares.first.cached == 0)
    while take(0) {}
    #expect(account.ref.state == .exhausted && shares.second.cached > 0)
    #expect(!take(1), "those with a guarantee come first")
    #expect(shares.second.cached == 0)
    shares.second.move(Packet.occupied, from: .receive, to: .reassembly)
    #expect(shares.second.used(.receive) == 0 && shares.second.used(.reassembly) == Packet.occupied)
    expectExact(account, shares)
  }

  /// Taken here and given back there, in any order: the sums are right and nothing is negative.
  @Test func RS_LEAK_theAccountNeitherDriftsNorGoesNegative() {
    let account = MemoryAccount(limits: Self.limits, shares: 2)
    let shares = Shares(account)
    var generator = SeededGenerator(seed: 7)
    var held = 0
    for _ in 0..<20_000 {
      let at = Int(generator.next() % 2)
      let bytes = Packet.occupied * Int(1 + generator.next() % 3)
      switch generator.next() % 5 {
      case 0, 1, 2: if shares.take(at, bytes) { held += bytes }
      case 3:
        let some = min(held, bytes)
        shares.give(at, some)
        held -= some
      default:
        let some = min(held, bytes * 4)
        account.ref.give(some, .receive)
        held -= some
      }
      expectExact(account, shares)
      #expect(account.ref.reserved <= Self.limits.hard)
    }
    account.ref.give(held, .receive)
    expectExact(account, shares)
    #expect(account.ref.reserved == shares.first.cached + shares.second.cached)
  }

  /// Two threads take and a third gives back: at rest everything is where it was.
  @Test func RS_LEAK_threadsLeaveTheAccountExact() throws {
    let account = MemoryAccount(limits: Self.limits, shares: 2)
    let world = World(account: account)
    let takers = try (0..<2).map { _ in
      try WorkerThread(name: "taker") {
        let share = MemoryShare(world.account.ref)
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<20_000 {
          if share.take(Packet.occupied, .receive) {
            if generator.next() % 2 == 0 {
              share.give(Packet.occupied, .receive)
            } else {
              world.owed.increment(by: UInt64(Packet.occupied))
            }
          } else {
            yieldProcessor()
          }
        }
        // What is cached is not in use: it goes with the share.
        world.cached.increment(by: UInt64(share.cached))
        world.running.subtract(1)
      }
    }
    while world.running.load() > 0 || world.owed.value > world.paid.value {
      let due = Int(world.owed.value &- world.paid.value)
      if due > 0 {
        account.ref.give(due, .receive)
        world.paid.increment(by: UInt64(due))
      } else {
        yieldProcessor()
      }
    }
    for taker in takers { taker.join() }
    #expect(account.ref.reserved == Int(world.cached.value))
    let state = account.ref.state
    #expect(
      state == (account.ref.reserved > Self.limits.low ? state : .normal), "the last change is published")
  }

  final class World: Sendable {
    let account: MemoryAccount
    let owed = SharedCounter()
    let paid = Counter()
    let running = AtomicWord(2)
    let cached = SharedCounter()
    init(account: MemoryAccount) { self.account = account }
  }
}
