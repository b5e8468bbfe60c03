import Timing
import Wire

/// The send sequence variables of RFC 9293 section 3.3.1, and where the send queue ends.
///
/// The queue itself lies with the environment: bytes from `dataStart` up to `queueEnd`. The FIN, once queued,
/// has the sequence number `queueEnd`.
struct SendSequence {
  /// ISS.
  let initial: SequenceNumber
  /// SND.UNA: the oldest sequence number not acknowledged.
  var unacknowledged: SequenceNumber {
    didSet {
      isSynOut = false
      // What is compared with it must not fall behind by half of the numbers.
      smallEnd = SequenceNumber.later(smallEnd, unacknowledged)
    }
  }
  /// Our SYN is not acknowledged. (Its number says so only for the first 2 GiB.)
  private(set) var isSynOut = true
  /// SND.NXT: what is sent next for the first time.
  var next: SequenceNumber
  /// One past the highest sequence number ever sent: `next`, or beyond it the byte that probed a closed window. What
  /// arrives is judged by it.
  var maximum: SequenceNumber
  /// The first byte that the environment's queue still holds: it drops bytes after a call, so that within a call
  /// this falls behind `dataStart`.
  var queueFront: SequenceNumber
  /// One past the last byte of the send queue; where the FIN stands.
  var queueEnd: SequenceNumber
  /// One past the last byte that the application wanted pushed.
  var pushed: SequenceNumber
  /// One past the last segment sent that was not full, for Nagle's rule.
  var smallEnd: SequenceNumber
  /// SND.WND in bytes.
  var window: UInt32 = 0
  /// SND.WL1: the segment that brought the window.
  var windowSequence: SequenceNumber
  /// SND.WL2: its acknowledgment.
  var windowAcknowledgment: SequenceNumber
  /// MAX.SND.WND: the largest window seen.
  var largestWindow: UInt32 = 0
  /// Largest payload of a segment before options: the least of the next two, and of what was found by probing.
  var segment: UInt16
  /// What the peer takes, and the application wants.
  var segmentLimit: UInt16
  /// What the path takes, as far as routers have told.
  var pathSegment: UInt16
  /// What the first link of it takes.
  var routeSegment: UInt16
  /// Shift of the window fields that arrive.
  var scale: UInt8 = 0
  /// The FIN is in the queue.
  var finQueued = false
  /// When a segment with sequence space was sent last.
  var lastTransmission: Instant

  init(initial: SequenceNumber, segment: UInt16, now: Instant) {
    self.initial = initial
    unacknowledged = initial
    next = initial
    maximum = initial
    queueFront = initial + 1
    queueEnd = initial + 1
    pushed = initial + 1
    smallEnd = initial
    windowSequence = initial
    windowAcknowledgment = initial
    self.segment = segment
    segmentLimit = segment
    pathSegment = segment
    routeSegment = segment
    lastTransmission = now
  }

  /// The sequence number of the first byte in the queue.
  var dataStart: SequenceNumber { isSynOut ? unacknowledged + 1 : unacknowledged }
  /// Bytes in the queue, sent or not. Once the FIN is acknowledged there are none.
  var queuedBytes: Int { max(0, queueEnd - dataStart) }
  /// Bytes of the queue from `next` on; negative when the FIN has been sent.
  var unsentBytes: Int { queueEnd - next }
  /// The FIN is queued and `next` has not passed it.
  var finPending: Bool { finQueued && next <= queueEnd }
  /// The peer has acknowledged our FIN: keeps P2, only this moves FIN-WAIT-1, CLOSING and LAST-ACK on.
  var finAcknowledged: Bool { finQueued && unacknowledged > queueEnd }
  /// Anything (data, SYN or FIN) sent since `next` last went back, and not acknowledged.
  var flight: Int { next - unacknowledged }
  /// Anything left to send or to have acknowledged.
  var isFinished: Bool { unacknowledged >= queueEnd && (!finQueued || finAcknowledged) }
  /// SND.UNA + SND.WND - SND.NXT: what the peer still takes.
  var room: Int { Int(window) - flight }

  /// Takes the window of an acceptable segment, unless an older one brings it (RFC 9293 section 3.10.7.4). Of two that
  /// acknowledge the same the larger one is believed, or a closed one: the smaller was overtaken. Returns whether it
  /// was taken.
  mutating func takeWindow(
    _ offered: UInt32, sequence: SequenceNumber, acknowledgment: SequenceNumber
  ) -> Bool {
    guard
      windowSequence < sequence
        || (windowSequence == sequence
          && (windowAcknowledgment < acknowledgment
            || (windowAcknowledgment == acknowledgment && (offered > window || offered == 0))))
    else { return false }
    setWindow(offered, sequence: sequence, acknowledgment: acknowledgment)
    return true
  }

  /// Takes a window without a question.
  mutating func setWindow(_ offered: UInt32, sequence: SequenceNumber, acknowledgment: SequenceNumber) {
    window = offered
    largestWindow = max(largestWindow, offered)
    windowSequence = sequence
    windowAcknowledgment = acknowledgment
  }
}
