import Exclusion
import Sockets

// The two ways to see an operation to its end. They differ in how they sleep, and in nothing else.

/// Runs an operation on the calling thread, which parks while it waits. Nothing held.
func block<Running: Operation>(_ operation: inout Running) throws(SocketError) -> Running.Value {
  let parker = Parker()
  var machine = WaitMachine<Running>(waking: parker.wakeTarget)
  var step = machine.begin(&operation)
  while true {
    switch step {
    case .finished(let result): return try result.get()
    case .sleep:
      withApplication { held in
        while !parker.park(&held) {}
      }
      step = machine.woken(&operation)
    }
  }
}

/// Runs an operation in the calling task, which is suspended while it waits; the thread is free meanwhile.
/// Cancelling the task ends a wait with `SocketError.cancelled`; what would not wait is done all the same.
nonisolated(nonsending) func suspend<Running: Operation>(
  _ operation: inout Running
) async throws(SocketError) -> Running.Value {
  let suspension = Suspension()
  defer { withExtendedLifetime(suspension) {} }
  var machine = WaitMachine<Running>(waking: suspension.target)
  var step = machine.begin(&operation)
  while true {
    switch step {
    case .finished(let result): return try result.get()
    case .sleep(let isCancellable):
      switch await suspension.sleep(isCancellable: isCancellable) {
      case .woken: step = machine.woken(&operation)
      case .cancelled: step = machine.cancelled(&operation)
      }
    }
  }
}
