/// Certain events of a certain gate, for who does not know what the gate guards: ringing posts them. Whoever keeps
/// a bell holds a reference to the block by other means.
@safe @frozen public struct GateBell: Sendable {
  @usableFromInline let raw: UInt
  @usableFromInline let events: GateEvents

  /// Rings by posting `events` to `gate`.
  @inlinable public init<Block: GatedBlock & ~Copyable>(_ gate: GateRef<Block>, _ events: GateEvents) {
    raw = unsafe UInt(bitPattern: gate.raw)
    self.events = events
  }

  /// Leaves the events to the gate's owner; a free gate goes to its home. Any thread; never waits, and never
  /// runs what it posts, so it may be rung with anything owned. False: the gate has closed.
  @discardableResult @inlinable public func ring() -> Bool {
    guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: raw) else { return false }
    return unsafe GateRef<Unknown>(raw).post(events: events) != .closed
  }

  /// Nothing of this is ever run: posting leaves that to whoever knows the block.
  @usableFromInline enum Unknown: GatedBlock {
    @usableFromInline
    static func run(_ item: ItemRef, on block: GateRef<Unknown>, _ cx: inout SoftInterrupt) {}
    @usableFromInline
    static func run(events: GateEvents, on block: GateRef<Unknown>, _ cx: inout SoftInterrupt) {}
    @usableFromInline static func retire(_ block: GateRef<Unknown>, _ cx: inout SoftInterrupt) {}
  }
}
