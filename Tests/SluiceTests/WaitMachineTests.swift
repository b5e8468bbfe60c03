import Exclusion
import Testing

@testable import Sluice
@testable import Sockets

/// The course of one wait, stopped at each point where a cancellation or a deadline can meet it (W12).
@Suite struct WaitMachineTests {
  enum Interruption: CaseIterable {
    case cancelled, timedOut
    var error: SocketError { self == .cancelled ? .cancelled : .timedOut }
  }

  /// Published, and nobody has claimed it.
  @Test(arguments: Interruption.allCases) func W12_interruptedWhileItWaits(by why: Interruption) {
    let tokens = Tokens()
    var (first, second) = (Taker(tokens), Taker(tokens))
    #expect(first.begin() == .sleeps && second.begin() == .sleeps)
    #expect(first.interrupt(why) == .failed(why.error))
    #expect(second.wakes == 1)  // with the turn
    #expect(second.woken() == .sleeps)
    tokens.add()
    #expect(second.wakes == 2 && second.woken() == .took)
    tokens.expectRest()
  }

  /// In the queue for the turn.
  @Test(arguments: Interruption.allCases) func W12_interruptedInTheQueueForTheTurn(by why: Interruption) {
    let tokens = Tokens()
    var (owner, first, second) = (Taker(tokens), Taker(tokens), Taker(tokens))
    #expect(owner.begin() == .sleeps && first.begin() == .sleeps && second.begin() == .sleeps)
    #expect(first.interrupt(why) == .failed(why.error))
    tokens.add()
    #expect(owner.woken() == .took)
    #expect(first.wakes == 0 && second.wakes == 1)
    tokens.add()
    #expect(second.woken() == .took)
    tokens.expectRest()
  }

  /// Granted the turn, and not running yet: it takes the wake-up and passes the turn on, with what is there.
  @Test(arguments: Interruption.allCases) func W12_interruptedWithTheTurnGranted(by why: Interruption) {
    let tokens = Tokens()
    var (owner, first, second) = (Taker(tokens), Taker(tokens), Taker(tokens))
    #expect(owner.begin() == .sleeps && first.begin() == .sleeps && second.begin() == .sleeps)
    tokens.add()
    tokens.add()
    #expect(owner.woken() == .took && first.wakes == 1)
    #expect(first.interrupt(why) == .mustSleep)
    #expect(second.wakes == 0)
    #expect(first.woken() == .failed(why.error))
    #expect(second.wakes == 1 && second.woken() == .took)
    tokens.expectRest()
  }

  /// Claimed, and the wake-up is on its way: what it is for is taken, though the task is cancelled.
  @Test(arguments: Interruption.allCases) func W12_interruptedWithItsWakeUpOnTheWay(by why: Interruption)
    throws
  {
    let tokens = Tokens()
    var (first, second) = (Taker(tokens), Taker(tokens))
    #expect(first.begin() == .sleeps && second.begin() == .sleeps)
    let wakeUp = try #require(tokens.addAndClaim())
    #expect(first.interrupt(why) == .mustSleep)
    #expect(first.wakes == 0)
    withApplication { held in wake(wakeUp, &held) }
    #expect(first.woken() == .took)
    #expect(second.woken() == .sleeps)
    tokens.add()
    #expect(second.woken() == .took)
    tokens.expectRest()
  }

  /// The same, and somebody has taken it without a turn: the operation gives up, and the next one waits.
  @Test(arguments: Interruption.allCases) func W12_interruptedWithAWakeUpForNothing(by why: Interruption)
    throws
  {
    let tokens = Tokens()
    var (first, second) = (Taker(tokens), Taker(tokens))
    #expect(first.begin() == .sleeps && second.begin() == .sleeps)
    let wakeUp = try #require(tokens.addAndClaim())
    #expect(first.interrupt(why) == .mustSleep)
    #expect(tokens.take())
    withApplication { held in wake(wakeUp, &held) }
    #expect(first.woken() == .failed(why.error))
    #expect(tokens.account.counters.wasted.value == 1)
    #expect(second.woken() == .sleeps)
    tokens.add()
    #expect(second.woken() == .took)
    #expect(tokens.isFree)
  }

