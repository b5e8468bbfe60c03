/// A timer, embedded in the block that it serves: 40 bytes, no allocation to arm or to cancel.
///
/// Everything in it belongs to the wheel's context while it is armed. The block may not be freed before its
/// timers are cancelled (TM-REF); ``TimerRef/retire()`` says so loudly.
@frozen public struct TimerNode {
  @usableFromInline var next: UInt = 0  // address of the next node in the slot; a ring
  @usableFromInline var previous: UInt = 0
  @usableFromInline var deadline: Instant = .zero
  @usableFromInline var owner: UInt
  @usableFromInline var slot: UInt16 = TimerNode.idle
  @usableFromInline var kind: UInt8

  @usableFromInline static var idle: UInt16 { .max }

  /// A timer that is not armed.
  ///
  /// - Parameters:
  ///   - kind: whatever the block's type uses to tell its timers apart.
  ///   - owner: the block's address, for whoever handles the expiry.
  @inlinable public init(kind: UInt8, owner: UInt) {
    self.kind = kind
    self.owner = owner
  }
}

/// A timer by its address. The address must stay valid while the timer is armed (TM-REF).
@safe @frozen public struct TimerRef: Hashable, @unchecked Sendable {
  @usableFromInline let node: UnsafeMutablePointer<TimerNode>

  /// The timer at `node`, which is initialised.
  @inlinable @inline(__always)
  public init(_ node: UnsafeMutablePointer<TimerNode>) { unsafe self.node = node }

  /// Makes a timer, not armed, in raw memory of a block (8-byte aligned, 40 bytes).
  @inlinable public static func initialize(
    at memory: UnsafeMutableRawPointer, kind: UInt8, owner: UInt
  ) -> TimerRef {
    unsafe TimerRef(
      memory.initializeMemory(as: TimerNode.self, to: TimerNode(kind: kind, owner: owner)))
  }

  /// Whether the timer is in a wheel, or expired and not yet fired.
  @inlinable @inline(__always) public var isArmed: Bool { unsafe node.pointee.slot != TimerNode.idle }
  /// The moment it was last armed for, as given, not rounded.
  @inlinable @inline(__always) public var deadline: Instant { unsafe node.pointee.deadline }
  /// The kind it was made with.
  @inlinable @inline(__always) public var kind: UInt8 { unsafe node.pointee.kind }
  /// The address of its block, as it was made with.
  @inlinable @inline(__always) public var owner: UInt { unsafe node.pointee.owner }

  /// To be called where the block's memory is given up: traps when the timer is still armed.
  @inlinable public func retire() {
    // keeps TM-REF
    precondition(!isArmed, "TM-REF: a block was freed while its timer was armed")
  }

  /// Whether both are the same timer.
  @inlinable public static func == (left: TimerRef, right: TimerRef) -> Bool {
    unsafe left.node == right.node
  }
  /// Hashes the timer's identity.
  @inlinable public func hash(into hasher: inout Hasher) { unsafe hasher.combine(node) }

  @inline(__always) init(address: UInt) {
    unsafe node = UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
  }
  @inline(__always) var address: UInt { unsafe UInt(bitPattern: node) }
}
