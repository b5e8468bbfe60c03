import Exclusion

/// One direction of a carried connection: what was taken from one side and not yet by the other, which is nothing
/// unless the other side is full.
struct Leg {
  private var held: [UInt8] = []
  private var offset = 0
  /// The side that sends may have something.
  var isSourceReady = false
  /// The side that takes may have room.
  var isSinkReady = false
  /// The side that sends has said its end.
  var hasEnded = false
  /// The side that takes has been told of it.
  var isFinished = false

  /// Nothing waits.
  var isEmpty: Bool { offset == held.count }
  /// Bytes that wait.
  var count: Int { held.count - offset }

  /// Keeps what the sink did not take. Nothing waits yet.
  mutating func hold(_ bytes: UnsafeRawBufferPointer) {
    precondition(isEmpty, "a leg is filled when it is empty")
    unsafe held = Array(bytes)
    offset = 0
  }
  /// The sink took so many.
  mutating func drop(_ count: Int) {
    offset += count
    if isEmpty { (held, offset) = ([], 0) }
  }
  /// Everything that waits, oldest first.
  func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    unsafe held.withUnsafeBytes { unsafe body(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
  }

  /// What the side that sends has for the other.
  enum Piece {
    /// So many bytes, which are in the scratch memory now.
    case bytes(Int)
    case end
    case nothing
    case failed
  }

  /// Carries at most about `budget` bytes from one side to the other, and the end.
  ///
  /// - Parameters:
  ///   - scratch: where `read` puts what there is.
  ///   - counter: of bytes that the sink took.
  ///   - write: how many bytes the sink takes; nil: none any more.
  ///   - finish: tells the sink of the end; once.
  ///   - failures: what a failure of either side means.
  mutating func carry(
    _ scratch: UnsafeMutableRawBufferPointer, budget: Int, _ counter: borrowing Counter, read: () -> Piece,
    write: (UnsafeRawBufferPointer) -> Int?, finish: () -> Void,
    failures: (source: CarriedConnection.Verdict, sink: CarriedConnection.Verdict)
  ) -> CarriedConnection.Verdict {
    var left = budget
    while true {
      if !isEmpty {
        guard isSinkReady else { return .waits }
        guard let taken = unsafe withBytes(write) else { return failures.sink }
        drop(taken)
        counter.increment(by: UInt64(taken))
        if !isEmpty { isSinkReady = false }
        continue
      }
      if hasEnded {
        if !isFinished { finish() }
        isFinished = true
        return .isDone
      }
      guard isSourceReady, isSinkReady else { return .waits }
      guard left > 0 else { return .hasMore }
      switch read() {
      case .end: hasEnded = true
      case .nothing: isSourceReady = false
      case .failed: return failures.source
      case .bytes(let count):
        left -= count
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: scratch[..<count])
        guard let taken = unsafe write(bytes) else { return failures.sink }
        counter.increment(by: UInt64(taken))
        if taken < count {
          unsafe hold(UnsafeRawBufferPointer(rebasing: bytes[taken...]))
          isSinkReady = false
        }
      }
    }
  }
}
