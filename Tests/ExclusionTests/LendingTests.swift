import Exclusion
import Testing

/// A context that sleeps and is driven by an application thread: its word, step by step.
@Suite struct LendingTests {
  private final class Loan {
    let core: ContextCoreRef
    let slots = TestSlots(4)
    init() throws {
      core = try makeContext()
      core.port.sleepWithoutPoller()
    }
    var port: ContextPortRef { core.port }

    /// Borrows, does `body`, and gives back.
    func borrow(
      deadline: UInt64 = .max, isUrgent: Bool = false, isWatched: Bool = false,
      _ body: (inout ContextRoot) -> Void = { _ in }
    ) -> GivenBack? {
      withBorrowedRoot(core, isWaiting: true) { root in
        body(&root)
        return LoanEnd(deadline: deadline, isUrgent: isUrgent, isWatched: isWatched)
      }
    }
    /// The context's own thread looks after a wait.
    func takeBack(isPatient: Bool = false, _ known: inout UInt64) -> (isOurs: Bool, mustLook: Bool) {
      var mustLook = false
      let isOurs = port.takeBack(isPatient: isPatient, known: &known, mustLook: &mustLook)
      return (isOurs, mustLook)
    }
    func drain() {
      var taken = port.takeAll()
      while taken.popFirst() != nil {}
    }
  }

  @Test func PCB_OWN_onlyAContextThatSleepsIsLentAndOnlyOnce() throws {
    let loan = try Loan()
    #expect(loan.borrow() == nil)
    #expect(loan.port.missedBorrows == 1)
    #expect(loan.port.becomeIdle(untilNanoseconds: .max))
    let back = loan.borrow { _ in
      #expect(!loan.port.isIdle)
      #expect(loan.borrow() == nil, "two threads drive one context")
    }
    #expect(back == .asleep && loan.port.isIdle && loan.port.kicks == 0 && loan.port.borrows == 1)
    var known: UInt64 = 0
    #expect(loan.takeBack(&known).isOurs)
    #expect(loan.borrow() == nil)
    loan.core.destroy()
  }

  @Test func PCB_POST_whatIsPostedToABorrowerIsRunByItOrByTheContext() throws {
    let loan = try Loan()
    let items = loan.slots.make(1...2)
    #expect(loan.port.becomeIdle(untilNanoseconds: .max))
    let back = loan.borrow { _ in
      loan.port.post(items[0])
      #expect(loan.port.kicks == 0, "the borrower is awake")
      var taken = loan.port.takeAll()
      #expect(taken.takeValues() == [1])
      loan.port.post(items[1])
    }
    #expect(back == .handedOver && loan.port.kicks == 1)
    var known: UInt64 = 0
    #expect(loan.takeBack(&known).isOurs)
    var taken = loan.port.takeAll()
    #expect(taken.takeValues() == [2])
    loan.slots.giveBack(items)
    loan.core.destroy()
  }

  @Test func RX_MISSED_aBorrowerThatSleepsIsWokenByPostsAndByItsOwnToken() throws {
    let loan = try Loan()
    let items = loan.slots.make(1...1)
    let parker = Parker(driving: loan.port)
    #expect(loan.port.becomeIdle(untilNanoseconds: .max))
    let back = loan.borrow { root in
      loan.port.post(items[0])
      #expect(!root.sleepAsBorrower(parker, untilNanoseconds: .max) {}, "there is something to do")
      loan.drain()
      parker.unpark()
      #expect(!root.sleepAsBorrower(parker, untilNanoseconds: .max) {}, "its token is there")
      let other = Parker(driving: loan.port)
      #expect(root.sleepAsBorrower(other, untilNanoseconds: 1) {}, "a deadline that has passed ends it")
      let isSignalled = other.isSignalled
      #expect(!isSignalled)
    }
    #expect(back == .asleep && loan.port.kicks == 0)
    loan.slots.giveBack(items)
    loan.core.destroy()
  }

  @Test func T1_theContextIsWokenIfItWouldSleepBeyondABorrowersDeadline() throws {
    let loan = try Loan()
    #expect(loan.port.becomeIdle(untilNanoseconds: 1000))
    #expect(loan.borrow(deadline: 1000) == .asleep)
    #expect(loan.borrow(deadline: 999) == .handedOver && loan.port.kicks == 1)
    loan.core.destroy()
  }

  @Test func aContextThatWakesWhileItIsLentIsOwedAWakeUp() throws {
    let loan = try Loan()
    #expect(loan.port.becomeIdle(untilNanoseconds: .max))
    var known: UInt64 = 0
    let back = loan.borrow { _ in
      let look = loan.takeBack(&known)
      #expect(!look.isOurs && !look.mustLook, "it sleeps until it is woken")
    }
    #expect(back == .handedOver && loan.port.kicks == 1)
    #expect(loan.takeBack(isPatient: true, &known).isOurs)
    loan.core.destroy()
  }

  @Test func aContextWithDescriptorsLooksWhetherItsBorrowerComesAgain() throws {
    let core = try makeContext()
    let port = core.port
    var (known, mustLook): (UInt64, Bool) = (0, false)
    let visit = { (isWatched: Bool) in
      withBorrowedRoot(core, isWaiting: true) { _ in
        #expect(!port.takeBack(isPatient: false, known: &known, mustLook: &mustLook) && mustLook)
        return LoanEnd(deadline: 5, isUrgent: false, isWatched: isWatched)
      }
    }
    #expect(port.becomeIdle(untilNanoseconds: .max))
    #expect(visit(false) == .asleep, "it looks again by itself, also at deadlines")
    known = 0
    #expect(!port.takeBack(isPatient: true, known: &known, mustLook: &mustLook) && mustLook, "one came")
    #expect(port.takeBack(isPatient: true, known: &known, mustLook: &mustLook), "and none since")
    #expect(port.becomeIdle(untilNanoseconds: .max))
    #expect(visit(true) == .handedOver, "somebody else depends on the descriptors")
    core.destroy()
  }
}
