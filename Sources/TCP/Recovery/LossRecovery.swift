import Timing
import Wire

/// Where a connection stands between losses: what it does about them, and what it would take to undo that.
///
/// The phases are those of Linux, which tells them to users as `tcpi_ca_state`. How losses are found is
/// `RecentAcknowledgment`'s (RACK, RFC 8985), or the count of duplicate acknowledgments where the peer does not
/// say more; how fast to send meanwhile is proportional rate reduction (RFC 6937); what is sent again is what
/// the scoreboard marks as lost.
struct LossRecovery {
  /// The phases.
  enum Phase: UInt8 {
    /// All is well.
    case open
    /// Something arrived out of order, or was reported twice: perhaps a loss.
    case disorder
    /// The window is being reduced, though nothing is known to be lost (CWR: an echo of congestion, or a tail loss
    /// that the probe repaired).
    case reduction
    /// Losses were found, and are repaired.
    case recovery
    /// The retransmission timer went off.
    case loss
  }

  private(set) var phase = Phase.open
  /// SND.NXT when the phase was entered: its end is when all that was out then has arrived (RecoveryPoint of RFC 6675,
  /// `recover` of RFC 6582).
  var end: SequenceNumber
  /// Duplicate acknowledgments that make a loss, or segments by which the order is known to be disturbed (DupThresh).
  var reordering = LossRecovery.duplicateThreshold
  /// Reordering was seen on this path.
  var sawReordering = false

  // Proportional rate reduction, RFC 6937 section 3.
  /// cwnd when the reduction began (RecoverFS, in its window form).
  var priorWindow = 0
  /// prr_delivered.
  var delivered = 0
  /// prr_out.
  var out = 0

  // What undoing needs: RFC 3522 (Eifel, by timestamps), RFC 3708 (by DSACK), RFC 5682 (F-RTO).
  /// SND.UNA when the reduction began; nil: there is nothing to undo.
  var undoMarker: SequenceNumber?
  /// Retransmissions since then of which no duplicate was reported; nil: nothing was sent again.
  var undoRetransmissions: Int?
  /// ssthresh before the reduction; nil: it is not to be undone.
  var priorThreshold: Int?
  /// Our timestamp clock when something was first sent again; nil: nothing was.
  var firstRetransmission: UInt32?
  /// Forward RTO-recovery is at work (RFC 5682): the next acknowledgments tell whether the timeout was spurious.
  var isProbingTimeout = false

  // Tail loss probe, RFC 8985 section 7.
  /// TLP.end_seq: SND.NXT when the probe was sent; nil: none is out.
  var probeEnd: SequenceNumber?
  /// TLP.is_retrans.
  var probeRepeats = false

  /// Duplicates that the peer reported (RFC 2883): no more than we made are believed.
  var reportedDuplicates: UInt32 = 0

  /// RFC 5681 section 3.2.
  static var duplicateThreshold: Int { 3 }
  /// No path is believed to disturb the order by more segments than this.
  static var largestReordering: Int { 300 }

  init(initial: SequenceNumber) { end = initial }

  /// PRR is at work.
  var isReducing: Bool { phase == .reduction || phase == .recovery }

  /// Enters a phase that ends when `next` is acknowledged.
  mutating func enter(_ new: Phase, until next: SequenceNumber) {
    phase = new
    end = next
  }
  /// Goes on in another phase with the same end.
  mutating func become(_ new: Phase) { phase = new }

  /// What RFC 6937 section 3 lets go out after `newlyDelivered` more segments arrived: the congestion window until the next,
  /// which brings what is in flight down to `threshold` in one round trip, and grows it back if it fell below.
  ///
  /// The slow-start bound where the last acknowledgment moved SND.UNA and reported no further loss, the conservative
  /// one otherwise (RFC 6937bis section 6.2). The first segment of a recovery always goes.
  mutating func proportionalWindow(
    newlyDelivered: Int, newlyLost: Int, advanced: Bool, inFlight: Int, threshold: Int
  ) -> Int? {
    guard newlyDelivered > 0, priorWindow > 0 else { return nil }
    delivered += newlyDelivered
    var count: Int
    let room = threshold - inFlight
    if room < 0 {
      count = (threshold * delivered + priorWindow - 1) / priorWindow - out
    } else {
      count = max(delivered - out, newlyDelivered)
      if advanced, newlyLost == 0 { count += 1 }
      count = min(room, count)
    }
    return inFlight + max(count, out > 0 ? 0 : 1)
  }
}
