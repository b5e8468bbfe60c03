/// Who above keeps private state for a context.
public enum AttachmentSlot: Int, Sendable, CaseIterable {
  /// The transmit batch of `Devices`.
  case devices
  /// The scheduler's state.
  case softInterrupts
  /// The network layer's.
  case internet
  /// The socket layer's.
  case sockets
}

/// What this target keeps for one context. Made once, at a stable address; changed by its context alone, except
/// for the port.
@safe public struct ContextCore: ~Copyable, @unchecked Sendable {
  @usableFromInline let port: ContextPort
  /// (c)
  @usableFromInline let index: Int
  /// (c) Of a guest, the context that it is a guest of; else `index`.
  @usableFromInline let host: Int
  /// (a) Of a guest, 1 while a thread is it, and for ever once nobody may be it any more.
  let occupied = AtomicWord(0)
  /// What the context takes for the present, in nanoseconds.
  @usableFromInline var present: UInt64 = 0
  @usableFromInline let gates = GateCounters()
  @usableFromInline let wakes: WakeBuffer
  @usableFromInline let graceReader: GraceReader
  /// (c) What the layers above keep for this context, by slot; set while the stack is assembled.
  @usableFromInline var attachments = unsafe InlineArray<4, UnsafeMutableRawPointer?>(repeating: nil)
  /// Keeps the domain that `graceReader` points into.
  private let domain: GraceDomain?

  init(index: Int, host: Int, port: consuming ContextPort, wakeCapacity: Int, domain: GraceDomain?) {
    self.index = index
    self.host = host
    self.port = port
    self.domain = domain
    wakes = WakeBuffer(capacity: wakeCapacity)
    graceReader = GraceReader(domain, context: index)
  }
}

/// A context. Copying the handle counts nothing; whoever assembled the stack destroys it last.
@safe @frozen public struct ContextCoreRef: Hashable, @unchecked Sendable {
  @usableFromInline let core: UnsafeMutablePointer<ContextCore>

  init(_ raw: UnsafeMutableRawPointer) { unsafe core = raw.assumingMemoryBound(to: ContextCore.self) }
  var raw: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(core) }

  /// Makes context number `index`, or a guest of context `host`. `wakeCapacity` is how many wake-ups one pass
  /// buffers without allocating. `domain`, if there is one, has more than `index` contexts. Throws when there is no
  /// descriptor to give.
  public static func make(
    index: Int, host: Int? = nil, kick: KickKind, wakeCapacity: Int = 1024, domain: GraceDomain? = nil
  ) throws(SystemFailure) -> ContextCoreRef {
    let port = try ContextPort(index: index, kick)
    let raw = unsafe SharedMemory.allocate(byteCount: MemoryLayout<ContextCore>.size, alignment: 128)
    unsafe raw.bindMemory(to: ContextCore.self, capacity: 1).initialize(
      to: ContextCore(
        index: index, host: host ?? index, port: port, wakeCapacity: wakeCapacity, domain: domain))
    return unsafe ContextCoreRef(raw)
  }

  /// Frees it. Nobody runs it, posts to it, or will.
  public func destroy() {
    precondition(!port.hasWork, "RS-LEAK: work is posted to a context that goes away")
    unsafe core.deinitialize(count: 1)
    unsafe SharedMemory.deallocate(raw, byteCount: MemoryLayout<ContextCore>.size)
  }

  /// The context's number.
  @inlinable public var index: Int { unsafe core.pointee.index }
  /// Of a guest, the number of the context that it is a guest of; else ``index``.
  @inlinable public var host: Int { unsafe core.pointee.host }
  /// What the context takes for the present, in nanoseconds of its clock. The context's alone: who runs it says it, and
  /// what it runs asks often.
  @inlinable @inline(__always) public var present: UInt64 {
    get { unsafe core.pointee.present }
    nonmutating set { unsafe core.pointee.present = newValue }
  }
  /// Whether this is a guest: no thread of its own, no wheel, and nobody posts to it.
  @inlinable public var isGuest: Bool { host != index }
  /// Where others post to it.
  @inlinable public var port: ContextPortRef {
    // The port is the core's first field, and never moves.
    unsafe ContextPortRef(UnsafeRawPointer(core).assumingMemoryBound(to: ContextPort.self))
  }
  /// Whether the calling thread runs it now.
  public var runsHere: Bool { unsafe ThreadLocal.currentContextAddress == UInt(bitPattern: raw) }
  /// What it counts about gates.
  @inlinable public var gates: GateCounters { _read { yield unsafe core.pointee.gates } }
  /// Its wake-ups that wait for the end of the pass.
  @inlinable public var wakes: WakeBuffer { _read { yield unsafe core.pointee.wakes } }

  /// A guest's place. Never waits; false: somebody has it, or it is closed.
  func occupy() -> Bool {
    #if Explore
      if Mutation.guestTakenByStore.isOn {
        guard unsafe core.pointee.occupied.load() == 0 else { return false }
        unsafe core.pointee.occupied.store(1)
        return true
      }
    #endif
    var free: UInt64 = 0
    guard unsafe core.pointee.occupied.loadRelaxed() == free else { return false }
    return unsafe core.pointee.occupied.compareExchange(&free, 1)
  }
  func vacate() { unsafe core.pointee.occupied.store(0) }
  /// Nobody is this guest from here on. Waits for who is it now: application context, nothing held.
  public func closeToGuests() {
    #if Explore
      if Mutation.guestsNotClosed.isOn { return }
    #endif
    while !occupy() { yieldProcessor() }
  }

  var graceReader: GraceReader { unsafe core.pointee.graceReader }

  /// What a layer above keeps for this context, which it attached before (checked in debug builds).
  @inlinable @inline(__always) public func attachment(_ slot: AttachmentSlot) -> UnsafeMutableRawPointer {
    unsafe core.pointee.attachments[slot.rawValue].unsafelyUnwrapped
  }
  /// Gives a layer's state to the context. Before the context runs.
  public func attach(_ state: UnsafeMutableRawPointer, _ slot: AttachmentSlot) {
    unsafe core.pointee.attachments[slot.rawValue] = state
  }

  /// The same context.
  @inlinable public static func == (a: ContextCoreRef, b: ContextCoreRef) -> Bool { unsafe a.core == b.core }
  /// By address.
  @inlinable public func hash(into hasher: inout Hasher) { unsafe hasher.combine(core) }
}
