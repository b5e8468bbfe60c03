// Letting frames gather before the next look at a link, as network cards hold interrupts back in bulk. A context that is
// faster than its links would else meet each frame alone: a sleep, a read, a read that finds nothing and an answer for
// every one of them, and on the sender's side a wake-up. It rests instead, and what came meanwhile is read, worked on
// and acknowledged together. Whoever sends a little and waits for the answer moves no bulk, and never meets a rest.

import Devices
import Timing

/// How long a context rests. It is found by trying: longer while more comes together and no less in a second, not at all
/// where the peer waits for what a rest delays. Private to who drives the context.
struct Gathering {
  /// Nanoseconds of the next rest; 0: none.
  private var span: UInt64 = 0
  /// Frames and bytes that had passed when the context was last at its end.
  private var knownFrames: UInt64 = 0
  private var knownBytes: UInt64 = 0
  /// Spells of work with the present span, what passed in them, and since when.
  private var spells: UInt64 = 0
  private var frames: UInt64 = 0
  private var bytes: UInt64 = 0
  private var since = Instant.zero
  /// The step before, with a shorter span: bytes in a spell, and in a millisecond.
  private var bytesBefore: UInt64 = 0
  private var rateBefore: UInt64 = 0
  /// Spells without trying, now and after the next trial that fails.
  private var held = 0
  private var hold = Self.shortestHold

  /// A spell with less was no bulk.
  private static var bulk: UInt64 { 32 << 10 }
  /// A spell has enough frames with so many, and more than enough with twice as many.
  private static var enough: UInt64 { 4 }
  /// Spells that make a step.
  private static var step: UInt64 { 8 }
  private static var shortestHold: Int { 64 }
  private static var longestHold: Int { 4096 }

  /// The context has nothing more to do. `frames`, `bytes`: what its polled links took and gave since the beginning.
  ///
  /// - Parameter unit: the shortest span, in nanoseconds; the first is twice, the longest four times that. 0: there are
  /// no rests.
  /// - Returns: nanoseconds to rest before the links are looked at; 0: wait for them as ever.
  mutating func ended(frames total: UInt64, bytes totalBytes: UInt64, unit: UInt64, now: Instant) -> UInt64 {
    guard unit > 0 else { return 0 }
    let (frames, bytes) = (total &- knownFrames, totalBytes &- knownBytes)
    (knownFrames, knownBytes) = (total, totalBytes)
    guard bytes >= Self.bulk else {
      span = 0
      begin(now)
      return 0
    }
    if held > 0 {
      held -= 1
      if held == 0 { begin(now) }
      return 0
    }
    self.frames &+= frames
    self.bytes &+= bytes
    spells &+= 1
    if spells >= Self.step { judge(unit, now) }
    return span
  }

  /// A step is over: on with it, longer, shorter or not at all.
  private mutating func judge(_ unit: UInt64, _ now: Instant) {
    let each = bytes / spells
    let microseconds = max(1, UInt64(clamping: (now - since).count) / 1_000)
    let rate = bytes &* 1_000 / microseconds
    let isLong = span > 0 && bytesBefore > 0
    if isLong, each < bytesBefore / 4 &* 5 || rate < rateBefore / 8 &* 7 {
      // No more came together, or less in all: the peer waits for us.
      (span, bytesBefore) = (0, 0)
      (held, hold) = (hold, min(hold * 2, Self.longestHold))
    } else if frames < spells &* Self.enough {
      if isLong { hold = Self.shortestHold }
      if span < unit &* 4 {
        (bytesBefore, rateBefore) = (each, rate)
        span = span == 0 ? unit &* 2 : min(span &* 2, unit &* 4)
      } else {
        // As long as it may be, and it was worth it: the next step is compared with nothing.
        bytesBefore = 0
      }
    } else {
      if frames > spells &* Self.enough &* 2 { span = span / 2 < unit ? 0 : span / 2 }
      bytesBefore = 0
    }
    begin(now)
  }

  private mutating func begin(_ now: Instant) {
    (spells, frames, bytes, since) = (0, 0, 0, now)
  }
}

extension ContextRunner {
  /// How long to rest now; nanoseconds.
  func restSpan(_ now: Instant) -> UInt64 {
    // A resident's descriptor does not end a rest.
    guard unsafe state.pointee.core.port.sleepsInPoller, unsafe state.pointee.spinLimit > 0,
      unsafe !state.pointee.isResidentWatched
    else { return 0 }
    var (frames, bytes) = (UInt64(0), UInt64(0))
    for number in unsafe 0..<state.pointee.sources.count {
      guard unsafe state.pointee.sources[number].hasDescriptor else { continue }
      unsafe state.pointee.sources[number].port._withUnsafeGuaranteedRef { port in
        frames &+= port.counters.framesReceived.value
        bytes &+= port.counters.bytesReceived.value &+ port.counters.bytesSent.value
      }
    }
    return unsafe state.pointee.gathering.ended(
      frames: frames, bytes: bytes, unit: state.pointee.spinLimit, now: now)
  }

  /// After a rest, which the links did not end: they are looked at, whether they have something or not.
  func lookAtLinks() {
    for number in unsafe 0..<state.pointee.sources.count {
      if unsafe state.pointee.sources[number].hasDescriptor, unsafe !state.pointee.sources[number].hasFailed {
        unsafe state.pointee.sources.setPending(number, true)
      }
    }
  }
}
