import Testing
import Timing

@Suite struct InstantTests {
  @Test func arithmeticSaturatesAtBothEnds() {
    #expect(Instant.distantFuture.adding(nanoseconds: 1) == .distantFuture)
    #expect(Instant.distantFuture.adding(milliseconds: Int64.max) == .distantFuture)
    #expect(Instant.zero.adding(nanoseconds: -1) == .zero)
    #expect(Instant.zero.adding(milliseconds: Int64.min) == .zero)
    #expect(Instant(milliseconds: .max) == .distantFuture)
    #expect(Instant.distantFuture - Instant.zero == Nanoseconds(.max))
    #expect(Instant.zero - Instant.distantFuture == Nanoseconds(-.max))
    #expect(Instant.distantFuture - Nanoseconds(.min) == .distantFuture)
    #expect(Instant(nanoseconds: 1 << 63) + Nanoseconds(.min) == .zero)
  }

  @Test func spansAreSigned() {
    let early = Instant(milliseconds: 5)
    let late = early.adding(microseconds: 1500)
    #expect(late - early == .microseconds(1500))
    #expect(early - late == .microseconds(-1500))
    #expect(early + (late - early) == late)
    #expect(late - (late - early) == early)
    #expect((late - early).milliseconds == 1)
    #expect(early.adding(.milliseconds(3)) == Instant(milliseconds: 8))
    #expect(Nanoseconds.seconds(2) / 4 == .milliseconds(500))
  }

  @Test func virtualClockMovesForwardOnly() {
    let clock = VirtualClock(start: Instant(milliseconds: 10))
    clock.advance(by: .milliseconds(5))
    #expect(clock.now() == Instant(milliseconds: 15))
    clock.advance(to: Instant(milliseconds: 3))
    #expect(clock.now() == Instant(milliseconds: 15))
    clock.advance(by: Duration.seconds(1))
    #expect(clock.now() == Instant(milliseconds: 1015))
  }

  @Test func realClockNeverGoesBack() {
    let clock = RealClock()
    var last = clock.now()
    for _ in 0..<1000 {
      let now = clock.now()
      #expect(now >= last)
      last = now
    }
  }
}
