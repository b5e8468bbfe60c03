import Exclusion

/// What each context keeps about a queue whose driver it may call past the gate: a cache line each. A guest has one as
/// well, but what it has deferred is its host's, so that neither overtakes the other.
///
///     (a) atomic: the context adds, the gate's owner takes away    (x) the context alone
@safe
struct LocklessSources {
  private let raw: UnsafeMutableRawPointer
  /// Contexts and guests at most.
  static var limit: Int { 128 }
  private static var stride: Int { 64 }

  /// One source.
  struct Source: ~Copyable {
    /// (a) Packets of this context that are deferred, or with the owner on their way to the driver.
    let deferred = AtomicWord(0)
    /// (x) Packets given to the driver past the gate.
    let sent = Counter()
    /// (x) A flush is owed at the end of the context's pass.
    var isDirty = false
  }

  static func make() -> LocklessSources {
    let raw = unsafe SharedMemory.allocate(byteCount: limit * stride, alignment: stride)
    let sources = unsafe LocklessSources(raw: raw)
    for index in 0..<limit { unsafe sources[index].initialize(to: Source()) }
    return sources
  }
  func destroy() {
    for index in 0..<Self.limit { unsafe self[index].deinitialize(count: 1) }
    unsafe SharedMemory.deallocate(raw, byteCount: Self.limit * Self.stride)
  }

  subscript(context: Int) -> UnsafeMutablePointer<Source> {
    unsafe (raw + context * Self.stride).assumingMemoryBound(to: Source.self)
  }
}
