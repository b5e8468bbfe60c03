#if Explore
  import Exclusion

  extension Catalogue {
    private static func item(_ run: Run, _ value: UInt32) -> ItemRef {
      let item = unsafe ItemRef(run.memory(byteCount: 64))
      item.kind = WorkKind(rawValue: 1)
      item.value = value
      return item
    }

    static let ports: [Scenario] = [
      Scenario(
        id: "T1/port", title: "two threads post to a context that goes to sleep and wakes up",
        search: .exhaustive(preemptions: nil),
        mutations: ["idleByLoadThenStore", "postWithoutKick", "posterLeavesIdleSet"]
      ) { run in
        let seen = unsafe run.memory(byteCount: 64).assumingMemoryBound(to: UInt64.self)
        let context = BareContext(run, index: 0) { item, _ in
          // The context's own: a bit for each item that came.
          unsafe seen.pointee |= 1 << UInt64(item.value)
        }
        let port = context.core.port
        let items = (0..<3).map { item(run, UInt32($0)) }
        let first = {
          port.post(items[0])
          run.milestone(1)
          port.post(items[1])
        }
        run.concurrently([("first", first), ("second", { port.post(items[2]) })])
        run.require(unsafe seen.pointee == 7, "PCB-POST: items were never taken: \(unsafe seen.pointee)")
        // A kick wakes a context that was asleep when the item came: never more kicks than sleeps.
        run.require(
          port.kicks <= context.sleeps.value, "\(port.kicks) kicks for \(context.sleeps.value) sleeps")
        context.finish()
      },
      Scenario(
        id: "AQ-CLOSE/mailbox", title: "a child is queued while another is taken and the mailbox closes",
        search: .exhaustive(preemptions: nil),
        mutations: ["mailboxTakenByStore", "mailboxClosedWithContents"]
      ) { run in
        let mailbox = unsafe run.memory(byteCount: 64).bindMemory(to: Mailbox.self, capacity: 1)
        unsafe mailbox.initialize(to: Mailbox())
        let items = (0..<2).map { item(run, UInt32($0)) }
        // Where each item ended: 1 refused, 2 taken, 3 found at the close.
        let ends = unsafe run.memory(byteCount: 64).assumingMemoryBound(to: UInt64.self)
        func end(_ item: ItemRef, _ how: UInt64) {
          run.require(unsafe ends[Int(item.value)] == 0, "AQ-ONE: item \(item.value) ended twice")
          unsafe ends[Int(item.value)] = how
        }
        func post(_ item: ItemRef) -> () -> Void {
          { if unsafe mailbox.pointee.post(item) != .posted { end(item, 1) } }
        }
        run.concurrently([
          ("first", post(items[0])), ("second", post(items[1])),
          (
            "accepter",
            {
              var taken = unsafe mailbox.pointee.takeAll()
              while let item = taken.popFirst() { end(item, 2) }
              run.milestone(1)
              var left = unsafe mailbox.pointee.close()
              while let item = left.popFirst() { end(item, 3) }
            }
          ),
        ])
        run.require(unsafe ends[0] != 0 && ends[1] != 0, "AQ-CLOSE: an item is in a closed mailbox for ever")
      },
      Scenario(
        id: "RX-ORDER/ring", title: "a producer fills a ring of two that a consumer empties",
        search: .exhaustive(preemptions: nil), hasStoreBuffers: true, mutations: ["ringPublishedEarly"]
      ) { run in
        let ring = unsafe run.memory(byteCount: 128).bindMemory(to: Ring<UInt64>.self, capacity: 1)
        unsafe ring.initialize(to: Ring(minimumCapacity: 2))
        run.concurrently([
          (
            "producer",
            {
              for value: UInt64 in 1...3 {
                run.wait { unsafe ring.pointee.push(value) == nil }
                run.milestone(value)
              }
            }
          ),
          (
            "consumer",
            {
              for value: UInt64 in 1...3 {
                var got: UInt64?
                run.wait {
                  got = unsafe ring.pointee.pop()
                  return got != nil
                }
                run.require(got == value, "RX-ORDER: \(String(describing: got)) came, not \(value)")
                run.milestone(value)
              }
            }
          ),
        ])
        unsafe ring.deinitialize(count: 1)
      },
    ]
  }
#endif
