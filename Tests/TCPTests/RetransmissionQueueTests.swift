import Chance
import Testing
import Timing
import Wire

@testable import TCP

/// The scoreboard against one that looks at everything each time.
@Suite struct RetransmissionQueueTests {
  @Test(arguments: 1...40 as ClosedRange<UInt64>) func whatWaitsToBeRepeatedIsFound(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var queue = RetransmissionQueue()
    queue.keepSnapshots(seed % 2 == 0)
    var next = SequenceNumber(UInt32(truncatingIfNeeded: random.next()))
    var (found, splits) = (0, 0)
    for _ in 0..<3000 {
      let index = queue.isEmpty ? 0 : random.below(queue.count)
      switch random.below(10) {
      case 0...3:
        queue.append(SentSegment(start: next, end: next + 100, sent: .zero, delivered: 0))
        queue[snapshot: queue.count - 1] = DeliverySnapshot(
          deliveredAt: .zero, firstSent: .zero, lost: next.rawValue, flight: 1, isApplicationLimited: false)
        next += 100
      case 4 where !queue.isEmpty: queue.removeFirst()
      case 5 where !queue.isEmpty: queue.mark(index, .lost)
      case 6 where !queue.isEmpty: queue.clear(index, random.chance(percent: 50) ? .repeating : .lost)
      case 7 where !queue.isEmpty:
        queue.clear(index, .lost)
        queue.mark(index, .sacked)
      case 8 where !queue.isEmpty && queue[index].length > 1:
        let start = queue[index].start
        queue.split(index, at: start + 1)
        splits += 1
        #expect(queue[index].end == start + 1 && queue[index + 1].start == start + 1)
      default:
        let naive = (0..<queue.count).first { queue[$0].marks.wantsRepetition }
        let place = queue.nextToRepeat()
        #expect(place == naive)
        guard let place else { break }
        found += 1
        queue.resent(place, now: .zero, delivered: 0)
        #expect(!queue[place].marks.wantsRepetition)
      }
    }
    #expect(found > 50 && splits > 50)
    // What lies beside a segment stays beside it: both of what was cut have it.
    for index in 0..<queue.count {
      let start = queue[index].start.rawValue
      let beside = queue[snapshot: index].lost
      #expect(seed % 2 == 1 ? beside == 0 : start &- beside < 100)
    }
  }
}
