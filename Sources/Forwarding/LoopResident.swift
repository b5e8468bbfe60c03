import Exclusion
import Sluice
import Sockets
import SoftInterrupts

/// Drives a forwarder's loop on a context's own thread, between its passes: what the guest said is with the host's sockets
/// without a switch of threads, and the other way round.
@safe
final class LoopResident: @unchecked Sendable {  // the context's thread's, but for what says otherwise
  /// (c) Has it run. The contexts keep it, and it keeps this.
  private(set) unowned var resident: Resident!
  private var loop: ForwardLoop?
  /// Who waits for the end.
  private var whenEnded: Answer<Void>?
  /// They keep it.
  private unowned let contexts: ContextSet
  private let index: Int

  /// Settles on a context that has no other, before the contexts start.
  init(on index: Int, of contexts: ContextSet) {
    self.contexts = contexts
    self.index = index
    let resident = Resident(on: index, of: contexts) { [self] in run() }
    self.resident = resident
  }

  /// Drives `loop` from the contexts' start on. Once, before it. Throws what the poller throws.
  func drive(_ loop: ForwardLoop) throws {
    try resident.watch(descriptor: loop.epoll)
    self.loop = loop
    resident.rouse()
  }

  /// Ends the loop, and waits for that. Any thread but a context's, before the contexts stop.
  func stop(_ account: WakeAccount) {
    guard contexts.isRunning else { return end() }
    let answer = Answer<Void>(account)
    contexts.perform(on: index) { [self] _ in
      whenEnded = answer
      resident.rouse()
    }
    _ = answer.wait()
  }
  private func end() {
    loop?.end()
    loop = nil
  }

  /// Whether it is to go on after the next pass.
  private func run() -> Bool {
    if let answer = whenEnded {
      whenEnded = nil
      end()
      contexts.perform(on: index) { cx in answer.complete((), &cx) }
      return false
    }
    guard let loop else { return false }
    return loop.visit(isReadable: resident.takeReadable())
  }
}
