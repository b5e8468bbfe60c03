public import Exclusion

/// "There is something to receive", raised by whoever put it there, for a queue without a descriptor.
///
/// The missed-event protocol (RX-MISSED, R5): raised while it is idle it posts itself to the queue's
/// context, once; raised while the context drains it is remembered, and the drain is repeated.
/// 64-byte aligned memory: the item, then the word.
@safe @frozen
public struct ReceiveSignalRef: @unchecked Sendable {  // its word is atomic
  /// The memory of the signal.
  public let raw: UnsafeMutableRawPointer
  static var bytes: Int { 128 }
  // Offsets past the item, whose owner fields are not used here.
  private static var wordOffset: Int { 64 }
  private static var portOffset: Int { 72 }
  private enum State { static let idle: UInt64 = 0, scheduled: UInt64 = 1, missed: UInt64 = 2 }

  /// Refers to a signal that exists.
  public init(_ raw: UnsafeMutableRawPointer) { unsafe self.raw = raw }

  /// A signal that lives as long as its queue; `tag` tells the context which of its sources it is.
  public static func make(kind: WorkKind, source: UInt32, port: ContextPortRef) -> ReceiveSignalRef {
    let raw = unsafe SharedMemory.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    unsafe raw.storeBytes(of: WorkItem(kind: kind), as: WorkItem.self)
    unsafe ItemRef(raw).value = source
    unsafe (raw + wordOffset).initializeMemory(as: AtomicWord.self, to: AtomicWord(State.idle))
    unsafe (raw + portOffset).initializeMemory(as: ContextPortRef.self, to: port)
    return unsafe ReceiveSignalRef(raw)
  }

  /// Frees the memory. Nobody may raise it any more, and it must not be posted.
  public func destroy() { unsafe SharedMemory.deallocate(raw, byteCount: Self.bytes) }

  private var word: UnsafeMutablePointer<AtomicWord> {
    unsafe (raw + Self.wordOffset).assumingMemoryBound(to: AtomicWord.self)
  }
  private var port: ContextPortRef {
    unsafe (raw + Self.portOffset).assumingMemoryBound(to: ContextPortRef.self).pointee
  }

  /// Any thread, after the frame is where `receive` will find it.
  public func raise() {
    var seen = unsafe word.pointee.load()
    while true {
      if seen == State.missed { return }
      let wasIdle = seen == State.idle
      guard unsafe word.pointee.compareExchange(&seen, wasIdle ? State.scheduled : State.missed) else {
        continue
      }
      if wasIdle { port.post(unsafe ItemRef(raw)) }
      return
    }
  }

  /// The context, before it drains: what is raised from here on causes another run.
  public func beginDrain() { _ = unsafe word.pointee.exchange(State.scheduled) }

  /// The context, when it has taken the item, of a queue with a descriptor: what is raised from here on posts it again.
  public func settle() { _ = unsafe word.pointee.exchange(State.idle) }

  /// The context, after a complete drain. False: something was raised meanwhile, drain again.
  public func endDrain() -> Bool {
    #if Explore
      if Mutation.drainEndedWithoutRecheck.isOn {
        unsafe word.pointee.store(State.idle)
        return true
      }
    #endif
    var scheduled = State.scheduled
    return unsafe word.pointee.compareExchange(&scheduled, State.idle)
  }
}
