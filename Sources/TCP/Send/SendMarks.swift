import Wire

/// What the end of a write means for the segments that carry it, beside the push that is taken back by the next one.
@frozen public enum TCPTextEdge: Hashable, Sendable {
  /// Nothing.
  case none
  /// What leaves as one burst ends with it, as Linux's large segments do; a burst of several segments has PSH at its end.
  case burst
  /// The segment that carries its last byte has PSH, whatever is written later.
  case pushed
  /// It ends a record (MSG_EOR): no segment goes on beyond it, neither when it is sent nor when it is sent again.
  case record
}

/// Places in the send queue that segments respect. Made when the first is set; most connections have none. What is
/// beyond ``limit`` of a kind and not acknowledged is not kept.
final class SendMarks {
  /// Places of a kind that are kept at once, at most.
  static var limit: Int { 4096 }

  /// Sequence numbers in order, from `first` on.
  private struct Places {
    var numbers: [SequenceNumber] = []
    var first = 0

    mutating func append(_ number: SequenceNumber) {
      guard numbers.count - first < SendMarks.limit else { return }
      numbers.append(number)
    }

    mutating func drop(through sequence: SequenceNumber) {
      while first < numbers.count, numbers[first] <= sequence { first += 1 }
      if first == numbers.count {
        numbers.removeAll(keepingCapacity: true)
        first = 0
      } else if first >= SendMarks.limit {
        numbers.removeFirst(first)
        first = 0
      }
    }

    /// The first one beyond `sequence`.
    func next(after sequence: SequenceNumber) -> SequenceNumber? {
      var (low, high) = (first, numbers.count)
      while low < high {
        let middle = (low + high) / 2
        if numbers[middle] <= sequence { low = middle + 1 } else { high = middle }
      }
      return low < numbers.count ? numbers[low] : nil
    }
  }

  private var records = Places()
  private var pushes = Places()
  private var bursts = Places()

  /// A write ends at `end`, behind all that are known.
  func append(_ edge: TCPTextEdge, at end: SequenceNumber) {
    switch edge {
    case .none: break
    case .burst: bursts.append(end)
    case .pushed: pushes.append(end)
    case .record: records.append(end)
    }
  }

  /// What lies before `sequence` has arrived.
  func drop(before sequence: SequenceNumber) {
    records.drop(through: sequence)
    pushes.drop(through: sequence)
    bursts.drop(through: sequence)
  }

  /// One past the last byte of the record that the byte at `sequence` belongs to; nil: no end is known.
  func recordEnd(after sequence: SequenceNumber) -> SequenceNumber? { records.next(after: sequence) }

  /// Where the burst ends that the byte at `sequence` belongs to; nil: no end is known.
  func burstEnd(after sequence: SequenceNumber) -> SequenceNumber? {
    guard let burst = bursts.next(after: sequence) else { return pushes.next(after: sequence) }
    return pushes.next(after: sequence).map { SequenceNumber.earlier($0, burst) } ?? burst
  }

  /// Whether a burst ends with the byte before `end`.
  func endsBurst(at end: SequenceNumber) -> Bool {
    bursts.next(after: end - 1) == end || pushes.next(after: end - 1) == end
  }

  /// Whether a segment with the bytes from `start` to before `end` has PSH.
  func isPushed(from start: SequenceNumber, to end: SequenceNumber) -> Bool {
    guard start < end else { return false }
    return records.next(after: end - 1) == end || pushes.next(after: start).map { $0 <= end } ?? false
  }
}
