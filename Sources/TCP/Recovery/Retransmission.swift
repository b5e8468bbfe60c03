import Timing
import Wire

// Sending again: what the scoreboard marks as lost, as far as the congestion window goes.
extension TCPConnection {
  /// Sends again what is lost (RFC 6675 section 5, NextSeg rule 1).
  mutating func retransmitLost(now: Instant, sink: inout some TCPSink & ~Copyable) {
    var (burst, left) = (0, 0)
    while let index = outstanding.nextToRepeat() {
      guard window.segments > outstanding.inFlight, sink.mayTransmitText(), pacer.mayLeave(now) else { break }
      if left == 0 {
        burst = repeatedBurst(from: index)
        left = burst
      }
      left -= 1
      guard retransmit(index, isPushed: burst > 1 && left == 0, now: now, sink: &sink) else { break }
      if recovery.isReducing { recovery.out += 1 }
      if index == 0, deadlines.retransmission.purpose != .reordering {
        restartRetransmissionTimer(isProgress: false, isFinal: true, now: now)
      }
    }
  }

  /// How many segments from `index` on, which is lost, go again as the one large segment that Linux sent them as: those of
  /// one burst that are all lost, as far as the window goes. What it cuts then stays cut.
  private mutating func repeatedBurst(from index: Int) -> Int {
    let size = fullTextSegment
    guard configuration.personality == .linux, configuration.pushesBursts, outstanding[index].length <= size
    else { return 1 }
    let most = min(window.segments - outstanding.inFlight, burstLimit)
    var count = 1
    while outstanding[index + count - 1].marks.contains(.joined), index + count < outstanding.count,
      outstanding[index + count].marks.wantsRepetition, outstanding[index + count].length <= size
    {
      guard count < most else {
        outstanding.clear(index + count - 1, .joined)
        break
      }
      count += 1
    }
    return count
  }

  /// Sends the segment at `index` again, cut to what a segment may be now. False: the peer has taken back the window
  /// that it needs. What is at SND.UNA goes in any case: it probes the window.
  ///
  /// `isPushed`: with PSH in any case.
  mutating func retransmit(
    _ index: Int, isPushed: Bool = false, now: Instant, sink: inout some TCPSink & ~Copyable
  ) -> Bool {
    pathProbeIsInconclusive()
    let segment = outstanding[index]
    var room = send.unacknowledged + Int(send.window) - segment.start
    if room <= 0 {
      guard segment.start == send.unacknowledged else { return false }
      room = fullSegment
    }
    let hasFin = send.finQueued && segment.end == send.queueEnd + 1
    let text = segment.length - (hasFin ? 1 : 0)
    let most = min(fullTextSegment, room)
    if text > most { outstanding.split(index, at: segment.start + most) }
    let bytes = min(text, most)
    let fin = hasFin && text <= most
    recovery.undoRetransmissions = (recovery.undoRetransmissions ?? 0) + 1
    if recovery.firstRetransmission == nil { recovery.firstRetransmission = timestamps.clock(now) }
    if recovery.phase != .loss { counters.fastRetransmissions &+= 1 }
    let isAlone = outstanding.inFlight == 0
    outstanding.resent(index, now: now, delivered: count.delivered)
    noteSent(index, isAlone: isAlone, now: now)
    transmitText(
      at: segment.start, count: bytes, fin: fin, isPushed: isPushed, isRetransmission: true, now: now,
      sink: &sink)
    return true
  }
}
