import Testing

@testable import Exclusion

/// PROTOCOLS 6.
@Suite(.serialized, .timeLimit(.minutes(2))) struct RestartTests {
  private func restart(_ server: RestartGeneration) { withApplication { held in server.restart(&held) } }
  private func attached(_ server: RestartGeneration) -> RestartClient {
    let client = RestartClient()
    withApplication { held in server.attach(client, &held) }
    return client
  }

  @Test func C2_W2_aRestartIsOneNoticeToEachWhetherItWaitsOrNot() {
    let server = RestartGeneration()
    let (idle, waiting) = (attached(server), attached(server))
    let wakee = Wakee()
    let ticket = waiting.waiter.publish(need: 0, wakee.target)
    #expect(!idle.isNotified && !waiting.isNotified)
    restart(server)
    #expect(wakee.wakes.value == 1)
    waiting.waiter.finish(ticket)
    for client in [idle, waiting] {
      #expect(client.generation == 2 && client.notices == 1)
      #expect(client.takeNotice())
      #expect(!client.takeNotice(), "taken once")
    }
    // And it goes on, in the new generation.
    #expect(throws: Never.self) { try server.admit(idle.generation) }
  }

  @Test func C3_aCallOfAnEarlierGenerationIsRefusedAndToldOnce() {
    let server = RestartGeneration()
    let client = attached(server)
    let old = client.generation
    restart(server)
    // Two calls were under way; both are answered, the client hears it once.
    for _ in 0..<2 {
      #expect(throws: StaleGeneration(current: 2)) { try server.admit(old) }
      withApplication { held in client.receive(StaleGeneration(current: 2), &held) }
    }
    #expect(client.notices == 1 && client.generation == 2)
    // An answer that took its time says nothing new.
    restart(server)
    withApplication { held in client.receive(StaleGeneration(current: 2), &held) }
    #expect(client.notices == 2 && client.generation == 3)
  }

  @Test func RS_ONCE_anAnswerMayComeBeforeTheScan() {
    let server = RestartGeneration()
    let client = attached(server)
    withApplication { held in client.receive(StaleGeneration(current: 2), &held) }
    restart(server)
    #expect(client.notices == 1 && client.generation == 2)
  }

  @Test func RS_ONCE_whoDetachedHearsNothing() {
    let server = RestartGeneration()
    let (gone, here) = (attached(server), attached(server))
    withApplication { held in
      server.detach(gone, &held)
      #expect(server.count(&held) == 1)
    }
    restart(server)
    #expect(gone.notices == 0 && here.notices == 1)
  }

  @Test func RS_EPOCH_completionsOfAnotherGenerationAreNotTaken() {
    let server = RestartGeneration()
    let client = attached(server)
    #expect(client.accepts(completionOf: 1))
    restart(server)
    #expect(!client.accepts(completionOf: 1), "from the server that is no more")
    #expect(client.accepts(completionOf: 2))
    #expect(!client.accepts(completionOf: 3), "from one that the client does not know yet")
  }

  /// Restarts, clients that come, and answers to stale calls, on threads: nobody is told twice of a generation,
  /// and everybody knows the last one in the end.
  @Test func RS_ONCE_restartsAttachmentsAndAnswersBetweenThreads() throws {
    let rounds = 3000
    let server = RestartGeneration()
    let busy = attached(server)
    let done = Word(), late = Word(), twice = Word()
    try together([
      {
        for _ in 0..<rounds { withApplication { held in server.restart(&held) } }
        done.set(1)
      },
      {
        while done.value == 0 {
          let carried = busy.generation
          do throws(StaleGeneration) {
            try server.admit(carried)
          } catch {
            withApplication { held in busy.receive(error, &held) }
          }
          // Each notice is for a generation of its own.
          if busy.notices > busy.generation - 1 { twice.word.add(1) }
        }
      },
      {
        while done.value == 0 {
          let client = RestartClient()
          withApplication { held in
            let before = server.current
            server.attach(client, &held)
            // Everything that began before is known now: by the scan, or by the client's own look.
            let known = client.generation
            server.detach(client, &held)
            if known < before || known > server.current { late.word.add(1) }
          }
        }
      },
    ])
    #expect(busy.generation == UInt64(rounds) + 1)
    #expect(busy.notices <= UInt64(rounds))
    #expect(twice.value == 0 && late.value == 0)
    withApplication { held in #expect(server.count(&held) == 1) }
  }

  /// A restart at the very moment of an attachment: whoever came second tells.
  @Test func RS_ONCE_aRestartDuringAnAttachmentIsNotMissed() throws {
    let rounds: UInt64 = 5000
    let server = RestartGeneration()
    let meeting = Meeting(), end = Meeting()
    let missed = Word()
    try together([
      {
        for round in 1...rounds {
          meeting.arrive(round)
          withApplication { held in server.restart(&held) }
          end.arrive(round)
        }
      },
      {
        for round in 1...rounds {
          let client = RestartClient()
          meeting.arrive(round)
          withApplication { held in server.attach(client, &held) }
          end.arrive(round)
          if client.generation != round + 1 || client.notices > 1 { missed.word.add(1) }
          withApplication { held in server.detach(client, &held) }
        }
      },
    ])
    #expect(missed.value == 0)
  }
}
