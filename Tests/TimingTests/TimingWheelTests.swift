import Chance
import Testing

@testable import Timing

@Suite struct TimingWheelTests {
  static let hour: UInt64 = 3_600_000

  /// Starts just before each place where an index of the wheel wraps, and before the ends of 32-bit tick
  /// counters.
  @Test(arguments: [0, 250, 65_500, (1 << 24) - 40, (1 << 32) - 70_000, (1 << 40) - 300] as [UInt64])
  func T4_wheelAgreesWithANaiveModel(start: UInt64) {
    for seed in 0..<6 {
      var model = WheelAgainstModel(startMilliseconds: start, timers: 64, seed: start &+ UInt64(seed))
      for _ in 0..<3000 { model.step() }
      model.finish()
    }
  }

  @Test func T4_deadlineAtTheEndOfTimeFiresThere() {
    let block = TimerBlock(count: 1)
    var wheel = TimingWheel(now: Instant(nanoseconds: .max - 3_000_000))
    wheel.arm(block[0], at: .distantFuture)
    var fired = 0
    #expect(wheel.advance(to: .distantFuture, budget: 10) { _ in fired += 1 } == false)
    // The last whole tick lies before the deadline: never early.
    #expect(fired == 0)
    wheel.cancel(block[0])
    #expect(wheel.armedCount == 0)
  }

  @Test func firesNeverEarlyAndLessThanATickLate() {
    let block = TimerBlock(count: 1)
    var wheel = TimingWheel(now: Instant(nanoseconds: 500_000))
    wheel.arm(block[0], at: Instant(nanoseconds: 2_000_001))
    var fired = 0
    _ = wheel.advance(to: Instant(nanoseconds: 2_999_999), budget: 1) { _ in fired += 1 }
    #expect(fired == 0)
    #expect(wheel.nextDeadline == Instant(milliseconds: 3))
    _ = wheel.advance(to: Instant(milliseconds: 3), budget: 1) { _ in fired += 1 }
    #expect(fired == 1)
    #expect(wheel.lateness.maximum == Nanoseconds(999_999))
    #expect(wheel.lateness.buckets[0] == 1)
  }

  @Test func emptyWheelHasNoDeadline() {
    let block = TimerBlock(count: 1)
    var wheel = TimingWheel(now: .zero)
    #expect(wheel.nextDeadline == nil)
    wheel.arm(block[0], at: Instant(milliseconds: 10))
    #expect(wheel.nextDeadline == Instant(milliseconds: 10))
    wheel.cancel(block[0])
    wheel.cancel(block[0])
    #expect(wheel.nextDeadline == nil)
    #expect(wheel.armedCount == 0)
  }

  @Test func T1_sleepingUntilTheNextDeadlineMeetsEveryTimerInAFewSteps() {
    let delays: [UInt64] = [1, 255, 256, 257, 65_535, 65_537, 1 << 24, 1 << 31, 200 * Self.hour]
    for delay in delays {
      for start in [0, 77, 65_535, (1 << 24) - 1] as [UInt64] {
        let block = TimerBlock(count: 1)
        var wheel = TimingWheel(now: Instant(milliseconds: start))
        let deadline = Instant(milliseconds: start + delay)
        wheel.arm(block[0], at: deadline)
        var steps = 0
        var fired: Instant?
        while let next = wheel.nextDeadline {
          #expect(next <= deadline)
          steps += 1
          _ = wheel.advance(to: next, budget: 1) { _ in fired = next }
        }
        #expect(fired == deadline)
        #expect(steps <= 4)
      }
    }
  }

  @Test func deadlineBeyondTheRangeWaitsInTheFarthestBlock() {
    let block = TimerBlock(count: 1)
    var wheel = TimingWheel(now: Instant(milliseconds: 12_345))
    let deadline = Instant(milliseconds: 10_000 * Self.hour)  // more than a year, eight times the range
    wheel.arm(block[0], at: deadline)
    var steps = 0
    var fired: Instant?
    while let next = wheel.nextDeadline {
      steps += 1
      _ = wheel.advance(to: next, budget: 1) { _ in fired = next }
    }
    #expect(fired == deadline)
    #expect(steps < 16)
  }

