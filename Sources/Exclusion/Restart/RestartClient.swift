/// A client's side of its server's restarts: which generation its calls and their completions belong to, and the
/// notice that this has changed. Any thread, application context.
public final class RestartClient: Sendable {
  /// (a) The generation that this client was told of last: moves forward only.
  private let seen = AtomicWord(0)
  /// (a) 1: a notice was delivered and not yet taken.
  private let notice = AtomicWord(0)
  /// (a)
  private let deliveries = SharedCounter()
  /// For who waits until a restart: a thread or task of its own, or the turn that waits for something else too.
  public let waiter = Waiter()

  /// Attached to nobody.
  public init() {}

  /// What the client's calls carry.
  public var generation: UInt64 { seen.load() }
  /// Whether a completion that carries `generation` is for this client still: what an earlier server completes,
  /// or a later one that nobody knows of yet, is thrown away (RS-EPOCH).
  public func accepts(completionOf generation: UInt64) -> Bool { generation == seen.load() }
  /// Whether a notice waits to be taken: true for who waits on `waiter`.
  public var isNotified: Bool { notice.load() != 0 }
  /// Takes the notice, if there is one: the server was restarted since the last one.
  public func takeNotice() -> Bool { notice.exchange(0) != 0 }
  /// How many notices were delivered.
  public var notices: UInt64 { deliveries.value }

  /// A call was answered as stale. The client is told, unless it was already; the call may be made again, for
  /// the new generation.
  public func receive(_ answer: StaleGeneration, _ held: inout Held<Unlocked>) {
    #if Explore
      if Mutation.staleAnswerPastTheExchange.isOn, seen.load() < answer.current {
        seen.store(answer.current)
        return deliver(&held)
      }
    #endif
    if tell(answer.current) { deliver(&held) }
  }

  /// Before it registers: nobody else knows the client yet.
  func begin(_ generation: UInt64) { seen.store(generation) }

  /// Moves the client's generation forward to `generation`. True: the caller did it, and owes the notice.
  func tell(_ generation: UInt64) -> Bool {
    var known = seen.load()
    while known < generation {
      if seen.compareExchange(&known, generation) { return true }  // keeps RS-ONCE
    }
    return false
  }

  /// The notice and its wake-up; by who was told by `tell` that it is due.
  func deliver(_ held: inout Held<Unlocked>) {
    deliveries.increment()
    notice.store(1)
    if let target = waiter.claim(where: { _ in isNotified }) { wake(target, &held) }
  }
}
