// A connection with nothing to do for a while comes to rest: what its owner keeps of it is packed into its block, the
// workspace goes back to the pool, and no timer is armed but for what is far away. Whatever is submitted to it takes it
// up again. Nobody but the owner sees a difference: no state is changed by it, none is lost.
//
// PCB-REST: a workspace is given back while nobody else has anything of it: its items are in no list, its account of what is
// below IP is empty, and so nobody will touch it (the last who did has said so by an atomic that was seen).

import Exclusion
import SoftInterrupts
import TCP
import Timing

/// When connections come to rest.
public struct RestPolicy: Sendable {
  /// So long after the last event a connection rests; zero: as soon as nothing is to be done at once; nil: never.
  public var after: Nanoseconds? = .seconds(1)
  /// Connections of a context at work beyond which those with nothing to do rest at once; beyond half of it those in
  /// TIME-WAIT do.
  public var workingConnections: Int = 8192

  /// The defaults.
  public init() {}
}

extension ConnectionRef {
  /// Owner: nothing of it is in a workspace.
  @inline(__always) var isAtRest: Bool { unsafe workspaceAddress.pointee == 0 }

  /// Owner, before anything else: the state is where it can be worked on.
  @inline(__always) func takeUp(_ cx: borrowing SoftInterrupt) {
    if isAtRest { unpack(SocketContextRef(cx)) }
  }

  /// Owner, after everything else: the state is packed if there is a reason not to wait.
  @inline(__always) func settleDown(_ cx: inout SoftInterrupt) {
    let context = unsafe SocketContextRef(cx).pointer
    let (atWork, limit) = unsafe (context.pointee.workspaces.inUse, context.pointee.workingConnections)
    let isAtOnce = unsafe context.pointee.restAfter == .zero
    guard isAtOnce || atWork > limit / 2 else { return }
    let isOver = unsafe owned.pointee.engine.state == .timeWait
    if isAtOnce || isOver || atWork > limit { _ = rest(isQuiet: true, &cx) }
  }

  /// Owner, last of all, after a timer for which nothing was due.
  func restOrWait(_ cx: inout SoftInterrupt) {
    guard unsafe !owned.pointee.isDropped else { return }
    switch rest(isQuiet: false, &cx) {
    case .rests: break
    case .later: updateTimer(&cx)
    case .works: updateTimer(rests: false, &cx)
    }
  }

  /// What became of an attempt to rest.
  enum Rest {
    case rests
    /// Something will happen that makes another attempt worth while, or it was used too lately.
    case later
    /// Only a further event may change it.
    case works
  }

  /// Owner: comes to rest, if it can. `isQuiet`: however little time has passed.
  func rest(isQuiet: Bool, _ cx: inout SoftInterrupt) -> Rest {
    let sockets = SocketContextRef(cx)
    let (owned, now) = unsafe (owned, cx.now)
    guard let after = unsafe sockets.pointer.pointee.restAfter, unsafe !owned.pointee.isDropped,
      unsafe owned.pointee.wasConnected, home == cx.index
    else { return .works }
    if !isQuiet {
      if unsafe owned.pointee.lastRun + after > now { return .later }
      // Packing and unpacking cost more than most of what it is still good for, unless there are very many.
      if unsafe owned.pointee.engine.state == .timeWait { return .works }
    }
    let due = nextDeadline
    if let due, due <= now + after { return .later }
    guard isWorkspaceAlone else { return .later }
    unsafe willOwn(UnsafeRawPointer(owned))
    if let due {
      cx.arm(timer, at: due)
    } else {
      cx.cancel(timer)
    }
    unsafe owned.pointee.armed = due
    guard pack(sockets) else { return .works }
    sockets.noteFreed(&cx)
    return .rests
  }

  /// When to come to rest, if nothing happens until then; nil: never.
  func restTime(_ cx: borrowing SoftInterrupt) -> Instant? {
    guard let after = unsafe SocketContextRef(cx).pointer.pointee.restAfter,
      unsafe owned.pointee.wasConnected, unsafe !owned.pointee.isDropped,
      unsafe owned.pointee.engine.state != .timeWait
    else { return nil }
    let time = unsafe owned.pointee.lastRun + after
    // An attempt that came too early: the next one is as far away as the first was.
    return time > cx.now ? time : cx.now + max(after, .milliseconds(1))
  }

