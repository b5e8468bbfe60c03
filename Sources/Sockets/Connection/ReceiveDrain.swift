import Exclusion
import SoftInterrupts

extension SocketLayer {
  /// Answers when every packet that a context had received before the call is done (RX-DRAIN): worked on at its
  /// home, and run by whoever owned the connection that it was left at. What comes later does not delay the
  /// answer. Control work: it looks at every connection. Any thread; does not wait.
  public func drainReceived() -> Answer<Void> {
    let answer = Answer<Void>(wakeAccount)
    let left = BarrierCount(contexts.count, answer)
    contexts.afterReceived { index, cx in
      SocketContextRef(cx).shard(index).forEach { connection in
        // A free gate has run all that was left at it; in an occupied one a call comes behind what waits.
        guard !connection.gate.isFree else { return }
        left.add()
        let call = ContextCall.make(kind: SocketKind.call) { cx in left.end(&cx) }
        if connection.gate.submit(call, isSegment: false, &cx) == .closed {
          ContextCall.discard(call)
          left.end(&cx)
        }
      }
      left.end(&cx)
    }
    return answer
  }
}

/// What a drain still waits for: contexts, and calls that were left at gates.
private final class BarrierCount: Sendable {
  private let count: AtomicWord
  private let answer: Answer<Void>

  init(_ contexts: Int, _ answer: Answer<Void>) {
    count = AtomicWord(UInt64(contexts))
    self.answer = answer
  }
  func add() { count.add(1) }
  func end(_ cx: inout SoftInterrupt) { if count.subtract(1) == 1 { answer.complete((), &cx) } }
}
