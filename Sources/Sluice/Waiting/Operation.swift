package import Sockets

/// How one try of a call ended.
package enum Attempt<Value> {
  /// With its result.
  case finished(Result<Value, SocketError>)
  /// Not yet. `need` is what it waits for, in the units of its wait point; `progressed` says whether this try
  /// did something all the same, so that the wake-up before it was not a waste (SB-EXACT).
  case wouldBlock(need: UInt32, progressed: Bool)
}

/// A call that may have to wait, taken apart into a try that never waits and the place to wait at. Threads and
/// tasks run the same operations through the same ``WaitMachine``.
package protocol Operation {
  associatedtype Value

  /// Where to wait, and whose turn it is.
  var point: WaitPoint { get }
  /// Whether a cancelled task stops waiting. An operation that a context is sure to answer soon is seen to
  /// its end instead, so that its answer is not lost.
  var isCancellable: Bool { get }
  /// The context that a thread may drive while it waits; nil: it sleeps.
  var attendance: Attendance? { get }
  /// Tries. The holder of the turn only.
  mutating func attempt() -> Attempt<Value>
  /// Whether a try with this need would not end in `wouldBlock`: the operation's own failure condition (W4).
  func isReady(need: UInt32) -> Bool
}

extension Operation {
  package var isCancellable: Bool { true }
  package var attendance: Attendance? { nil }
}
