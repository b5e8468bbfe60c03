import Exclusion

/// Complete connections of one listener that one context made: the context posts, application threads take.
/// First in, first out within the shard (PCB-POST); between shards there is no order.
///
/// Key: (a) atomic, (l) the lock's.
@safe
struct AcceptShard: ~Copyable, Sendable {
  /// (a) What the context posted. Closing it is what makes AQ-CLOSE hold.
  let posted = Mailbox()
  /// (l) What was taken from there and not yet accepted, oldest first.
  private var taken = OrderedMutex<SocketLevel, ItemList>(ItemList())
  /// (a) Whether `taken` may have something; 0 only when it has nothing.
  private let hasTaken = AtomicWord(0)
  /// Accepters of other shards look elsewhere.
  private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)

  init() {}

  /// Never true while something waits here, whoever is taking: what left the mailbox before it was looked at was
  /// said to be taken before that.
  var isEmpty: Bool {
    #if Explore
      if Mutation.takenLookedAtFirst.isOn { return hasTaken.load() == 0 && posted.isEmpty }
    #endif
    return posted.isEmpty && hasTaken.load() == 0
  }

  /// The oldest. Application context, any number of threads.
  func take(_ held: inout Held<Unlocked>) -> ItemRef? {
    if isEmpty { return nil }
    return taken.withLock(&held) { taken, _ in
      if taken.isEmpty {
        // Said before the mailbox is emptied: who looks meanwhile must not go to sleep on what is on its way
        // from one list to the other (AQ-WAKE).
        #if Explore
          if !Mutation.shardLooksEmpty.isOn { hasTaken.store(1) }
        #else
          hasTaken.store(1)
        #endif
        taken.append(contentsOf: posted.takeAll())
      }
      let item = taken.popFirst()
      #if Explore
        if Mutation.shardLooksEmpty.isOn { hasTaken.store(1) }
      #endif
      if taken.isEmpty { hasTaken.store(0) }
      return item
    }
  }

  /// Closes the shard for good, and returns what nobody accepted. A second time it returns nothing.
  func close(_ held: inout Held<Unlocked>) -> ItemList {
    var orphans = ItemList()
    taken.withLock(&held) { taken, _ in
      swap(&orphans, &taken)
      #if Explore
        if Mutation.shardsLeftOpen.isOn { return orphans.append(contentsOf: posted.takeAll()) }
      #endif
      orphans.append(contentsOf: posted.close())
      hasTaken.store(0)
    }
    return orphans
  }

  /// The same for who knows that nobody else is left: a context, which takes no lock.
  mutating func closeExclusively() -> ItemList {
    var orphans = ItemList()
    taken.withExclusiveState { taken in swap(&orphans, &taken) }
    orphans.append(contentsOf: posted.close())
    return orphans
  }
}

#if Explore
  extension Mutation {
    /// What is moved from one list to the other between the two looks is seen in neither.
    static let takenLookedAtFirst = Mutation("takenLookedAtFirst")
  }
#endif
