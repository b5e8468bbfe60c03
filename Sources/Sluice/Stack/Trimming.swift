internal import Buffers
internal import Exclusion
internal import SoftInterrupts

extension Stack {
  /// Gives memory back to the system that a busy time has left behind: packets and chunks that are free, as many as there
  /// are more than in use, but for a slab or two of each kind (half a MiB at most). The next busy time takes it again.
  /// (Connections' own memory goes back by itself.)
  ///
  /// Any thread, now and then; contexts do their part in passes of their own, in steps. False, and nothing is done, after a
  /// shutdown.
  @discardableResult public func trim() -> Bool {
    guard (try? enter()) != nil else { return false }
    defer { intake.leave() }
    withApplication { held in
      var begins = true
      while layer.buffers.shrink(begins: begins, &held) { begins = false }
    }
    for index in 0..<contexts.count { Self.trim(contexts, index, begins: true) }
    return true
  }

  private static func trim(_ contexts: ContextSet, _ index: Int, begins: Bool) {
    contexts.perform(on: index) { cx in
      if cx.pool.shrink(begins: begins) { trim(contexts, index, begins: false) }
    }
  }
}
