/// What a context does with an item it took from its port or from a gate. The values are given out by the
/// targets above.
@frozen public struct WorkKind: RawRepresentable, Hashable, Sendable {
  /// The number.
  public let rawValue: UInt8
  /// Any number is a kind.
  @inlinable @inline(__always) public init(rawValue: UInt8) { self.rawValue = rawValue }
}

/// The first 16 bytes of every slot that can be posted: a link, and a few words for whoever holds the slot.
/// Whoever holds the slot writes it; a gate, mailbox or port holds what was posted to it.
@frozen public struct WorkItem: Sendable {
  /// Address of the next slot in the list this one is in; 0 at the end.
  public var next: UInt = 0
  /// What it is.
  public var kind: WorkKind
  /// For the poster.
  public var tag: UInt8 = 0
  /// For the poster.
  public var code: UInt16 = 0
  /// For the poster.
  public var value: UInt32 = 0

  /// An item in no list.
  @inlinable public init(kind: WorkKind) { self.kind = kind }
}

/// The bytes that every slot begins with, by offset: the `WorkItem`, then the pool the slot came from and how
/// often the slot was freed (see `SlotPool`), then what the slot is for.
@frozen public enum SlotLayout {
  /// `WorkItem.next`, an address.
  @inlinable public static var next: Int { 0 }
  /// `WorkItem.kind`.
  @inlinable public static var kind: Int { 8 }
  /// `WorkItem.tag`.
  @inlinable public static var tag: Int { 9 }
  /// `WorkItem.code`.
  @inlinable public static var code: Int { 10 }
  /// `WorkItem.value`.
  @inlinable public static var value: Int { 12 }
  /// Address of the owning pool; 0 for a slot of no pool.
  @inlinable public static var pool: Int { 16 }
  /// 32 bits, atomic.
  @inlinable public static var generation: Int { 24 }
  /// Bytes reserved at the start of every slot.
  @inlinable public static var reserved: Int { 32 }
  /// Slot addresses are multiples of this, so that 42 bits name one.
  @inlinable public static var alignment: Int { 64 }
}

/// The address of a slot. Copying it counts nothing: who holds the slot is a matter of protocol.
@safe @frozen public struct ItemRef: Hashable, @unchecked Sendable {
  /// Where the slot begins.
  public let raw: UnsafeMutableRawPointer

  /// `raw` is 64-byte aligned, and its first 16 bytes are a `WorkItem`.
  @inlinable @inline(__always) public init(_ raw: UnsafeMutableRawPointer) { unsafe self.raw = raw }
  @inlinable @inline(__always) init?(address: UInt) {
    guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: address) else { return nil }
    unsafe self.raw = raw
  }

  /// The address as a number.
  @inlinable @inline(__always) public var address: UInt { unsafe UInt(bitPattern: raw) }

  @inlinable @inline(__always) var nextAddress: UInt {
    get {
      unsafe willRead(raw)
      return unsafe raw.load(as: UInt.self)
    }
    nonmutating set {
      unsafe willWrite(raw)
      unsafe raw.storeBytes(of: newValue, as: UInt.self)
    }
  }
  /// The next slot of the list this one is in.
  @inlinable @inline(__always) public var next: ItemRef? {
    get { ItemRef(address: nextAddress) }
    nonmutating set { nextAddress = newValue?.address ?? 0 }
  }
  /// What it is.
  @inlinable @inline(__always) public var kind: WorkKind {
    get { WorkKind(rawValue: unsafe raw.load(fromByteOffset: SlotLayout.kind, as: UInt8.self)) }
    nonmutating set {
      unsafe raw.storeBytes(of: newValue.rawValue, toByteOffset: SlotLayout.kind, as: UInt8.self)
    }
  }
  /// For the poster.
  @inlinable @inline(__always) public var tag: UInt8 {
    get { unsafe raw.load(fromByteOffset: SlotLayout.tag, as: UInt8.self) }
    nonmutating set { unsafe raw.storeBytes(of: newValue, toByteOffset: SlotLayout.tag, as: UInt8.self) }
  }
  /// For the poster.
  @inlinable @inline(__always) public var code: UInt16 {
    get { unsafe raw.load(fromByteOffset: SlotLayout.code, as: UInt16.self) }
    nonmutating set { unsafe raw.storeBytes(of: newValue, toByteOffset: SlotLayout.code, as: UInt16.self) }
  }
  /// For the poster.
  @inlinable @inline(__always) public var value: UInt32 {
    get { unsafe raw.load(fromByteOffset: SlotLayout.value, as: UInt32.self) }
    nonmutating set { unsafe raw.storeBytes(of: newValue, toByteOffset: SlotLayout.value, as: UInt32.self) }
  }

  /// ``value`` for two who share the slot: acquires.
  @inlinable @inline(__always) public func loadValue() -> UInt32 { unsafe sharedValue.pointee.load() }
  /// ``value`` for two who share the slot: releases.
  @inlinable @inline(__always) public func storeValue(_ value: UInt32) {
    unsafe sharedValue.pointee.store(value)
  }
  @inlinable @inline(__always) var sharedValue: UnsafePointer<AtomicHalfWord> {
    unsafe UnsafePointer((raw + SlotLayout.value).assumingMemoryBound(to: AtomicHalfWord.self))
  }

  /// Two references to the same slot.
  @inlinable @inline(__always) public static func == (a: ItemRef, b: ItemRef) -> Bool {
    a.address == b.address
  }
  /// By address.
  @inlinable public func hash(into hasher: inout Hasher) { hasher.combine(address) }
}
