import Timing
import Wire

// What the peer reports of segments that arrived out of order: RFC 2018, 2883, 6675.
extension TCPConnection {
  /// One past the highest number that the peer has reported.
  var highestReported: SequenceNumber {
    isSelective && outstanding.sacked > 0
      ? SequenceNumber.later(reportedEnd, send.unacknowledged) : send.unacknowledged
  }

  /// Takes the SACK blocks of a segment. The ACK field is not taken yet.
  mutating func takeBlocks(of segment: TCPSegment, now: Instant, _ report: inout AcknowledgmentReport) {
    let blocks = segment.options.sack
    guard isSelective, !blocks.isEmpty else { return }
    let isDuplicate = takeDuplicateReport(blocks, segment.acknowledgment, &report)
    guard !outstanding.isEmpty else { return }
    var firstSent: Instant?
    var lastSent = Instant.zero
    for index in 0..<blocks.count {
      let block = blocks[index]
      let repeats = index == 0 && isDuplicate
      guard isPlausible(block, isDuplicate: repeats), block.right > segment.acknowledgment || repeats else {
        continue
      }
      takeBlock(block, isDuplicate: repeats, now: now, &firstSent, &lastSent, &report)
    }
    knownBlocks = blocks
    if let firstSent {
      report.sackedRoundTrip = now - firstSent
      report.newestRoundTrip = now - lastSent
    }
    if let lowest = report.lowestReordered, recovery.phase != .loss || recovery.undoMarker != nil {
      noteReordering(from: lowest, highest: highestReported)
    }
    report.lowestReordered = nil
  }

  /// RFC 2018 section 5.1: whether a block can be about anything that we sent. A duplicate may lie below SND.UNA, but
  /// not farther than a window.
  private func isPlausible(_ block: SACKBlock, isDuplicate: Bool) -> Bool {
    guard block.left < block.right, block.right <= send.next else { return false }
    if block.left >= send.unacknowledged { return true }
    return block.left >= send.unacknowledged - Int(max(send.largestWindow, 1))
      && (isDuplicate || block.right > send.unacknowledged)
  }

  /// RFC 2883 section 4: the first block may report what arrived twice. Returns whether it does.
  private mutating func takeDuplicateReport(
    _ blocks: SACKBlocks, _ acknowledgment: SequenceNumber, _ report: inout AcknowledgmentReport
  ) -> Bool {
    let first = blocks[0]
    guard first.left < first.right, first.right <= send.next else { return false }
    if first.left >= acknowledgment {
      guard blocks.count > 1, blocks[1].left <= first.left, first.right <= blocks[1].right else {
        return false
      }
    }
    let length = first.right - first.left
    // Farther back than any window: nothing can be learned.
    guard length <= Int(max(send.largestWindow, 1)) else { return false }
    let segments = max(1, (length + fullSegment - 1) / fullSegment)
    recovery.reportedDuplicates &+= UInt32(segments)
    // More than we sent twice: the network made them.
    guard recovery.reportedDuplicates <= counters.retransmissions else { return true }
    report.reportedDuplicate = true
    if let end = recovery.probeEnd, recovery.probeRepeats, first.right == end { report.reportedProbe = true }
    recent.duplicateReported()
    counters.duplicateReports &+= 1
    if first.right <= send.unacknowledged, let marker = recovery.undoMarker, first.right > marker {
      takeBackRetransmissions(segments)
    }
    return true
  }

  private mutating func takeBackRetransmissions(_ count: Int) {
    guard let known = recovery.undoRetransmissions else { return }
    recovery.undoRetransmissions = max(0, known - count)
  }

