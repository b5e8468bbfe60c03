package import Exclusion
package import Sockets

/// The course of one operation between its sleeps: PROTOCOLS 2 inside the turn of PROTOCOLS 3. It never sleeps
/// itself; whoever drives it parks a thread or suspends a task when it says so, and tells it how that ended.
package struct WaitMachine<Running: Operation> {
  /// What the driver does next.
  package enum Step {
    /// The operation has ended, and the turn is passed.
    case finished(Result<Running.Value, SocketError>)
    /// Sleep until the target is woken. If not `isCancellable`, the wake-up is on its way already, or sure to
    /// come, and has to be taken: neither a cancellation nor a deadline ends the sleep.
    case sleep(isCancellable: Bool)
  }

  private enum Phase {
    case beginning
    /// In the queue for the turn.
    case queued(Turn.TurnTicket)
    /// Left the queue too late: the turn is ours when the wake-up comes, and goes on at once.
    case passing
    /// Published at the waiter, holding the turn.
    case waiting(Waiter.Ticket)
    case ended
  }

  private let target: WakeTarget
  private var phase = Phase.beginning
  /// Why the operation gives up if its last try finds nothing.
  private var interruption: SocketError?

  /// `target` wakes the driver.
  package init(waking target: WakeTarget) { self.target = target }

  /// Takes the turn and tries. First, once. Application context, nothing held.
  package mutating func begin(_ operation: inout Running) -> Step {
    if isForkedChild() {
      phase = .ended
      return .finished(.failure(.networkDown))
    }
    let turn = withApplication { held in operation.point.turn.take(target, &held) }
    switch turn {
    case .taken: return proceed(&operation, wasWoken: false)
    case .queued(let ticket):
      phase = .queued(ticket)
      return .sleep(isCancellable: operation.isCancellable)
    }
  }

  /// The sleep ended with the wake-up.
  package mutating func woken(_ operation: inout Running) -> Step {
    switch phase {
    case .queued: return proceed(&operation, wasWoken: false)
    case .passing: return end(.failure(interruption ?? .cancelled), operation)
    case .waiting(let ticket):
      let point = operation.point
      point.waiter.finish(ticket)
      point.account.counters.delivered.increment()
      return proceed(&operation, wasWoken: true)
    case .beginning, .ended: preconditionFailure("SB-ATOMIC: a wake-up for an operation that does not wait")
    }
  }

  /// The sleep ended because the task was cancelled, or because of the deadline. A turn or a wake-up that was
  /// granted meanwhile is taken first and passed on (W12): whoever gets the turn next tries before it waits.
  package mutating func interrupted(by error: SocketError, _ operation: inout Running) -> Step {
    switch phase {
    case .queued(let ticket):
      if withApplication({ held in operation.point.turn.cancel(ticket, &held) }) {
        phase = .ended
        return .finished(.failure(error))
      }
      interruption = error
      phase = .passing
      #if Explore
        if Mutation.cancelledTurnNotPassed.isOn {
          phase = .ended
          return .finished(.failure(error))
        }
      #endif
      return .sleep(isCancellable: false)
    case .waiting(let ticket):
      if operation.point.waiter.retract(ticket) { return end(.failure(error), operation) }
      // There is something to be had, claimed for us: the last try takes it, or leaves it to the next one.
      interruption = error
      return .sleep(isCancellable: false)
    case .beginning, .passing, .ended: preconditionFailure("SB-ATOMIC: interrupted outside of a sleep")
    }
  }

  /// Owner of the turn: tries until the operation ends or has to wait.
  private mutating func proceed(_ operation: inout Running, wasWoken: Bool) -> Step {
    var wasWoken = wasWoken
    while true {
      switch operation.attempt() {
      case .finished(let result): return end(result, operation)
      case .wouldBlock(let need, let progressed):
        let point = operation.point
        if wasWoken, !progressed { point.account.counters.wasted.increment() }
        wasWoken = false
        if let interruption { return end(.failure(interruption), operation) }
        let ticket = point.waiter.publish(need: need, target)
        phase = .waiting(ticket)
        #if Explore
          if Mutation.waiterWithoutRecheck.isOn { return .sleep(isCancellable: operation.isCancellable) }
        #endif
        // Looked at again after the publication: data, end, error or close may have come between (W6).
        guard operation.isReady(need: need) else { return .sleep(isCancellable: operation.isCancellable) }
        if !point.waiter.retract(ticket) { return .sleep(isCancellable: false) }
      }
    }
  }

  private mutating func end(_ result: Result<Running.Value, SocketError>, _ operation: Running) -> Step {
    phase = .ended
    withApplication { held in operation.point.turn.pass(&held) }
    return .finished(result)
  }
}

#if Explore
  extension Mutation {
    /// Sleeps without looking again at what came between the try and the publication.
    static let waiterWithoutRecheck = Mutation("waiterWithoutRecheck")
    /// Leaves with a turn that was granted meanwhile.
    static let cancelledTurnNotPassed = Mutation("cancelledTurnNotPassed")
  }
#endif
