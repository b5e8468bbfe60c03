package import Sockets

/// Waits until a context has answered.
struct AwaitAnswer<Value: Sendable>: Operation {
  let answer: Answer<Value>

  var point: WaitPoint { answer.point }
  var isCancellable: Bool { false }
  func isReady(need: UInt32) -> Bool { answer.isReady }
  mutating func attempt() -> Attempt<Value> {
    answer.take().map { .finished(.success($0)) } ?? .wouldBlock(need: 1, progressed: false)
  }
}

extension Answer {
  /// Blocks until it is there. Not for a context's thread; nil if somebody else took it.
  package func wait() -> Value? {
    var operation = AwaitAnswer(answer: self)
    return try? block(&operation)
  }
}
