/// How a context that sleeps is woken.
public enum KickKind: Sendable {
  /// An eventfd, for a poller.
  case descriptor
  /// Only counted, for a manual scheduler.
  case counted
}

/// A context's own word (PROTOCOLS 5): the list of what was posted to it, or IDLE. At a stable address.
public struct ContextPort: ~Copyable, Sendable {
  /// head/64 42 · unused · IDLE. Alone on its cache line.
  @usableFromInline let word = AtomicWord(0)
  private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
  @usableFromInline let index: Int
  /// -1: kicks are only counted.
  @usableFromInline let descriptor: Int32
  @usableFromInline let kicks = SharedCounter()

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

  @inlinable static var idle: UInt64 { 1 }
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
  @inlinable public var hasWork: Bool { unsafe port.pointee.word.load() & ~ContextPort.idle != 0 }
  /// Whether the context sleeps or is about to.
  @inlinable public var isIdle: Bool { unsafe port.pointee.word.load() == ContextPort.idle }

  /// Leaves `item` to the context, and wakes it if it sleeps: one kick for all that comes before it is awake.
  /// Any thread, any context; never waits.
  @inlinable public func post(_ item: ItemRef) {
    var seen = unsafe port.pointee.word.loadRelaxed()
    repeat {
      item.nextAddress = UInt(truncatingIfNeeded: (seen &>> 22) &<< 6)
      #if Explore
        if Mutation.posterLeavesIdleSet.isOn {
          let kept = UInt64(item.address) &<< 16 | seen & ContextPort.idle
          if unsafe port.pointee.word.compareExchange(&seen, kept) { break }
          continue
        }
        if Mutation.postWithoutKick.isOn,
          unsafe port.pointee.word.compareExchange(
            &seen, UInt64(item.address) &<< 16)
        {
          return
        }
      #endif
    } while unsafe !port.pointee.word.compareExchange(&seen, UInt64(item.address) &<< 16)
    if seen & ContextPort.idle != 0 { kick() }
  }

  /// The context only: everything that was posted, oldest first. It is not idle.
  @inlinable public func takeAll() -> ItemList {
    guard unsafe port.pointee.word.loadRelaxed() != 0 else { return ItemList() }
    let taken = unsafe port.pointee.word.exchange(0)
    return ItemList(newestFirst: UInt(truncatingIfNeeded: (taken &>> 22) &<< 6))
  }

  /// The context only, before it waits: false if something was posted meanwhile.
  @inlinable public func becomeIdle() -> Bool {
    #if Explore
      if Mutation.idleByLoadThenStore.isOn {
        guard unsafe port.pointee.word.load() == 0 else { return false }
        unsafe port.pointee.word.store(ContextPort.idle)
        return true
      }
    #endif
    var empty: UInt64 = 0
    return unsafe port.pointee.word.compareExchange(&empty, ContextPort.idle)
  }
  /// The context only, after it waited, whatever ended the wait. True if a kick was or will be sent: the
  /// descriptor is, or will be, readable.
  @inlinable public func leaveIdle() -> Bool {
    var idle = ContextPort.idle
    return unsafe !port.pointee.word.compareExchange(&idle, 0)
  }
  /// Makes the descriptor unreadable. The context only, when its poller found it readable.
  public func absorb() {
    if let descriptor { KickDescriptor.absorb(descriptor) }
  }

  @usableFromInline func kick() {
    unsafe port.pointee.kicks.increment()
    if let descriptor { KickDescriptor.kick(descriptor) }
  }

  /// The same port.
  @inlinable public static func == (a: ContextPortRef, b: ContextPortRef) -> Bool { a.address == b.address }
  /// By address.
  @inlinable public func hash(into hasher: inout Hasher) { hasher.combine(address) }
}
