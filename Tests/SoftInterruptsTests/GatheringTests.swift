import Testing
import Timing

@testable import SoftInterrupts

/// When a context lets frames gather, told as a link that it serves.
@Suite struct GatheringTests {
  /// A link on which a frame of 64 KiB comes every `gap` nanoseconds; `window` frames at most wait for an answer.
  private struct Link {
    var gathering = Gathering()
    var now = Instant(nanoseconds: 1)
    var frames: UInt64 = 0
    var bytes: UInt64 = 0
    let gap: UInt64
    var window = UInt64.max
    var size: UInt64 = 65_160
    /// Since the beginning of the wait.
    var calls: UInt64 = 0

    /// One spell: the wait, then all that is there. Returns the rest that it began with, in nanoseconds.
    mutating func spell(unit: UInt64 = 50_000) -> UInt64 {
      let rest = gathering.ended(frames: frames, bytes: bytes, unit: unit, now: now)
      let came = min(max(1, rest / gap), window)
      // Who has its window out waits for us, not for the link.
      now = now.adding(nanoseconds: max(rest, came * gap))
      frames += came
      bytes += came * size
      // The wait, a read for each, one that finds nothing, an acknowledgment for four.
      calls += 2 + came + (came + 3) / 4
      return rest
    }
  }

  @Test func aSlowLinkGathersFour() {
    var link = Link(gap: 48_000)
    var longest: UInt64 = 0
    for _ in 0..<200 { longest = max(longest, link.spell()) }
    #expect(longest == 200_000)
    (link.calls, link.frames) = (0, 0)
    let before = link.bytes
    for _ in 0..<1000 { _ = link.spell() }
    #expect(link.calls * 32_768 < link.bytes - before, "less than a call for 32 KiB")
  }

  @Test func aFastLinkNeedsNoLongRest() {
    var link = Link(gap: 10_000)
    for _ in 0..<200 { _ = link.spell() }
    #expect(link.spell() == 50_000)
  }

  /// The peer has two frames out and waits: what a rest brings it takes twice.
  @Test(arguments: [1, 2] as [UInt64]) func whoWaitsForUsIsNotKeptWaiting(window: UInt64) {
    var link = Link(gap: 10_000, window: window)
    for _ in 0..<2000 { _ = link.spell() }
    var rests = 0
    for _ in 0..<4096 where link.spell() > 0 { rests += 1 }
    #expect(rests < 4096 / 16, "a trial now and then")
  }

  @Test func requestsMeetNoRest() {
    var link = Link(gap: 20_000, size: 100)
    for _ in 0..<1000 { #expect(link.spell() == 0) }
  }

  @Test func theEndOfBulkEndsTheRests() {
    var link = Link(gap: 48_000)
    for _ in 0..<100 { _ = link.spell() }
    #expect(link.spell() > 0)
    link.size = 100
    _ = link.spell()
    #expect(link.spell() == 0)
  }

  @Test func whoMayNotSpinDoesNotRest() {
    var link = Link(gap: 48_000)
    for _ in 0..<100 { #expect(link.spell(unit: 0) == 0) }
  }
}
