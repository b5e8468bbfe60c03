// Who is told of a restart, and how often (PROTOCOLS 6). A server that comes back is a new generation; each
// client learns of it once, whether it waits, calls, or just attaches (RS-ONCE). Three ways lead to a client: the
// server's scan over those that are registered, the client's own look after it has registered, and the answer
// to a call that carried an old generation. All of them pass one compare-and-exchange in the client's word,
// `RestartClient.tell`, and only who moves the word forward delivers the notice.

/// A server's generation, and the clients that are told when it changes. Application context.
///
/// The order that counts: a restart begins the new generation and then looks for clients; a client registers and
/// then looks at the generation. Each does first what the other looks at, with a full fence between, so that one
/// of the two sees the other.
public final class RestartGeneration: Sendable {
  /// (a) counts from 1: a client that knows 0 was told nothing.
  private let word = AtomicWord(1)
  private let registered = OrderedMutex<HandleTableLevel, [RestartClient]>([])

  /// The first generation, without clients.
  public init() {}

  /// The generation now. Any thread, any context.
  public var current: UInt64 { word.load() }
  /// How many clients are attached.
  public func count(_ held: inout Held<Unlocked>) -> Int {
    registered.withLock(&held) { all, _ in all.count }
  }

  /// The server is up again: the calls of all earlier generations are stale from here on, and each client that
  /// is attached is told, unless it learns of it in another way first. Restarts in quick succession may reach a
  /// client as one.
  public func restart(_ held: inout Held<Unlocked>) {
    #if Explore
      if Mutation.restartScannedBeforeItBegins.isOn {
        tellAll(current + 1, &held)
        word.add(1)
        return
      }
    #endif
    word.add(1)  // before the scan: who registers later sees it (keeps RS-ONCE)
    fullFence()
    tellAll(current, &held)
  }

  /// Told with nothing held: a notice wakes (SB-UPCALL).
  private func tellAll(_ generation: UInt64, _ held: inout Held<Unlocked>) {
    let clients = registered.withLock(&held) { all, _ in all }
    for client in clients {
      #if Explore
        if Mutation.restartToldToThoseWhoWait.isOn, !client.waiter.isWaiting { continue }
      #endif
      if client.tell(generation) { client.deliver(&held) }
    }
  }

  /// A client joins: it knows the generation of now, and is told of all later ones until it detaches. Once.
  public func attach(_ client: RestartClient, _ held: inout Held<Unlocked>) {
    client.begin(current)
    registered.withLock(&held) { all, _ in all.append(client) }
    #if Explore
      if Mutation.attachedWithoutLookingAgain.isOn { return }
    #endif
    fullFence()
    // A restart that came between has scanned without it (keeps RS-ONCE).
    if client.tell(current) { client.deliver(&held) }
  }

  /// The client goes. A restart that is under way may still tell it.
  public func detach(_ client: RestartClient, _ held: inout Held<Unlocked>) {
    registered.withLock(&held) { all, _ in all.removeAll { $0 === client } }
  }

  /// Looks at the generation that a call carries, before anything is done for it (C3).
  public func admit(_ generation: UInt64) throws(StaleGeneration) {
    let current = current
    guard generation == current else { throw StaleGeneration(current: current) }
  }
}

/// The call was made for a server that is no more: it was not carried out, nor will it be.
public struct StaleGeneration: Error, Hashable, Sendable {
  /// The generation that answered.
  public let current: UInt64
  /// For servers: what a stale call is answered.
  public init(current: UInt64) { self.current = current }
}
