internal import Exclusion
package import Sockets
import Timing

// The two ways to see an operation to its end. They differ in how they sleep, and in nothing else.

/// Until when an operation waits, on the stack's clock.
package struct Deadline {
  let layer: SocketLayer
  let instant: Instant

  init(_ layer: SocketLayer, after timeout: Duration) {
    self.layer = layer
    instant = layer.now.adding(nanoseconds: timeout.clampedNanoseconds)
  }
}

extension Duration {
  /// Negative is none, and for ever is some 272 years.
  var clampedNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    return min(seconds, 1 << 33) * 1_000_000_000 + attoseconds / 1_000_000_000
  }
}

/// Runs an operation on the calling thread, which parks while it waits. Nothing held. A wait that goes on beyond
/// the deadline ends with `SocketError.timedOut`; the stack's clock is the machine's.
package func block<Running: Operation>(
  _ operation: inout Running, until deadline: Deadline? = nil
) throws(SocketError) -> Running.Value {
  let attendance = operation.attendance
  let parker = Parker(driving: attendance?.port)
  var machine = WaitMachine<Running>(waking: parker.wakeTarget)
  var step = machine.begin(&operation)
  while true {
    switch step {
    case .finished(let result): return try result.get()
    case .sleep(let isCancellable):
      // A wake-up that is under way is waited for: it has to be taken.
      let end = isCancellable ? deadline?.instant.nanoseconds : nil
      attendance?.wait(parker, untilNanoseconds: end ?? .max)
      let isWoken = sleep(parker, untilNanoseconds: end, operation.point.account)
      step = isWoken ? machine.woken(&operation) : machine.interrupted(by: .timedOut, &operation)
    }
  }
}

/// Takes the wake-up. False: the deadline came first.
private func sleep(
  _ parker: borrowing Parker, untilNanoseconds end: UInt64?, _ account: WakeAccount
) -> Bool {
  var outcome = SpinOutcome.off
  let isWoken = withApplication { held in
    var isWoken = parker.park(untilNanoseconds: end, spinning: account.spinLimit, &outcome, &held)
    while !isWoken, end == nil { isWoken = parker.park(&held) }
    return isWoken
  }
  switch outcome {
  case .found: account.counters.spinsFound.increment()
  case .gaveUp: account.counters.spinsFailed.increment()
  case .off: break
  }
  return isWoken
}

/// Runs an operation in the calling task, which is suspended while it waits; the thread is free meanwhile.
/// Cancelling the task ends a wait with `SocketError.cancelled`, the deadline with `.timedOut`; what would not wait
/// is done all the same.
nonisolated(nonsending) func suspend<Running: Operation>(
  _ operation: inout Running, until deadline: Deadline? = nil
) async throws(SocketError) -> Running.Value {
  let suspension = Suspension()
  defer { withExtendedLifetime(suspension) {} }
  var timer: WakeTimer?
  defer { timer?.cancel() }
  var machine = WaitMachine<Running>(waking: suspension.target)
  var step = machine.begin(&operation)
  while true {
    switch step {
    case .finished(let result): return try result.get()
    case .sleep(let isCancellable):
      if let deadline, isCancellable, timer == nil {
        timer = WakeTimer(
          deadline.layer, at: deadline.instant, suspension.expiryTarget, keeping: suspension)
      }
      switch await suspension.sleep(isCancellable: isCancellable) {
      case .woken: step = machine.woken(&operation)
      case .cancelled: step = machine.interrupted(by: .cancelled, &operation)
      case .expired: step = machine.interrupted(by: .timedOut, &operation)
      }
    }
  }
}
