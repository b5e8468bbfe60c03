// Memory of connections that are no more goes back to the system: when a pool has had much more free than in use for
// some seconds, a little at a time.

import Exclusion
import SoftInterrupts
import Timing

/// The bounds.
private enum Shrinking {
  /// Free slots that a pool keeps whatever is in use.
  static var least: Int { 64 }
  /// How long there must be too many.
  static var patience: Nanoseconds { .seconds(10) }
  /// Free slots that are looked at in one go, and the pause after it.
  static var step: Int { 2048 }
  static var pause: Nanoseconds { .milliseconds(1) }

  /// Free slots that `pool` keeps: as many as are in use.
  static func kept(_ pool: SlotPoolRef) -> Int { max(least, pool.inUseAtMost) }
  static func isDue(_ pool: SlotPoolRef) -> Bool { pool.capacity - pool.inUseAtMost > 2 * kept(pool) }
}

extension SocketContextRef {
  /// A connection's memory is about to come free.
  @inline(__always) func noteFreed(_ cx: inout SoftInterrupt) {
    let (blocks, workspaces) = unsafe (pointer.pointee.connections, pointer.pointee.workspaces)
    if Shrinking.isDue(blocks) || Shrinking.isDue(workspaces) { watchPools(&cx) }
  }
  private func watchPools(_ cx: inout SoftInterrupt) {
    let timer = unsafe pointer.pointee.poolTimer
    if !timer.isArmed, unsafe !pointer.pointee.isEnding { cx.arm(timer, at: cx.now + Shrinking.patience) }
  }

  /// Nothing is to be given back any more: the stack shuts down, and all of it goes.
  func leavePools(_ cx: inout SoftInterrupt) {
    unsafe pointer.pointee.isEnding = true
    cx.cancel(unsafe pointer.pointee.poolTimer)
  }

  func poolTimerFired(_ cx: inout SoftInterrupt) {
    let (blocks, workspaces) = unsafe (pointer.pointee.connections, pointer.pointee.workspaces)
    let begins = unsafe !pointer.pointee.isGivingBack
    let hasMoreBlocks = shrink(blocks, begins) { unsafe ConnectionRef($0.raw).destroy() }
    let hasMoreWorkspaces = shrink(workspaces, begins) { _ in }
    unsafe pointer.pointee.isGivingBack = hasMoreBlocks || hasMoreWorkspaces
    guard hasMoreBlocks || hasMoreWorkspaces else { return }
    cx.arm(unsafe pointer.pointee.poolTimer, at: cx.now + Shrinking.pause)
  }

  /// What lies scattered over its slabs does not become less by another look: one for each time that it is due.
  private func shrink(_ pool: SlotPoolRef, _ begins: Bool, _ end: (ItemRef) -> Void) -> Bool {
    guard pool.isShrinking || (begins && Shrinking.isDue(pool)) else { return false }
    return pool.shrink(keeping: Shrinking.kept(pool), step: Shrinking.step, end)
  }
}
