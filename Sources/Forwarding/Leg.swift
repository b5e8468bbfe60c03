/// One direction of a carried connection. What was taken from one side and not yet by the other is nothing, but for what a
/// SYN brought.
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
}
