/// Whose turn it is among threads and tasks, first come, first served: concurrent senders, receivers, accepters
/// of one socket. An owned value rather than a token, because it is held over a suspension. A pass reserves
/// (PROTOCOLS 3): who is woken owns the turn already.
public struct Turn: ~Copyable, Sendable {
  private static var free: UInt64 { 0 }
  private static var held: UInt64 { 1 }
  /// Somebody queues: from now on the word changes only under the lock, and nobody overtakes.
  private static var queued: UInt64 { 3 }

  private typealias Queue = OrderedMutex<TurnQueueLevel, TurnQueue>

  private let word = AtomicWord(Turn.free)
  /// Address of the queue; 0 until somebody first has to wait: of a million idle sockets hardly any has one.
  private let queue = AtomicWord(0)

  /// A place in the queue.
  public struct TurnTicket: Hashable, Sendable { fileprivate let number: UInt64 }
  /// What `take` found.
  public enum Taken: Hashable, Sendable {
    /// The caller owns the turn, and passes it.
    case taken
    /// The target will be woken as the owner.
    case queued(TurnTicket)
  }

  /// Nobody's turn.
  public init() {}
  deinit {
    guard let made = unsafe Self.at(queue.load()) else { return }
    unsafe Self.destroy(made)
  }

  private static func at(_ address: UInt64) -> UnsafeMutablePointer<Queue>? {
    unsafe UnsafeMutablePointer(bitPattern: UInt(truncatingIfNeeded: address))
  }
  private static func destroy(_ made: UnsafeMutablePointer<Queue>) {
    unsafe made.deinitialize(count: 1)
    unsafe SharedMemory.deallocate(made, byteCount: MemoryLayout<Queue>.size)
  }
  /// The queue, made if there is none yet: of two who make one the first counts.
  private func waiting() -> UnsafeMutablePointer<Queue> {
    var seen = queue.load()
    if let found = unsafe Self.at(seen) { return unsafe found }
    let made = unsafe SharedMemory.allocate(
      byteCount: MemoryLayout<Queue>.size, alignment: MemoryLayout<Queue>.alignment
    ).bindMemory(to: Queue.self, capacity: 1)
    unsafe made.initialize(to: Queue(TurnQueue()))
    if queue.compareExchange(&seen, UInt64(UInt(bitPattern: made))) { return unsafe made }
    unsafe Self.destroy(made)
    return unsafe Self.at(seen).unsafelyUnwrapped
  }

  /// Takes the turn, or queues for it. Application context.
  public func take<H: BeforeTurnQueue>(_ target: WakeTarget, _ held: inout Held<H>) -> Taken {
    var seen = Self.free
    if word.compareExchange(&seen, Self.held) { return .taken }
    return unsafe waiting().pointee.withLock(&held) { queue, _ in
      var seen = word.loadRelaxed()
      while true {
        let after = seen == Self.free ? Self.held : Self.queued
        guard word.compareExchange(&seen, after) else { continue }
        return after == Self.held ? .taken : .queued(TurnTicket(number: queue.append(target)))
      }
    }
  }

  /// Takes the turn if nobody has it; never queues. Any thread.
  public func tryTake() -> Bool {
    var seen = Self.free
    return word.compareExchange(&seen, Self.held)
  }

  /// Leaves the queue. False: the turn was granted already and its wake-up is under way or delivered; the
  /// caller owns it, waits for the wake-up, and passes.
  public func cancel<H: BeforeTurnQueue>(_ ticket: TurnTicket, _ held: inout Held<H>) -> Bool {
    unsafe waiting().pointee.withLock(&held) { queue, _ in queue.remove(ticket.number) }
  }

  /// Gives the turn to the next in the queue and wakes it, or frees it. The owner only.
  public func pass(_ held: inout Held<Unlocked>) {
    var seen = Self.held
    if word.compareExchange(&seen, Self.free) { return }
    precondition(seen == Self.queued, "a turn is passed by its owner, once")
    #if Explore
      if Mutation.turnPassedWithoutReserving.isOn {
        let next = unsafe waiting().pointee.withLock(&held) { queue, _ in queue.popFirst() }
        word.store(Self.free)
        if let next { wake(next, &held) }
        return
      }
    #endif
    let next = unsafe waiting().pointee.withLock(&held) { queue, _ -> WakeTarget? in
      let next = queue.popFirst()
      // Still HELD for the next one; the rest of the queue, if any, keeps newcomers out.
      if queue.isEmpty { word.store(next == nil ? Self.free : Self.held) }
      return next
    }
    if let next { wake(next, &held) }
  }

  /// Whether somebody owns it. A hint.
  public var isTaken: Bool { word.loadRelaxed() != Self.free }
}

/// Who waits for the turn, oldest first. Not private: the compiler emits a broken reference to a private
/// non-copyable type from modules that destroy a `Turn`.
@usableFromInline struct TurnQueue: ~Copyable, Sendable {
  var entries: [(number: UInt64, target: WakeTarget)] = []
  var head = 0
  var lastNumber: UInt64 = 0

  var isEmpty: Bool { head == entries.count }
  mutating func append(_ target: WakeTarget) -> UInt64 {
    lastNumber += 1
    entries.append((lastNumber, target))
    return lastNumber
  }
  mutating func popFirst() -> WakeTarget? {
    guard !isEmpty else { return nil }
    let target = entries[head].target
    head += 1
    if head == entries.count || head > 64 {
      entries.removeFirst(head)
      head = 0
    }
    return target
  }
  mutating func remove(_ number: UInt64) -> Bool {
    guard let index = entries[head...].firstIndex(where: { $0.number == number }) else { return false }
    entries.remove(at: index)
    return true
  }
}
