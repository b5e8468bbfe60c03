import Timing
import Wire

// The receiver's side of accurate feedback: what is counted, when it is told, and what with (RFC 9768 section 3.2).
extension TCPConnection {
  /// Both SYNs have agreed on accurate feedback, or not.
  mutating func agreeOnFeedback(_ feedback: CongestionFeedback) {
    ecn.feedback = feedback
    if feedback == .accurate { accurate.begin() } else { accurate.end() }
  }

  /// An acceptable packet: its mark counts, whatever it carries.
  mutating func countMark(of segment: TCPSegment, _ count: Int) {
    // All that were joined have the mark of the whole.
    let segments = segment.segments(payload: count)
    let begins = accurate.feedback.arrived(segment.notification, bytes: count, packets: segments)
    guard segment.notification == .experienced else { return }
    counters.congestionMarks &+= UInt32(segments)
    // Section 3.2.2.5.1: a queue has begun to grow, or many marks have come.
    if begins, count > 0 { policy.now = true }
    let isWaiting = count > 0 || receive.next != receive.lastAcknowledgment
    guard accurate.feedback.isDue(isWaiting: isWaiting) else { return }
    policy.now = true
    if !isWaiting { accurate.feedback.answerAcknowledgments() }
  }

  /// A packet that is all old came, whose text ends where the last acknowledgment stands. To Linux it is in the window,
  /// and counts.
  mutating func countRepetition(of segment: TCPSegment, _ count: Int) {
    let end = segment.sequence + count
    if configuration.personality == .linux, end >= receive.lastAcknowledgment, end <= receive.next {
      countMark(of: segment, count)
    }
    guard count > 0, accurate.feedback.repeated(segment.sequence) else { return }
    accurate.feedback.failures.insert(.optionSent)
  }

  /// The peer's SYN-ACK again, in a connection that is open: the answer reflects its mark (section 3.2.2.1).
  mutating func reflectAgain(_ segment: TCPSegment) {
    guard ecn.isAccurate, !isPassive, segment.flags.isSuperset(of: [.syn, .ack]),
      segment.sequence == receive.initial
    else { return }
    accurate.feedback.synAckArrived(segment.notification)
  }

  // MARK: What leaves

  /// Options that change from segment to segment, as far as they find room.
  struct OptionPlan {
    /// Blocks of SACK.
    var blocks: Int
    /// Fields of the option of accurate feedback; nil: it is left out.
    var fields: Int?

    /// Bytes of both.
    var byteCount: Int {
      let isBeforeSACK = blocks > 0
      return (isBeforeSACK ? 4 + 8 * blocks : 0)
        + (fields.map { TCPAccurateECN.room(fields: $0, beforeSACK: isBeforeSACK) } ?? 0)
    }
  }

  /// What of them finds room beside so much text. Two blocks of SACK have precedence, then counters, as many as may be
  /// but at least those that have changed, then the rest of the blocks (section 3.2.3.3).
  func optionPlan(besides text: Int) -> OptionPlan {
    let room = min(40, text == 0 ? 40 : Int(send.segment) - text) - fixedOptions
    let wanted = isSelective ? selective.count + (selective.duplicate == nil ? 0 : 1) : 0
    var plan = OptionPlan(blocks: max(0, min(wanted, 4, (room - 4) / 8)))
    guard ecn.isAccurate, sendsCounters else { return plan }
    let needed = Int(accurate.feedback.changed)
    let fewest = needed > 0 ? min(plan.blocks, 2) : plan.blocks
    var candidate = plan
    while candidate.blocks >= fewest {
      for fields in stride(from: 3, through: needed, by: -1) {
        candidate.fields = fields
        if candidate.byteCount <= room { return candidate }
      }
      candidate.blocks -= 1
    }
    plan.fields = nil
    return plan
  }

  /// Whether the next segment has the option, if there is room. Linux sends it only where the peer's came through; the
  /// RFC would go on (section 3.2.3.2.3).
  private var sendsCounters: Bool {
    let state = accurate.feedback
    if configuration.personality == .linux, state.sight == .none { return false }
    switch configuration.accurateOption {
    case .never: return false
    case .sparing: return state.demand > 0 && !state.failures.contains(.optionSent)
    case .whenever: return !state.failures.contains(.optionSent)
    case .persistent: return true
    }
  }

  /// Who sends options sparingly sends some in each round trip all the same.
  mutating func noteBeacon(now: Instant) {
    guard configuration.accurateOption == .sparing, configuration.accurateOptionBeacon > 0 else { return }
    let quiet = now - accurate.feedback.optionSent
    if quiet * Int64(configuration.accurateOptionBeacon) >= roundTrip.smoothed {
      accurate.feedback.demandOptions(1)
    }
  }

  /// Puts feedback on a segment that acknowledges: the count, or on an ACK alone that answers the SYN-ACK how that
  /// arrived; and the option.
  mutating func tellMarks(
    _ flags: inout TCPFlags, _ options: inout TCPOptions, _ plan: OptionPlan, text: Int, now: Instant
  ) {
    // Linux keeps little of a connection in TIME-WAIT that nobody holds: not its counts.
    if state == .timeWait, isOrphan, configuration.personality == .linux { return }
    if let mark = accurate.feedback.reflection, flags == .ack, text == 0 {
      flags.formUnion(mark.reflection)
      accurate.feedback.reflection = nil
    } else {
      flags.formUnion(accurate.feedback.field)
    }
    if let fields = plan.fields { options.accurateECN = accurate.feedback.option(fields: fields) }
    accurate.feedback.told(
      withOption: plan.fields != nil, isRepetition: selective.duplicate != nil, now: now)
  }

  /// The next segment, if it has no text, must have no blocks of SACK: it reflects a mark, or acknowledges
  /// acknowledgments, and is no duplicate (sections 3.2.2.1 and 3.2.2.5.1).
  var leavesOutBlocks: Bool {
    ecn.isAccurate
      && (accurate.feedback.reflection != nil || accurate.feedback.answersAcknowledgments)
  }

  /// Every segment says that it is capable, not only new text: Linux's habit. Blocks of SACK tell acknowledgments of
  /// acknowledgments from duplicates, so that they must be agreed on.
  var marksEverySegment: Bool {
    ecn.isAccurate && configuration.personality == .linux && isSelective && accurate.feedback.mayMark
  }
}
