import Chance
import Exclusion
import Testing

/// PROTOCOLS 2 and 3.
@Suite(.serialized, .timeLimit(.minutes(3))) struct WaitingTests {
  @Test func SB_EXACT_aWaiterIsClaimedOnceAndOnlyForItsNeed() {
    let waiter = Waiter()
    let wakee = Wakee()
    #expect(waiter.claim { _ in true } == nil)  // W1: nobody who has not met the condition is told
    let ticket = waiter.publish(need: 3, wakee.target)
    check(waiter.isWaiting)
    #expect(waiter.claim { need in 2 >= need } == nil)
    #expect(waiter.claim { need in 3 >= need } != nil)
    #expect(waiter.claim { _ in true } == nil)
    check(!waiter.retract(ticket))  // a wake-up is under way
    waiter.finish(ticket)
    let again = waiter.publish(need: 1, wakee.target)
    #expect(waiter.retract(again) && !waiter.isWaiting)
    #expect(waiter.claim { _ in true } == nil)
  }

  @Test func SB_EXACT_aStaleAnswerClaimsNoLaterEpoch() {
    let waiter = Waiter()
    let wakee = Wakee()
    let first = waiter.publish(need: 1, wakee.target)
    // The waker has looked at the first epoch; meanwhile the waiter retracts and waits for more.
    let claimed = waiter.claim { need in
      check(waiter.retract(first))
      _ = waiter.publish(need: 1, wakee.target)
      return need == 1
    }
    #expect(claimed == nil)
    check(waiter.isWaiting)
  }

  /// `inStep`: the producer waits until the consumer has all, so that each item meets a consumer that is about to
  /// sleep; else it runs ahead.
  @Test(arguments: [false, true])
  func SB_ATOMIC_noLostAndNoUselessWakeUp(inStep: Bool) throws {
    let count: UInt64 = 20_000
    let waiter = Shared(Waiter())
    let parker = Shared(Parker())
    let produced = Word(), taken = Word(), lost = Word(), wasted = Word(), slept = Word(), delivered = Word()
    let core = try makeContext()
    try together([
      {
        while taken.value < count {
          let need = inStep ? 1 : min(1 + taken.value % 3, count - taken.value)
          while produced.value - taken.value < need {
            let ticket = waiter.value.publish(need: UInt32(need), parker.value.wakeTarget)
            if produced.value - taken.value >= need, waiter.value.retract(ticket) { continue }
            // The deadline only turns a wake-up that never comes into a failure.
            let signalled = withApplication { held in
              parker.value.park(untilNanoseconds: monotonicSeconds(20), &held)
            }
            if signalled {
              waiter.value.finish(ticket)
              slept.word.add(1)
              if produced.value - taken.value < need { wasted.word.add(1) }
            } else {
              lost.word.add(1)
              if !waiter.value.retract(ticket) { return }
            }
          }
          taken.word.add(need)
        }
      },
      {
        var random = SeededGenerator(seed: 1)
        withContextRoot(core) { root in
          for total in 1...count {
            if inStep {
              spin { taken.value < total - 1 && lost.value == 0 }
              for _ in 0..<(random.next() % 32) { spinHint() }
            }
            root.withSoftInterrupt { cx in
              produced.set(total)
              if let target = waiter.value.claim(where: { total - taken.value >= $0 }) { cx.wake(target) }
            }
            delivered.word.add(UInt64(root.deliverWakeups()))
          }
        }
      },
    ])
    #expect(lost.value == 0)
    #expect(wasted.value == 0)
    #expect(delivered.value == slept.value)
    core.destroy()
  }

  @Test func SB_FENCE_publishingAndLookingCannotMissEachOther() throws {
    // Both halves at about the same instant, a little earlier or later each round: either the waiter sees the
    // data or the waker sees the waiter. Each has just read what it will look at, so that its look is quicker
    // than its own store. Needs two processors to show a missing fence.
    let rounds: UInt64 = 20_000
    let waiter = Shared(Waiter())
    let data = Word(), meeting = Meeting(), sawData = Word(), claimed = Word(), missed = Word()
    let wakee = Wakee()
    try together([
      {
        for round in 1...rounds {
          meeting.arrive(round * 2 - 1)
          for _ in 0...(round % 16) { _ = data.value }
          let ticket = waiter.value.publish(need: 1, wakee.target)
          sawData.set(data.word.load() == round ? 1 : 0)
          meeting.arrive(round * 2)
          if claimed.value == round { waiter.value.finish(ticket) } else { _ = waiter.value.retract(ticket) }
        }
      },
      {
        for round in 1...rounds {
          meeting.arrive(round * 2 - 1)
          for _ in 0...(round / 16 % 16) { _ = waiter.value.isWaiting }
          data.set(round)
          if waiter.value.claim(where: { _ in true }) != nil { claimed.set(round) }
          meeting.arrive(round * 2)
          if sawData.value == 0 && claimed.value != round { missed.word.add(1) }
        }
      },
    ])
    #expect(missed.value == 0)
  }

  @Test func W7_SB_UPCALL_wakeUpsWaitForTheRoot() throws {
    let core = try makeContext()
    let wakee = Wakee()
    withContextRoot(core) { root in
      root.withSoftInterrupt { cx in
        cx.wake(wakee.target)
        cx.wake(wakee.target)
        #expect(wakee.wakes.value == 0 && cx.core.wakes.room == 2)
      }
      #expect(root.deliverWakeups() == 2)
      #expect(wakee.wakes.value == 2)
      #expect(root.deliverWakeups() == 0)
    }
    core.destroy()
  }

  @Test func W9_aFullWakeBufferKeepsEveryWakeUp() throws {
    let core = try makeContext()  // room for four
    let wakees = (0..<11).map { _ in Wakee() }
    withContextRoot(core) { root in
      root.withSoftInterrupt { cx in for wakee in wakees { cx.wake(wakee.target) } }
      #expect(root.deliverWakeups() == 11)
      root.withSoftInterrupt { cx in #expect(cx.core.wakes.room == 4) }
    }
    #expect(wakees.allSatisfy { $0.wakes.value == 1 })
    #expect(core.wakes.delivered.value == 11 && core.wakes.overflowed.value == 7)
    core.destroy()
  }

  @Test func parkerKeepsAnEarlyTokenAndADeadline() {
    let parker = Parker()
    withApplication { held in
      parker.unpark()
      parker.unpark()
      check(parker.park(&held))
      #expect(!parker.park(untilNanoseconds: 1, &held))  // long past
      wake(parker.wakeTarget, &held)
      #expect(parker.park(untilNanoseconds: 1, &held))
    }
  }

  @Test func PROTOCOL_3_turnsGoRoundInOrder() {
    let turn = Turn()
    let wakees = (0..<3).map { _ in Wakee() }
    withApplication { held in
      #expect(turn.take(wakees[0].target, &held) == .taken)
      guard case .queued = turn.take(wakees[1].target, &held),
        case .queued = turn.take(wakees[2].target, &held)
      else {
        Issue.record("the turn was taken twice")
        return
      }
      turn.pass(&held)
      #expect(wakees.map(\.wakes.value) == [0, 1, 0])
      // Reserved: a newcomer does not overtake.
      guard case .queued(let late) = turn.take(wakees[0].target, &held) else {
        Issue.record("overtaken")
        return
      }
      turn.pass(&held)
      #expect(wakees.map(\.wakes.value) == [0, 1, 1])
      #expect(turn.cancel(late, &held))
      #expect(!turn.cancel(late, &held))
      check(turn.isTaken)
      turn.pass(&held)
      check(!turn.isTaken)
      #expect(turn.take(wakees[0].target, &held) == .taken)
      turn.pass(&held)
    }
  }

  @Test func W12_aCancelledTurnThatWasGrantedIsPassedOn() {
    let turn = Turn()
    let first = Wakee(), second = Wakee()
    withApplication { held in
      #expect(turn.take(first.target, &held) == .taken)
      guard case .queued(let ticket) = turn.take(first.target, &held),
        case .queued = turn.take(second.target, &held)
      else {
        Issue.record("the turn was taken twice")
        return
      }
      turn.pass(&held)
      #expect(!turn.cancel(ticket, &held))  // granted already
      turn.pass(&held)
      #expect(second.wakes.value == 1 && turn.isTaken)
      turn.pass(&held)
      check(!turn.isTaken)
    }
  }

  /// Changed under the turn only: the thread sanitizer proves that it excludes.
  final class Guarded: @unchecked Sendable {
    let turn = Turn()
    var inside = 0
    var passages = 0
  }

  @Test func PROTOCOL_3_turnsBetweenThreads() throws {
    let guarded = Guarded()
    let errors = Word(), cancelled = Word()
    let rounds = 7000
    let body: @Sendable () -> Void = {
      let parker = Parker()
      for round in 0..<rounds {
        withApplication { held in
          if case .queued(let ticket) = guarded.turn.take(parker.wakeTarget, &held) {
            if round % 5 == 0, guarded.turn.cancel(ticket, &held) {
              cancelled.word.add(1)
              return
            }
            if !parker.park(&held) { errors.word.add(1) }
          }
          guarded.inside += 1
          if guarded.inside != 1 { errors.word.add(1) }
          guarded.passages += 1
          guarded.inside -= 1
          guarded.turn.pass(&held)
        }
      }
    }
    try together([body, body, body])
    #expect(errors.value == 0)
    #expect(guarded.passages + Int(cancelled.value) == rounds * 3)
    check(!guarded.turn.isTaken)
  }
}
