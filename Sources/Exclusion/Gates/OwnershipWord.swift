/// Who may touch something that has an owner of its own, in one word: take it, or leave a note. Nobody waits for it
/// and nobody tries twice: whoever finds it taken leaves a note in the same step, and whoever lets go is told who
/// was there. A gate without a list, for what is not the stack's: a driver that locks for itself.
///
/// One word, so neither side needs a fence: the note is in the word before it can be let go, or the word was free.
@frozen public struct OwnershipWord: ~Copyable, Sendable {
  /// TAKEN, and a bit for each note.
  @usableFromInline let word = AtomicWord(0)
  @inlinable static var taken: UInt64 { 1 << 63 }
  /// Notes are told apart by their numbers, 0 up to this.
  @inlinable public static var notes: Int { 63 }

  /// Free.
  @inlinable public init() {}

  /// Takes it. False: somebody has it, and will be told of `note`. Any thread.
  @inlinable public func tryAcquire(note: Int) -> Bool {
    precondition(0..<Self.notes ~= note, "an ownership word has 63 notes")
    var seen = word.loadRelaxed()
    while true {
      let isFree = seen & Self.taken == 0
      guard word.compareExchange(&seen, isFree ? Self.taken : seen | 1 &<< UInt64(note)) else { continue }
      return isFree
    }
  }

  /// Lets go: a bit for each note that was left meanwhile. Only who acquired it; the notes are his to act upon.
  @inlinable public func release() -> UInt64 { word.exchange(0) & ~Self.taken }

  /// Whether somebody has it. May be out of date at once.
  @inlinable public var isTaken: Bool { word.load() & Self.taken != 0 }
}
