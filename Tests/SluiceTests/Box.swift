import Exclusion

/// Who has it may touch what it guards. Its acquire and release are of the kind that the thread sanitizer sees.
final class TryLock: Sendable {
  private let word = AtomicWord(0)
  func tryLock() -> Bool {
    var free: UInt64 = 0
    return word.compareExchange(&free, 1)
  }
  func unlock() { word.store(0) }
  /// For a few instructions, which call nothing of the stack.
  func locked<R>(_ body: () -> R) -> R {
    while !tryLock() { yieldProcessor() }
    defer { unlock() }
    return body()
  }
}

/// A value that threads, or tasks, change in turn.
final class Box<Value>: @unchecked Sendable {
  private let lock = TryLock()
  /// Guarded by `lock`.
  private var state: Value
  init(_ value: Value) { state = value }
  var value: Value { lock.locked { state } }
  func set(_ value: Value) { update { $0 = value } }
  func update<R>(_ change: (inout Value) -> R) -> R { lock.locked { change(&state) } }
}