  private mutating func takeBlock(
    _ block: SACKBlock, isDuplicate: Bool, now: Instant, _ firstSent: inout Instant?,
    _ lastSent: inout Instant, _ report: inout AcknowledgmentReport
  ) {
    var left = SequenceNumber.later(block.left, send.unacknowledged)
    if !isDuplicate {
      // What the last acknowledgment reported already need not be walked again.
      for index in 0..<knownBlocks.count
      where knownBlocks[index].left <= left && left < knownBlocks[index].right {
        left = SequenceNumber.earlier(knownBlocks[index].right, block.right)
      }
    }
    var index = outstanding.index(of: left)
    while index < outstanding.count {
      let segment = outstanding[index]
      if segment.start >= block.right { break }
      // Only whole segments count: a part of one is sent again with the rest.
      if segment.start >= block.left, segment.end <= block.right {
        takeReport(index, segment, isDuplicate: isDuplicate, now: now, &firstSent, &lastSent, &report)
      }
      index += 1
    }
  }

  /// The peer holds the segment at `index`.
  private mutating func takeReport(
    _ index: Int, _ segment: SentSegment, isDuplicate: Bool, now: Instant, _ firstSent: inout Instant?,
    _ lastSent: inout Instant, _ report: inout AcknowledgmentReport
  ) {
    let marks = segment.marks
    if isDuplicate, marks.contains(.repeated), let marker = recovery.undoMarker, segment.end > marker {
      takeBackRetransmissions(1)
    }
    if !marks.contains(.sacked) {
      noteDelivered(index, segment, now: now, &report)
      if marks.contains(.repeating) {
        // Not marked lost: the repetition is believed to be still on its way.
        if marks.contains(.lost) { outstanding.clear(index, [.lost, .repeating]) }
      } else {
        if !marks.contains(.repeated) {
          if segment.start < highestReported, report.lowestReordered.map({ segment.start < $0 }) ?? true {
            report.lowestReordered = segment.start
          }
          if segment.end <= recovery.end { report.deliveredOriginal = true }
          firstSent = firstSent ?? segment.sent
          lastSent = segment.sent
        }
        outstanding.clear(index, .lost)
      }
      if outstanding.sacked == 0 { reportedEnd = segment.end }
      outstanding.mark(index, .sacked)
      reportedEnd = SequenceNumber.later(reportedEnd, segment.end)
      report.sacked = true
    }
    if isDuplicate { outstanding.clear(index, .repeating) }
  }

  /// Segments from `lowest` on arrived after others up to `highest` had, without having been repeated: so far this path
  /// disturbs the order (RFC 4653 tells why to count).
  mutating func noteReordering(from lowest: SequenceNumber, highest: SequenceNumber) {
    guard lowest < highest else { return }
    let distance = highest - lowest
    if distance > recovery.reordering * fullSegment {
      recovery.reordering = min(
        (distance + fullSegment - 1) / fullSegment, LossRecovery.largestReordering)
    }
    recovery.sawReordering = true
    counters.reorderings &+= 1
  }
}

// The same where the peer reports nothing: each duplicate acknowledgment says that one segment arrived.
extension TCPConnection {
  /// A duplicate acknowledgment: something has left the network.
  mutating func addPresumed() {
    outstanding.presumed += 1
    if !limitPresumed(addend: 0) { return }
    count.delivered &+= 1
  }

  /// So many segments were acknowledged: the first was the hole, the others are those that the duplicates were for.
  mutating func removePresumed(_ acknowledged: Int) {
    count.delivered &+= UInt32(max(acknowledged - outstanding.presumed, 1))
    outstanding.presumed = max(0, outstanding.presumed - (acknowledged - 1))
    _ = limitPresumed(addend: acknowledged)
  }

  /// No more can have arrived than are out, less the hole. Where more is claimed the order was disturbed, and the
  /// threshold grows. False: it was so.
  private mutating func limitPresumed(addend: Int) -> Bool {
    let holes = min(max(outstanding.lost, 1), outstanding.count)
    guard outstanding.presumed + holes > outstanding.count else { return true }
    outstanding.presumed = outstanding.count - holes
    recovery.reordering = min(outstanding.count + addend, LossRecovery.largestReordering)
    recovery.sawReordering = true
    return false
  }
}
