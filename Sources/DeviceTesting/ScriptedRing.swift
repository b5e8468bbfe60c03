import Exclusion

/// The sending ring of a scripted device: as many producers as its driver's kind permits, one completer at a time.
///
/// A producer claims a place by moving the tail, then publishes what it puts there; the completer takes what is
/// published, and makes room by moving the head. Nobody waits: what is claimed and not yet published ends a
/// completion early.
@safe
final class ScriptedRing: @unchecked Sendable {  // its places are atomic
  /// What a place holds: a packet's slot or 0, and a byte that tells it in the record of the wire.
  struct Entry {
    var address: UInt
    var mark: UInt8

    fileprivate init(_ word: UInt64) {
      address = UInt(truncatingIfNeeded: word & 0xFFFF_FFFF_FFFF)
      mark = UInt8(truncatingIfNeeded: word >> 48)
    }
    init(address: UInt, mark: UInt8) { (self.address, self.mark) = (address, mark) }
    fileprivate var word: UInt64 { 1 << 63 | UInt64(mark) << 48 | UInt64(address) }
  }

  let capacity: Int
  private let places: UnsafeMutablePointer<AtomicWord>
  /// (a) Completed; the completer stores.
  private let head = AtomicWord(0)
  /// (a) Claimed.
  private let tail = AtomicWord(0)

  init(_ capacity: Int) {
    self.capacity = capacity
    unsafe places = .allocate(capacity: capacity)
    for index in 0..<capacity { unsafe (places + index).initialize(to: AtomicWord(0)) }
  }
  deinit {
    unsafe places.deinitialize(count: capacity)
    unsafe places.deallocate()
  }

  private func place(_ position: UInt64) -> UnsafeMutablePointer<AtomicWord> {
    unsafe places + Int(position % UInt64(capacity))
  }

  /// How many places are claimed. May be out of date at once.
  var count: Int { Int(truncatingIfNeeded: tail.load() &- head.load()) }
  var hasRoom: Bool { count < capacity }

  /// Any producer. False: there is no room.
  func put(_ entry: Entry) -> Bool {
    var position = tail.load()
    repeat {
      if position &- head.load() >= UInt64(capacity) { return false }
    } while !tail.compareExchange(&position, position &+ 1)
    unsafe place(position).pointee.store(entry.word)
    return true
  }

  /// The completer: takes the oldest without making room for another yet. Nil: none is published.
  func take(_ offset: Int) -> Entry? {
    let position = head.loadRelaxed() &+ UInt64(offset)
    if position == tail.load() { return nil }
    let word = unsafe place(position).pointee.load()
    guard word != 0 else { return nil }
    unsafe place(position).pointee.store(0)
    return Entry(word)
  }
  /// The completer: makes room for those that it took.
  func advance(_ count: Int) { head.store(head.loadRelaxed() &+ UInt64(count)) }
}