  @Test func longSleepIsCaughtUpInAFewSteps() {
    let block = TimerBlock(count: 2)
    var wheel = TimingWheel(now: .zero)
    wheel.arm(block[0], at: Instant(milliseconds: 20))
    wheel.arm(block[1], at: Instant(milliseconds: 1 << 41))
    var order: [UInt] = []
    // 69 years in ticks of a millisecond: a wheel that walked them would not return in this century's patience.
    while wheel.advance(to: Instant(milliseconds: 1 << 42), budget: 64, { order.append($0.owner) }) {}
    #expect(order == [0, 1])
    #expect(wheel.moves < 1000)
    #expect(wheel.lateness.fired == 2)
    #expect(wheel.lateness.buckets[15] == 2)
  }

  @Test func budgetLeavesTheRestArmed() {
    let block = TimerBlock(count: 10)
    var wheel = TimingWheel(now: .zero)
    for index in 0..<10 { wheel.arm(block[index], at: Instant(milliseconds: UInt64(5 + index / 4))) }
    var fired: [UInt] = []
    #expect(wheel.advance(to: Instant(milliseconds: 50), budget: 3) { fired.append($0.owner) })
    #expect(fired == [0, 1, 2])
    #expect(wheel.isBehind == true)
    #expect(wheel.nextDeadline! <= Instant(milliseconds: 50))
    wheel.cancel(block[3])
    wheel.arm(block[4], at: Instant(milliseconds: 60))
    #expect(wheel.advance(to: Instant(milliseconds: 50), budget: 5) { fired.append($0.owner) } == false)
    #expect(fired == [0, 1, 2, 5, 6, 7, 8, 9])
    #expect(wheel.advance(to: Instant(milliseconds: 60), budget: 5) { fired.append($0.owner) } == false)
    #expect(fired.last == 4)
    #expect(wheel.armedCount == 0)
  }

  @Test func TM_LATE_movingManyTimersDownIsBudgetedToo() {
    let block = TimerBlock(count: 2000)
    var wheel = TimingWheel(now: .zero)
    for index in 0..<2000 { wheel.arm(block[index], at: Instant(milliseconds: 60_000)) }
    let urgent = TimerBlock(count: 1)
    let now = Instant(milliseconds: 59_990)  // the block of 256 ticks was entered, nothing is due
    var passes = 0
    while wheel.advance(to: now, budget: 10, { _ in Issue.record("nothing is due") }) { passes += 1 }
    #expect(passes == 2000 / 160)
    #expect(wheel.moves == 2000)
    wheel.arm(urgent[0], at: Instant(milliseconds: 59_995))
    var fired = 0
    while wheel.advance(to: Instant(milliseconds: 60_000), budget: 64, { _ in fired += 1 }) {}
    #expect(fired == 2001)
  }

  @Test func handlerThatArmsForThePastDoesNotLoop() {
    let block = TimerBlock(count: 1)
    var wheel = TimingWheel(now: .zero)
    wheel.arm(block[0], at: Instant(milliseconds: 1))
    let now = Instant(milliseconds: 100)
    var fired = 0
    var moves = 100
    while let timer = wheel.popExpired(at: now, moves: &moves) {
      fired += 1
      wheel.arm(timer, at: Instant(milliseconds: 2))
    }
    #expect(fired == 1)
    #expect(wheel.nextDeadline == Instant(milliseconds: 101))
    wheel.cancel(block[0])
  }

  @Test func timeGoingBackIsNoTimeAtAll() {
    let block = TimerBlock(count: 1)
    var wheel = TimingWheel(now: Instant(milliseconds: 1000))
    wheel.arm(block[0], at: Instant(milliseconds: 1010))
    var fired = 0
    _ = wheel.advance(to: Instant(milliseconds: 5), budget: 10) { _ in fired += 1 }
    #expect(fired == 0)
    _ = wheel.advance(to: Instant(milliseconds: 1010), budget: 10) { _ in fired += 1 }
    #expect(fired == 1)
  }

