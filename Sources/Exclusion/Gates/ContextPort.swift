/// How a context that sleeps is woken.
public enum KickKind: Sendable {
  /// An eventfd, for a poller.
  case descriptor
  /// Only counted, for a manual scheduler.
  case counted
}

/// A context's own word (PROTOCOLS 5): the list of what was posted to it, and who drives it. At a stable address.
public struct ContextPort: ~Copyable, Sendable {
  /// head/64 42 · unused · OWED · APART · LENT · IDLE. Alone on its cache line.
  @usableFromInline let word = AtomicWord(0)
  private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
  @usableFromInline let index: Int
  /// -1: kicks are only counted.
  @usableFromInline let descriptor: Int32
  @usableFromInline let kicks = SharedCounter()
  /// 1: who drives the context sleeps in its poller, by descriptors; 0: at a cell. (c) once the context runs.
  let polled = AtomicWord(1)
  /// Where the context's own thread sleeps when it does not watch descriptors.
  let own = Parker()
  /// Where an application thread that drives the context sleeps, if there are no descriptors.
  let borrower = Parker()
  /// (o) the context's own thread: until when it sleeps, in nanoseconds; 0: it looks often enough by itself.
  let sleepsUntil = AtomicWord(.max)
  /// (o) who drives the context: times that it was borrowed. Its own thread looks.
  let borrows = AtomicWord(0)
  /// Times that an application thread would have driven the context, and found it awake.
  let missed = SharedCounter()

  init(index: Int, _ kind: KickKind) throws(SystemFailure) {
    self.index = index
    switch kind {
    case .counted: descriptor = -1
    case .descriptor:
      descriptor = makeEventDescriptor()
      if descriptor < 0 { throw SystemFailure(code: -descriptor, call: "eventfd") }
    }
  }
  deinit { if descriptor >= 0 { closeEventDescriptor(descriptor) } }

  /// Who drives the context sleeps, or is about to: whoever posts wakes it.
  @inlinable static var idle: UInt64 { 1 }
  /// An application thread drives the context in its own thread's place.
  @inlinable static var lent: UInt64 { 2 }
  /// The context's own thread does not watch descriptors: it sleeps at its cell.
  @inlinable static var apart: UInt64 { 4 }
  /// It sleeps there for ever: who gives the context back wakes it.
  @inlinable static var owed: UInt64 { 8 }
  @inlinable static var flags: UInt64 { 15 }
}

/// A context's port. Lives as long as its `ContextCoreRef`.
@safe @frozen public struct ContextPortRef: Hashable, @unchecked Sendable {
  @usableFromInline let port: UnsafePointer<ContextPort>

  @inlinable @inline(__always) init(_ port: UnsafePointer<ContextPort>) { unsafe self.port = port }
  @inlinable @inline(__always) init(address: UInt) {
    unsafe port = UnsafePointer(bitPattern: address).unsafelyUnwrapped
  }
  @inlinable @inline(__always) var address: UInt { unsafe UInt(bitPattern: port) }

  /// The context's number.
  @inlinable public var index: Int { unsafe port.pointee.index }
  /// How often somebody woke the context.
  @inlinable public var kicks: UInt64 { unsafe port.pointee.kicks.value }
  /// What the poller watches for reading; nil under a manual scheduler.
  @inlinable public var descriptor: Int32? {
    unsafe port.pointee.descriptor < 0 ? nil : port.pointee.descriptor
  }
  /// Whether something waits to be taken.
  @inlinable public var hasWork: Bool { unsafe port.pointee.word.load() > ContextPort.flags }
  /// Whether the context sleeps or is about to, and nobody drives it.
  @inlinable public var isIdle: Bool {
    unsafe port.pointee.word.load() & ~ContextPort.apart == ContextPort.idle
  }

  /// Leaves `item` to the context, and wakes who drives it if that one sleeps: one kick for all that comes before
  /// it is awake. Any thread, any context; never waits.
  @inlinable public func post(_ item: ItemRef) {
    let kept = ContextPort.flags & ~ContextPort.idle
    var seen = unsafe port.pointee.word.loadRelaxed()
    repeat {
      item.nextAddress = UInt(truncatingIfNeeded: (seen &>> 22) &<< 6)
      #if Explore
        if Mutation.posterLeavesIdleSet.isOn {
          let kept = UInt64(item.address) &<< 16 | seen & ContextPort.flags
          if unsafe port.pointee.word.compareExchange(&seen, kept) { break }
          continue
        }
        if Mutation.postWithoutKick.isOn,
          unsafe port.pointee.word.compareExchange(
            &seen, UInt64(item.address) &<< 16 | seen & kept)
        {
          return
        }
      #endif
    } while unsafe !port.pointee.word.compareExchange(
      &seen, UInt64(item.address) &<< 16 | seen & kept)
    if seen & ContextPort.idle != 0 { kick(seen) }
  }

  /// Who drives the context only: everything that was posted, oldest first. It is not idle.
  @inlinable public func takeAll() -> ItemList {
    let seen = unsafe port.pointee.word.loadRelaxed()
    guard seen > ContextPort.flags else { return ItemList() }
    // While the context is lent its own thread may change its flags.
    let taken =
      seen & ContextPort.lent == 0
      ? unsafe port.pointee.word.exchange(0) : unsafe port.pointee.word.formAnd(ContextPort.flags)
    return ItemList(newestFirst: UInt(truncatingIfNeeded: (taken &>> 22) &<< 6))
  }

  /// The context's own thread only, before it waits: false if something was posted meanwhile. From here on the context
  /// may be lent, and is its own thread's again when ``leaveIdle()`` or ``takeBack(isPatient:_:)`` say so.
  @inlinable public func becomeIdle() -> Bool { becomeIdle(ContextPort.idle) }
  @usableFromInline func becomeIdle(_ asleep: UInt64) -> Bool {
    #if Explore
      if Mutation.idleByLoadThenStore.isOn {
        guard unsafe port.pointee.word.load() == 0 else { return false }
        unsafe port.pointee.word.store(asleep)
        return true
      }
    #endif
    var empty: UInt64 = 0
    return unsafe port.pointee.word.compareExchange(&empty, asleep)
  }
  /// The context's own thread only, after it waited, whatever ended the wait, if nobody borrows the context. True if a
  /// kick was or will be sent: the descriptor is, or will be, readable.
  @inlinable public func leaveIdle() -> Bool {
    var idle = ContextPort.idle
    return unsafe !port.pointee.word.compareExchange(&idle, 0)
  }
  /// Makes the descriptor unreadable. Who drives the context only, when its poller found it readable.
  public func absorb() {
    if let descriptor { KickDescriptor.absorb(descriptor) }
  }

  /// Wakes who slept with the flags `seen`, which the caller took IDLE off.
  @usableFromInline func kick(_ seen: UInt64) {
    unsafe port.pointee.kicks.increment()
    if seen & ContextPort.lent != 0, !isPolled { return unsafe port.pointee.borrower.unpark() }
    if seen & (ContextPort.lent | ContextPort.apart) == ContextPort.apart {
      return unsafe port.pointee.own.unpark()
    }
    if let descriptor { KickDescriptor.kick(descriptor) }
  }
  var isPolled: Bool { unsafe port.pointee.polled.loadRelaxed() != 0 }

  /// The same port.
  @inlinable public static func == (a: ContextPortRef, b: ContextPortRef) -> Bool { a.address == b.address }
  /// By address.
  @inlinable public func hash(into hasher: inout Hasher) { hasher.combine(address) }
}