  /// Delivered, and not running yet: the wake-up is taken first, whatever came after it.
  @Test func W12_aDeliveredWakeUpWins() async throws {
    let suspension = Suspension()
    let task = Task {
      unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
      withApplication { held in wake(suspension.target, &held) }
      return await suspension.sleep(isCancellable: true)
    }
    #expect(await task.value == .woken)
    // Cancelled it stays: the next sleep ends at once, but not one that has to be seen to its end.
    let again = Task {
      unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
      let first = await suspension.sleep(isCancellable: true)
      withApplication { held in wake(suspension.target, &held) }
      return (first, await suspension.sleep(isCancellable: false))
    }
    #expect(await again.value == (.cancelled, .woken))
  }

  /// A deadline that has passed ends a sleep that may end, and only that.
  @Test func anExpiryEndsASleepThatMayEnd() async throws {
    let suspension = Suspension()
    withApplication { held in wake(suspension.expiryTarget, &held) }
    #expect(await suspension.sleep(isCancellable: true) == .expired)
    withApplication { held in wake(suspension.target, &held) }
    #expect(await suspension.sleep(isCancellable: false) == .woken)
  }
}

/// What is waited for in these tests: tokens that somebody adds.
@safe private final class Tokens: @unchecked Sendable {  // the words behind it are atomic
  let pair: UnsafeMutablePointer<WaitPair>
  let account = WakeAccount()
  private let count = AtomicWord(0)

  init() {
    unsafe pair = .allocate(capacity: 1)
    unsafe pair.initialize(to: WaitPair())
  }
  deinit {
    unsafe pair.deinitialize(count: 1)
    unsafe pair.deallocate()
  }
  var point: WaitPoint { unsafe WaitPoint(pair, account) }
  var isFree: Bool { unsafe !pair.pointee.turn.isTaken && !pair.pointee.waiter.isWaiting }
  var any: Bool { count.load() > 0 }

  func addAndClaim() -> WakeTarget? {
    count.add(1)
    return unsafe pair.pointee.waiter.claim(where: { _ in any })
  }
  func add() {
    if let target = addAndClaim() { withApplication { held in wake(target, &held) } }
  }
  func take() -> Bool {
    guard any else { return false }
    count.subtract(1)
    return true
  }
  func expectRest(_ location: SourceLocation = #_sourceLocation) {
    #expect(isFree && !any && account.counters.wasted.value == 0, sourceLocation: location)
  }
}

/// Takes a token, step by step.
@safe private struct Taker {
  struct TakeToken: Operation {
    let tokens: Tokens
    var point: WaitPoint { tokens.point }
    func isReady(need: UInt32) -> Bool { tokens.any }
    mutating func attempt() -> Attempt<Void> {
      tokens.take() ? .finished(.success(())) : .wouldBlock(need: 1, progressed: false)
    }
  }
  enum State: Equatable { case took, failed(SocketError), sleeps, mustSleep }

  private var operation: TakeToken
  private var machine: WaitMachine<TakeToken>
  private let wakeUps = Box(0)
  var wakes: Int { wakeUps.value }

  init(_ tokens: Tokens) {
    operation = TakeToken(tokens: tokens)
    let box = wakeUps
    machine = WaitMachine(
      waking: unsafe WakeTarget(
        function: { context in
          unsafe Unmanaged<Box<Int>>.fromOpaque(context).takeUnretainedValue().update { $0 += 1 }
        }, context: Unmanaged.passUnretained(box).toOpaque()))
  }
  mutating func begin() -> State { state(machine.begin(&operation)) }
  mutating func woken() -> State { state(machine.woken(&operation)) }
  mutating func interrupt(_ why: WaitMachineTests.Interruption) -> State {
    state(machine.interrupted(by: why.error, &operation))
  }
  private func state(_ step: WaitMachine<TakeToken>.Step) -> State {
    switch step {
    case .finished(.success): .took
    case .finished(.failure(let error)): .failed(error)
    case .sleep(let isCancellable): isCancellable ? .sleeps : .mustSleep
    }
  }
}
