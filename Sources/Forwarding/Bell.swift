import Exclusion
import SoftInterrupts

/// Rouses who drives a forwarder's loop, and says what for: a thread out of its poller, or a context's resident.
final class Bell: Sendable {
  /// What it was rung for.
  struct Calls: OptionSet, Sendable {
    let rawValue: UInt64
    /// The event queue's waiter was claimed.
    static let events = Calls(rawValue: 1 << 0)
    /// A context has answered.
    static let answer = Calls(rawValue: 1 << 1)
    /// The forwarder stops.
    static let stop = Calls(rawValue: 1 << 2)
    /// The guest asks for a connection.
    static let request = Calls(rawValue: 1 << 3)
  }
  private let kick: KickDescriptor
  private let calls = AtomicWord(0)
  /// (c) Whom to rouse in place of a poller.
  private let resident: Resident?

  init(_ resident: Resident?) throws(SystemFailure) {
    self.resident = resident
    kick = try KickDescriptor()
  }

  /// Readable once it was rung, unless a resident is roused.
  var descriptor: Int32 { kick.descriptor }

  /// Any thread; never waits.
  func ring(_ call: Calls) {
    _ = calls.formOr(call.rawValue)
    if let resident { resident.rouse() } else { kick.kick() }
  }
  /// What it was rung for since the last time. Absorbed before it is looked at: what comes between is told again.
  func take() -> Calls {
    if resident == nil { kick.absorb() }
    // Most of the time a resident is roused by something else.
    return calls.load() == 0 ? [] : Calls(rawValue: calls.exchange(0))
  }

  // A publication has a reference of its own, which its delivery or ``forgetTarget()`` gives back: so a wake-up that is
  // under way when the forwarder stops need not be waited for.

  /// For one publication at the event queue.
  func eventTarget() -> WakeTarget {
    unsafe WakeTarget(
      function: { unsafe Unmanaged<Bell>.fromOpaque($0).takeRetainedValue().ring(.events) },
      context: Unmanaged.passRetained(self).toOpaque())
  }
  /// For one publication at an answer.
  func answerTarget() -> WakeTarget {
    unsafe WakeTarget(
      function: { unsafe Unmanaged<Bell>.fromOpaque($0).takeRetainedValue().ring(.answer) },
      context: Unmanaged.passRetained(self).toOpaque())
  }
  /// For one publication where requests are waited for.
  func requestTarget() -> WakeTarget {
    unsafe WakeTarget(
      function: { unsafe Unmanaged<Bell>.fromOpaque($0).takeRetainedValue().ring(.request) },
      context: Unmanaged.passRetained(self).toOpaque())
  }
  /// A publication was retracted.
  func forgetTarget() { unsafe Unmanaged.passUnretained(self).release() }
}