  /// The same for an open connection that is used at `now`; the distant future: never.
  @inline(__always) func restTime(after now: Instant, _ sockets: SocketContextRef) -> Instant {
    guard let after = unsafe sockets.pointer.pointee.restAfter else { return .distantFuture }
    return now + max(after, .milliseconds(1))
  }

  /// Nobody but the owner has anything of the workspace, and nothing that it is for is under way.
  private var isWorkspaceAlone: Bool {
    let owned = unsafe owned
    guard unsafe !owned.pointee.isInserting, unsafe !owned.pointee.isUnconnected,
      unsafe !owned.pointee.isHeld, unsafe !owned.pointee.isLeaving, unsafe owned.pointee.early.isEmpty,
      unsafe owned.pointee.fastOpenListener == nil,
      unsafe owned.pointee.fastOpenNoted || owned.pointee.engine.fastOpenOutcome == nil,
      unsafe shared.pointee.timerRequestQueued.load() == 0
    else { return false }
    #if Explore
      let isForced = Mutation.restsWhileOffered.isOn
    #else
      let isForced = false
    #endif
    if unsafe owned.pointee.isOffered, !status.contains(.accepted), !isForced { return false }
    return credit.outstanding == 0
  }

  private var packed: UnsafeMutablePointer<UInt8> {
    unsafe at(ConnectionBlock.packedOffset, as: UInt8.self)
  }
  private var packedBasis: UnsafeMutablePointer<UInt16> {
    unsafe at(ConnectionBlock.packedBasisOffset, as: UInt16.self)
  }
  private var ownedWords: UnsafeMutablePointer<UInt64> {
    unsafe UnsafeMutableRawPointer(owned).assumingMemoryBound(to: UInt64.self)
  }

  /// False: it does not become small enough.
  private func pack(_ sockets: SocketContextRef) -> Bool {
    let bases = unsafe sockets.pointer.pointee.bases
    let isPacked = unsafe bases._withUnsafeGuaranteedRef { bases in
      for number in 0..<RestBases.limit {
        if unsafe PackedState.pack(
          ownedWords, ConnectionWorkspace.ownedBytes / 8, against: bases.obtain(number, from: ownedWords),
          into: packed, limit: ConnectionBlock.packedBytes) != nil
        {
          unsafe packedBasis.pointee = UInt16(number)
          return true
        }
      }
      return false
    }
    guard isPacked else {
      sockets.counters.restsRefused.increment()
      return false
    }
    sockets.counters.rests.increment()
    leaveWorkspace()
    return true
  }

  @inline(never) private func unpack(_ sockets: SocketContextRef) {
    guard let slot = unsafe sockets.pointer.pointee.workspaces.allocate() else {
      preconditionFailure("RX-NOBLOCK: the system has no memory for a connection's work")
    }
    enter(slot)
    let bases = unsafe sockets.pointer.pointee.bases
    unsafe bases._withUnsafeGuaranteedRef { unsafe unpack(into: ownedWords, $0) }
    sockets.counters.restsEnded.increment()
  }

  private func unpack(into words: UnsafeMutablePointer<UInt64>, _ bases: RestBases) {
    guard let basis = unsafe bases[Int(packedBasis.pointee)] else {
      preconditionFailure("a connection rests on no basis")
    }
    unsafe PackedState.unpack(
      packed, ConnectionWorkspace.ownedBytes / 8, against: basis, into: words)
  }

  /// The state of a connection that nobody is inside of, at rest or not: for who steps the contexts by hand.
  func withOwnedAtRest<R>(_ layer: SocketLayer, _ body: (borrowing ConnectionOwned) -> R) -> R {
    guard isAtRest else { return unsafe body(owned.pointee) }
    let words = UnsafeMutablePointer<UInt64>.allocate(capacity: ConnectionWorkspace.ownedBytes / 8)
    defer { unsafe words.deallocate() }
    unsafe unpack(into: words, layer.restBases)
    // A look only: what is packed stays the one that counts.
    return unsafe body(
      UnsafeMutableRawPointer(words).assumingMemoryBound(to: ConnectionOwned.self).pointee)
  }
}

#if Explore
  extension Mutation {
    /// A workspace is given back while an accept queue has its item.
    static let restsWhileOffered = Mutation("restsWhileOffered")
    /// Of two connections that make the first basis at once, both pack against their own, and go by the same number.
    static let restsOnLostBasis = Mutation("restsOnLostBasis")
  }
#endif
