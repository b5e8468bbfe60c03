// The order of application locks, written once:
//
//     Unlocked < SocketLevel < HandleTableLevel
//                SocketLevel < MemoryLevel
//                SocketLevel < TurnQueueLevel
//                SocketLevel < EventQueueLevel
//
// A level says which it may be held before; `OrderedMutex` of level X accepts any `Held<H>` with H: BeforeX.

/// What may be held when the handle table is locked.
public protocol BeforeHandleTable: LockLevel {}
/// What may be held when an application pool is locked.
public protocol BeforeMemory: LockLevel {}
/// What may be held when the queue of a `Turn` is locked.
public protocol BeforeTurnQueue: LockLevel {}
/// What may be held when an event queue is locked.
public protocol BeforeEventQueue: LockLevel {}
/// What may be held when a socket is locked.
public protocol BeforeSocket: BeforeHandleTable, BeforeMemory, BeforeTurnQueue, BeforeEventQueue {}

/// Nothing is held.
public enum Unlocked: BeforeSocket {
  /// First.
  public static var rank: UInt8 { 0 }
  /// For the run-time checker.
  public static var name: StaticString { "Unlocked" }
}
/// Names, options, linger, listen conversion of one socket.
public enum SocketLevel: BeforeHandleTable, BeforeMemory, BeforeTurnQueue, BeforeEventQueue {
  /// After `Unlocked`.
  public static var rank: UInt8 { 1 }
  /// For the run-time checker.
  public static var name: StaticString { "Socket" }
}
/// Handles of the C and client interfaces. A leaf.
public enum HandleTableLevel: LockLevel {
  /// After the socket.
  public static var rank: UInt8 { 2 }
  /// For the run-time checker.
  public static var name: StaticString { "HandleTable" }
}
/// The pools that application threads allocate from. A leaf.
public enum MemoryLevel: LockLevel {
  /// After the socket.
  public static var rank: UInt8 { 3 }
  /// For the run-time checker.
  public static var name: StaticString { "Memory" }
}
/// The queue inside a `Turn`. A leaf, held for a few instructions; the turn itself is an owned value.
public enum TurnQueueLevel: LockLevel {
  /// After the socket.
  public static var rank: UInt8 { 4 }
  /// For the run-time checker.
  public static var name: StaticString { "TurnQueue" }
}
/// The registrations of an event queue, and what of them was taken to be looked at. A leaf.
public enum EventQueueLevel: LockLevel {
  /// After the socket.
  public static var rank: UInt8 { 5 }
  /// For the run-time checker.
  public static var name: StaticString { "EventQueue" }
}

// One stanza per level binds `Level == X` to `H: BeforeX`.
// swift-format-ignore
extension OrderedMutex where Level == SocketLevel, State: ~Copyable {
  /// Runs `body` with the socket locked.
  @inlinable @inline(__always) public func withLock<H: BeforeSocket, R: ~Copyable, E: Error>(_ held: inout Held<H>, _ body: (inout State, inout Held<SocketLevel>) throws(E) -> R) throws(E) -> R { try _lock(&held, body) }
}
// swift-format-ignore
extension OrderedMutex where Level == HandleTableLevel, State: ~Copyable {
  /// Runs `body` with the handle table locked.
  @inlinable @inline(__always) public func withLock<H: BeforeHandleTable, R: ~Copyable, E: Error>(_ held: inout Held<H>, _ body: (inout State, inout Held<HandleTableLevel>) throws(E) -> R) throws(E) -> R { try _lock(&held, body) }
}
// swift-format-ignore
extension OrderedMutex where Level == MemoryLevel, State: ~Copyable {
  /// Runs `body` with the pool locked.
  @inlinable @inline(__always) public func withLock<H: BeforeMemory, R: ~Copyable, E: Error>(_ held: inout Held<H>, _ body: (inout State, inout Held<MemoryLevel>) throws(E) -> R) throws(E) -> R { try _lock(&held, body) }
}
// swift-format-ignore
extension OrderedMutex where Level == TurnQueueLevel, State: ~Copyable {
  /// Runs `body` with the queue locked.
  @inlinable @inline(__always) public func withLock<H: BeforeTurnQueue, R: ~Copyable, E: Error>(_ held: inout Held<H>, _ body: (inout State, inout Held<TurnQueueLevel>) throws(E) -> R) throws(E) -> R { try _lock(&held, body) }
}
// swift-format-ignore
extension OrderedMutex where Level == EventQueueLevel, State: ~Copyable {
  /// Runs `body` with the event queue locked.
  @inlinable @inline(__always) public func withLock<H: BeforeEventQueue, R: ~Copyable, E: Error>(_ held: inout Held<H>, _ body: (inout State, inout Held<EventQueueLevel>) throws(E) -> R) throws(E) -> R { try _lock(&held, body) }
}
