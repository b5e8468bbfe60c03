import Exclusion
import Glibc
import Testing

/// Runs the bodies on threads of their own, which start together, and waits for all of them.
func together(_ bodies: [@Sendable () -> Void]) throws {
  let ready = Word()
  let threads = try bodies.enumerated().map { number, body in
    try WorkerThread(name: "test-\(number)") {
      ready.word.add(1)
      while ready.word.load() < bodies.count { yieldProcessor() }
      body()
    }
  }
  for thread in threads { thread.join() }
}

/// An atomic word that closures can share, on cache lines of its own: two words on one line would never show a
/// missing fence, because who writes the one has the other.
final class Word: Sendable {
  private let before = InlineArray<8, UInt64>(repeating: 0)
  let word: AtomicWord
  private let after = InlineArray<8, UInt64>(repeating: 0)
  init(_ value: UInt64 = 0) { word = AtomicWord(value) }
  var value: UInt64 { word.load() }
  func set(_ value: UInt64) { word.store(value) }
  /// Spins until somebody set it to at least `value`.
  func wait(for value: UInt64) { while word.load() < value { yieldProcessor() } }
}

/// Something non-copyable that closures can share.
final class Shared<Value: ~Copyable & Sendable>: Sendable {
  private let before = InlineArray<8, UInt64>(repeating: 0)
  let value: Value
  private let after = InlineArray<8, UInt64>(repeating: 0)
  init(_ value: consuming Value) { self.value = value }
}

/// Runs `body` as the context `core`, in one pass.
@discardableResult
func asContext<R>(_ core: ContextCoreRef, _ body: (inout SoftInterrupt) throws -> R) rethrows -> R {
  try withContextRoot(core) { root throws in try root.withSoftInterrupt { cx throws in try body(&cx) } }
}

/// A context under a manual scheduler.
func makeContext(_ index: Int = 0, domain: GraceDomain? = nil) throws -> ContextCoreRef {
  try ContextCoreRef.make(index: index, kick: .counted, wakeCapacity: 4, domain: domain)
}

extension ItemList {
  /// The values of its items, first to last; empties it.
  mutating func takeValues() -> [UInt32] {
    var values: [UInt32] = []
    while let item = popFirst() { values.append(item.value) }
    return values
  }
}

/// Slots of 128 bytes for tests: allocated by one thread, given back from anywhere.
struct TestSlots: ~Copyable, Sendable {
  let pool: SlotPool
  init(_ limit: Int, slotBytes: Int = 128) {
    pool = SlotPool(slotBytes: slotBytes, slotsPerSlab: 64, limit: limit)
  }
  func make(source: UInt16 = 0, _ value: UInt32) -> ItemRef {
    while true {
      if let item = pool.ref.allocate() {
        (item.code, item.value) = (source, value)
        return item
      }
      yieldProcessor()
    }
  }
  func make(_ values: ClosedRange<UInt32>) -> [ItemRef] { values.map { make($0) } }
  func giveBack(_ items: [ItemRef]) { for item in items { pool.ref.freeRemote(item) } }
}

/// Counts how often it is woken, and can be waited for.
final class Wakee: Sendable {
  let wakes = Word()
  var target: WakeTarget {
    unsafe WakeTarget(
      function: { context in
        unsafe Unmanaged<Wakee>.fromOpaque(context).takeUnretainedValue().wakes.word.add(1)
      },
      context: Unmanaged.passUnretained(self).toOpaque())
  }
}

/// `#expect` cannot take apart an expression over something non-copyable: this one gets only the answer.
func check(_ condition: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(condition, sourceLocation: sourceLocation)
}

/// CLOCK_MONOTONIC `seconds` from now, in nanoseconds.
func monotonicSeconds(_ seconds: UInt64) -> UInt64 {
  var now = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &now)
  return (UInt64(now.tv_sec) + seconds) * 1_000_000_000 + UInt64(now.tv_nsec)
}

/// Spins while `condition` holds: briefly with the processor, then giving it away, because there may be but one.
func spin(while condition: () -> Bool) {
  var turns = 0
  while condition() {
    turns += 1
    if turns < 200 { spinHint() } else { yieldProcessor() }
  }
}

/// Where two threads meet, again and again.
final class Meeting: Sendable {
  private let arrived = Word()
  /// Returns when both have come for the `number`th time, from 1.
  func arrive(_ number: UInt64) {
    arrived.word.add(1)
    spin { arrived.value < number * 2 }
  }
}
