// The limits of a connection's buffers grow by themselves until somebody sets them. Only the owner grows them; an
// application that sets one says so first, by a bit, and its value is then never replaced: the owner replaces what it
// knew only.

import TCP

extension ConnectionRef {
  /// Owner, after a run: takes over how far the engine's receive buffer has grown, and says whether a read is waited
  /// for.
  @inline(__always) func settleReceiveTuning() {
    unsafe settleReceiveTuning(
      owned.pointee.engine.receiveBuffer, isReadAwaited: owned.pointee.engine.acknowledgesWhenRead)
  }
  /// The same, with what the engine says: the size of its receive buffer, and whether it waits for a read.
  @inline(__always) func settleReceiveTuning(_ buffer: Int, isReadAwaited: Bool) {
    let shared = unsafe shared
    let grown = UInt64(buffer)
    var known = unsafe shared.pointee.receiveLimit.loadRelaxed()
    if grown > known, !options.contains(.receiveLimitSet) {
      _ = unsafe shared.pointee.receiveLimit.compareExchange(&known, grown)
    }
    let awaited: UInt64 = isReadAwaited ? 1 : 0
    if unsafe shared.pointee.isReadAwaited.loadRelaxed() != awaited {
      unsafe shared.pointee.isReadAwaited.store(awaited)
    }
  }

  /// Owner, when something was acknowledged: more room for writers, if they have used what there is and more can be
  /// under way. Returns by how much the limit grew, in bytes.
  func growSendLimit() -> Int {
    let shared = unsafe shared
    var known = unsafe shared.pointee.sendLimit.loadRelaxed()
    let limit = Int(known)
    let (most, state) = unsafe (shared.pointee.sendMaximum, shared.pointee.memory.state)
    guard limit < most, state == .normal, sendRoom < limit / 3, !options.contains(.sendLimitSet) else {
      return 0
    }
    let wanted = unsafe min(owned.pointee.engine.usefulSendBuffer, most)
    guard wanted > limit, unsafe shared.pointee.sendLimit.compareExchange(&known, UInt64(wanted)) else {
      return 0
    }
    return wanted - limit
  }

  /// The application has read: the owner is told if that lets it acknowledge. Once for each time that it waits.
  var shouldTellRead: Bool {
    unsafe shared.pointee.isReadAwaited.load() == 1 && available == 0
      && shared.pointee.isReadAwaited.exchange(0) == 1
  }
}
