/// A level of the order in which application threads take locks: a caseless enum. The order between levels is
/// protocol refinement (see `LockLevels.swift`), so transitivity is inheritance and a cycle does not compile.
public protocol LockLevel {
  /// Greater than the rank of every level that may be held before; below 64. For the run-time checker.
  static var rank: UInt8 { get }
  /// For the run-time checker.
  static var name: StaticString { get }
}

/// Proof that the calling thread is in application context, and that the last lock it took is of `Level`
/// (`Unlocked`: it holds none). Cannot be copied, stored, sent, or kept over an `await`. Code that takes a
/// `Held` may take locks of later levels, and with `Held<Unlocked>` it may park.
@frozen public struct Held<Level: LockLevel>: ~Copyable, ~Escapable {
  @inlinable @inline(__always) @_lifetime(immortal) init(_proof: Void) {}
}
@available(*, unavailable) extension Held: Sendable {}

/// Proof of being in soft-interrupt context: the per-CPU loop, or a gate entered from it. No lock accepts it,
/// nothing parks with it, and wake-ups can be buffered with it but not delivered (RX-NOBLOCK, SB-UPCALL).
@frozen public struct SoftInterrupt: ~Copyable, ~Escapable {
  /// The context.
  public let core: ContextCoreRef
  @inlinable @inline(__always) @_lifetime(immortal) init(_proof core: ContextCoreRef) { self.core = core }
}
@available(*, unavailable) extension SoftInterrupt: Sendable {}

extension SoftInterrupt {
  /// Keeps `target` until the pass is over and nothing is owned; then the root delivers it.
  @inlinable public func wake(_ target: WakeTarget) { core.wakes.add(target) }
}

/// Proof of being at the root of a context's loop, inside no gate: between two passes. Only here wake-ups are
/// delivered and quiescence is reported.
public struct ContextRoot: ~Copyable, ~Escapable {
  /// The context.
  public let core: ContextCoreRef
  @_lifetime(immortal) init(_proof core: ContextCoreRef) { self.core = core }

  /// Lends the token that soft-interrupt work needs. While it is lent the root can do nothing else.
  public mutating func withSoftInterrupt<R: ~Copyable, E: Error>(
    _ body: (inout SoftInterrupt) throws(E) -> R
  ) throws(E) -> R {
    var token = SoftInterrupt(_proof: core)
    return try body(&token)
  }

  /// Delivers what the passes buffered, oldest first, and returns how many. A target may post or become
  /// runnable, but calls nothing of the stack that needs a token.
  @discardableResult public mutating func deliverWakeups() -> Int { core.wakes.deliver() }

  /// This context holds nothing that it found in a shared table. After every pass.
  public mutating func quiescent() { core.graceReader.quiescent() }
  /// Before it waits: counts as quiescent until `goOnline`.
  public mutating func goOffline() { core.graceReader.offline() }
  /// After it waited, before it looks at any shared table.
  public mutating func goOnline() { core.graceReader.online() }
}
@available(*, unavailable) extension ContextRoot: Sendable {}
