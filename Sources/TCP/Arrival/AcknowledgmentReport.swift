import Timing
import Wire

/// What an acknowledgment turned out to say, gathered while it is taken, for those who decide what follows.
struct AcknowledgmentReport {
  /// SND.UNA before it.
  let priorUnacknowledged: SequenceNumber
  /// One past the highest number that the peer had reported before it.
  let priorHighest: SequenceNumber
  /// Segments that had been delivered before it, lost, and marked.
  let priorDelivered: UInt32
  let priorLost: UInt32
  let priorMarked: UInt32
  /// Segments that were out before it.
  let priorCount: Int

  /// SND.UNA moved.
  var advanced = false
  /// Segments of text are acknowledged.
  var acknowledgedText = false
  /// A segment was reported for the first time by a SACK block.
  var sacked = false
  /// Something arrived that was out when recovery began and was never sent again: not all is lost.
  var deliveredOriginal = false
  /// Something was acknowledged that was sent more than once.
  var acknowledgedRepeated = false
  /// The peer got something twice (RFC 2883).
  var reportedDuplicate = false
  /// And it was the tail loss probe.
  var reportedProbe = false
  /// The segment carries text or a FIN.
  var carriesText = false
  /// It brought another window.
  var changedWindow = false
  /// A duplicate acknowledgment in the sense of RFC 5681 section 2.
  var isDuplicate = false
  /// It echoes congestion (RFC 3168 section 6.1.2), or counts more of it (RFC 9768 section 3.2.2).
  var echoesCongestion = false
  /// A repetition was found lost.
  var lostRepetition = false
  /// The retransmission timer begins anew.
  var restartsTimer = false

  /// Lowest number that arrived without having been repeated, behind numbers reported before.
  var lowestReordered: SequenceNumber?
  /// Round trip of the first segment acknowledged, or reported; nil where one of them was repeated.
  var roundTrip: Nanoseconds?
  var sackedRoundTrip: Nanoseconds?
  /// Round trip of the last of them, which a delayed acknowledgment made no longer: what congestion controls look at.
  var newestRoundTrip: Nanoseconds?
  /// Segments delivered before the newest of those was sent that it reports; nil: it reports none.
  var newestPriorDelivered: UInt32?
  /// Segments acknowledged in order.
  var acknowledged = 0

  /// More is to be done than to go on: it says nothing new, reports losses, or losses are being repaired.
  func isDubious(in phase: LossRecovery.Phase) -> Bool {
    let saysNothing = !(carriesText || changedWindow || acknowledgedText)
    return saysNothing || sacked || echoesCongestion || reportedDuplicate || phase != .open
  }
}
