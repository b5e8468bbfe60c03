import Timing
import Wire

// FreeBSD's way out of a black hole, net.inet.tcp.pmtud_blackhole_detection: two sizes to try, and back. A search (RFC 4821)
// is not begun with it; where one is known it would be better.
extension TCPConnection {
  /// A timeout: the segment that was repeated has not arrived either. With the second repetition segments become as small as
  /// `blackHoleSegment`, with the fourth as `blackHoleLeast`, each if it is smaller than what is in use, and then what they
  /// had been: it was no black hole. What a size has brought through stays.
  mutating func stepDown(now: Instant) {
    let (first, least) = (configuration.blackHoleSegment, configuration.blackHoleLeast)
    guard first > 0, state == .established || state == .finWait1 else { return }
    let repetition = Int(attempts) + 1
    guard repetition >= 2, repetition % 2 == 0 else { return }
    let whole = min(send.segmentLimit, send.pathSegment)
    let size: UInt16
    if repetition == 2, outstanding[0].length + fixedOptions < send.segment {
      return  // What does not arrive is small.
    } else if repetition == 2, send.segment > first {
      size = first
    } else if repetition <= 4, send.segment > least, repetition == 2 || search.isOn && first > least {
      size = least
    } else {
      return stepBack(to: whole, now: now)
    }
    search.set(PathSearch.Range(low: size, high: whole, since: now))
    settleSegment()
    counters.blackHoles &+= 1
    pathNews.insert(.blackHole)
  }

  /// Segments are as large as before, and what was cut for the smaller ones is one again.
  private mutating func stepBack(to whole: UInt16, now: Instant) {
    guard search.isOn, send.segment < whole else { return }
    search.set(PathSearch.Range(low: whole, high: whole, since: now))
    settleSegment()
    while outstanding.count > 1, !outstanding[0].marks.contains(.sacked),
      !outstanding[1].marks.contains(.sacked),
      outstanding[0].length + outstanding[1].length <= fullTextSegment
    {
      outstanding.joinNext(0)
    }
  }
}
