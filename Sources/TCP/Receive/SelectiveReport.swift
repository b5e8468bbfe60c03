import Wire

/// What the next acknowledgment reports beside its number: the runs of bytes held ahead of holes, most recent first
/// (RFC 2018 section 4), and before them a repetition (RFC 2883).
///
/// The list is kept rather than read off the queue: a run stays where its last change has put it, so that each is
/// reported several times in a row though only three or four find room. What falls off its end was reported before.
struct SelectiveReport {
  private var blocks = InlineArray<4, SACKBlock>(
    repeating: SACKBlock(left: SequenceNumber(0), right: SequenceNumber(0)))
  private(set) var count = 0
  /// The bytes that arrived again, if any did since the last acknowledgment.
  private(set) var duplicate: SACKBlock?

  var isEmpty: Bool { count == 0 && duplicate == nil }

  /// A segment with these bytes was put ahead of a hole, or was there already.
  mutating func arrived(_ start: SequenceNumber, _ end: SequenceNumber) {
    var block = SACKBlock(left: start, right: end)
    // What it touches becomes one with it. It may close the gap between two.
    var kept = 0
    for index in 0..<count {
      let other = blocks[index]
      if other.left <= block.right, block.left <= other.right {
        block.left = SequenceNumber.earlier(block.left, other.left)
        block.right = SequenceNumber.later(block.right, other.right)
      } else {
        blocks[kept] = other
        kept += 1
      }
    }
    count = min(kept, 3) + 1
    for index in stride(from: count - 1, to: 0, by: -1) { blocks[index] = blocks[index - 1] }
    blocks[0] = block
  }

  /// Everything before `next` was delivered.
  mutating func delivered(to next: SequenceNumber) { keep { next < $0.left ? $0 : nil } }

  /// What lay from `end` on was thrown away (RFC 2018 section 8).
  mutating func discarded(from end: SequenceNumber) {
    keep {
      guard $0.left < end else { return nil }
      return SACKBlock(left: $0.left, right: SequenceNumber.earlier($0.right, end))
    }
  }

  private mutating func keep(_ body: (SACKBlock) -> SACKBlock?) {
    var kept = 0
    for index in 0..<count {
      guard let block = body(blocks[index]) else { continue }
      blocks[kept] = block
      kept += 1
    }
    count = kept
  }

  /// Nothing is held any more.
  mutating func clear() { count = 0 }

  /// Bytes arrived that were here already (RFC 2883 section 4). One block is all that an acknowledgment reports; the
  /// latest repetition is it.
  mutating func repeated(_ start: SequenceNumber, _ end: SequenceNumber) {
    duplicate = start < end ? SACKBlock(left: start, right: end) : nil
  }

  /// The same for one of several repetitions in a segment: it grows the block if it touches it, else it is left out.
  mutating func repeatedToo(_ start: SequenceNumber, _ end: SequenceNumber) {
    guard let known = duplicate else { return repeated(start, end) }
    guard start <= known.right, known.left <= end else { return }
    duplicate = SACKBlock(
      left: SequenceNumber.earlier(known.left, start), right: SequenceNumber.later(known.right, end))
  }

  /// Repetitions are not reported.
  mutating func forgetDuplicate() { duplicate = nil }

  /// The option's blocks, at most `limit`; the repetition is reported once.
  mutating func take(limit: Int) -> SACKBlocks {
    var option = SACKBlocks()
    guard limit > 0 else { return option }
    if let block = duplicate.take() { option.append(block) }
    for index in 0..<count where option.count < min(limit, 4) { option.append(blocks[index]) }
    return option
  }

  /// The highest number held, if any is: where a peer's reset may stand that has not seen what filled the hole.
  var highest: SequenceNumber? {
    guard count > 0 else { return nil }
    var highest = blocks[0].right
    for index in 1..<count { highest = SequenceNumber.later(highest, blocks[index].right) }
    return highest
  }
}