  @Test func TM_REF_freeingAnArmedTimerTraps() async {
    await #expect(processExitsWith: .failure) {
      let block = TimerBlock(count: 1)
      var wheel = TimingWheel(now: .zero)
      wheel.arm(block[0], at: Instant(milliseconds: 1))
      block[0].retire()
    }
  }
}

/// The wheel beside a dictionary of deadlines, both told the same things.
struct WheelAgainstModel: ~Copyable {
  private var wheel: TimingWheel
  private let block: TimerBlock
  private var deadlines: [Int: UInt64] = [:]  // in ticks, as the wheel has to see them
  private var now: UInt64  // nanoseconds
  private var generator: SeededGenerator

  init(startMilliseconds: UInt64, timers: Int, seed: UInt64) {
    now = startMilliseconds * 1_000_000
    wheel = TimingWheel(now: Instant(nanoseconds: now))
    block = TimerBlock(count: timers)
    generator = SeededGenerator(seed: seed)
  }

  /// A span in nanoseconds: mostly short, sometimes across any level, sometimes beyond the range.
  private mutating func span() -> UInt64 {
    let bits = generator.below(100) < 3 ? 60 : [20, 24, 28, 34, 40, 46, 52][generator.below(7)]
    return generator.next() & ((1 << UInt64(bits)) - 1)
  }

  mutating func step() {
    let timer = generator.below(block.count)
    switch generator.below(10) {
    case 0..<5:
      let deadline = generator.below(20) == 0 ? now &- min(now, span()) : min(now &+ span(), 1 << 63)
      wheel.arm(block[timer], at: Instant(nanoseconds: deadline))
      deadlines[timer] = max((deadline + 999_999) / 1_000_000, now / 1_000_000 + 1)
    case 5..<7:
      wheel.cancel(block[timer])
      deadlines[timer] = nil
    default:
      // Mostly to the next deadline, so that timers do fire.
      if generator.below(3) > 0, let next = wheel.nextDeadline {
        now = max(now, next.nanoseconds &+ UInt64(generator.below(3_000_000)))
      } else {
        now &+= span() >> 10
      }
      advance(budget: generator.below(4) == 0 ? 1 + generator.below(3) : 1000)
    }
    check()
  }

  private mutating func advance(budget: Int) {
    let tick = now / 1_000_000
    var last: UInt64 = 0
    var again = true
    while again {
      var fired: [Int] = []
      again = wheel.advance(to: Instant(nanoseconds: now), budget: budget) { fired.append(Int($0.owner)) }
      #expect(fired.count <= budget)
      for timer in fired {
        let deadline = deadlines.removeValue(forKey: timer)
        #expect(deadline != nil && deadline! <= tick && deadline! >= last)
        last = deadline ?? last
        #expect(!block[timer].isArmed)
      }
    }
  }

  private mutating func check() {
    var earliest = UInt64.max
    for deadline in deadlines.values where deadline < earliest { earliest = deadline }
    let next = wheel.nextDeadline
    let isRight =
      deadlines.isEmpty
      ? next == nil
      : next! <= Instant(milliseconds: earliest) && next! > Instant(nanoseconds: now / 1_000_000 * 1_000_000)
    if !isRight || wheel.armedCount != deadlines.count {
      Issue.record("next \(String(describing: next)) at \(now), \(wheel.armedCount) armed: \(deadlines)")
    }
    let timer = generator.below(block.count)
    if block[timer].isArmed != (deadlines[timer] != nil) { Issue.record("timer \(timer) was lost") }
  }

  consuming func finish() {
    for timer in 0..<block.count { wheel.cancel(block[timer]) }
    #expect(wheel.armedCount == 0 && wheel.nextDeadline == nil)
  }
}
