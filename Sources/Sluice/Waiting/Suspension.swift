internal import Exclusion

/// What a waiting task sleeps on, as a `Parker` is for a thread. Its wake-up is a token: one that comes before
/// the sleep is not lost.
@safe final class Suspension: @unchecked Sendable {  // the continuation is handed over by `word`
  private enum Bits {
    /// The wake-up came and was not taken yet.
    static let signalled: UInt64 = 1
    /// The task was cancelled; it stays so.
    static let cancelled: UInt64 = 2
    /// The continuation is there; who clears this bit resumes it.
    static let sleeping: UInt64 = 4
    /// The sleeper wants to know of cancellation and of its deadline.
    static let isCancellable: UInt64 = 8
    /// The deadline has passed; it stays so.
    static let expired: UInt64 = 16
  }
  private let word = AtomicWord(0)
  /// Written by the sleeper before `sleeping` is set, taken by who clears it.
  private var continuation: Sleeper?

  /// Why a sleep ended.
  enum Awakening { case woken, cancelled, expired }

  /// Wakes the sleeper. This object must live until the wake-up was delivered or retracted.
  var target: WakeTarget {
    unsafe WakeTarget(
      function: { context in
        // Retained while it works: the sleeper may go on, and let go, before this returns.
        unsafe Unmanaged<Suspension>.fromOpaque(context).takeUnretainedValue().raise(Bits.signalled)
      }, context: Unmanaged.passUnretained(self).toOpaque())
  }

  /// Tells the sleeper that its deadline has passed. Whoever keeps it keeps this object.
  var expiryTarget: WakeTarget {
    unsafe WakeTarget(
      function: { context in
        unsafe Unmanaged<Suspension>.fromOpaque(context).takeUnretainedValue().raise(Bits.expired)
      }, context: Unmanaged.passUnretained(self).toOpaque())
  }

  private func raise(_ bit: UInt64) {
    var seen = word.load()
    while true {
      let ends = seen & Bits.sleeping != 0 && (bit == Bits.signalled || seen & Bits.isCancellable != 0)
      let after = ends ? (seen | bit) & ~(Bits.sleeping | Bits.isCancellable) : seen | bit
      guard word.compareExchange(&seen, after) else { continue }
      if ends {
        let sleeper = continuation.take()
        sleeper?.resume()
      }
      return
    }
  }

  /// Suspends the task until the wake-up, or, if `isCancellable`, until its cancellation or its deadline. A
  /// wake-up that is there wins. One task at a time, nothing held.
  nonisolated(nonsending) func sleep(isCancellable: Bool) async -> Awakening {
    if word.load() & Bits.signalled == 0 {
      if isCancellable {
        await withTaskCancellationHandler {
          await suspend(Bits.sleeping | Bits.isCancellable)
        } onCancel: {
          raise(Bits.cancelled)
        }
      } else {
        await suspend(Bits.sleeping)
      }
    }
    let seen = word.load()
    guard seen & Bits.signalled != 0 else { return seen & Bits.cancelled != 0 ? .cancelled : .expired }
    word.formAnd(~Bits.signalled)
    return .woken
  }

  nonisolated(nonsending) private func suspend(_ bits: UInt64) async {
    await Sleeper.suspend { enter($0, bits) }
  }

  private func enter(_ sleeper: Sleeper, _ bits: UInt64) {
    continuation = sleeper
    let reasons = Bits.signalled | (bits & Bits.isCancellable != 0 ? Bits.cancelled | Bits.expired : 0)
    var seen = word.load()
    while seen & reasons == 0 {
      if word.compareExchange(&seen, seen | bits) { return }
    }
    continuation = nil
    sleeper.resume()
  }
}

/// A suspended task: checked in debug builds, for it costs twice as much.
@safe private struct Sleeper {
  #if DEBUG
    private let continuation: CheckedContinuation<Void, Never>
    private init(_ continuation: CheckedContinuation<Void, Never>) { self.continuation = continuation }

    func resume() { continuation.resume() }
    nonisolated(nonsending) static func suspend(_ body: (Sleeper) -> Void) async {
      await withCheckedContinuation { body(Sleeper($0)) }
    }
  #else
    private let continuation: UnsafeContinuation<Void, Never>
    private init(_ continuation: UnsafeContinuation<Void, Never>) { unsafe self.continuation = continuation }

    func resume() { unsafe continuation.resume() }
    nonisolated(nonsending) static func suspend(_ body: (Sleeper) -> Void) async {
      await unsafe withUnsafeContinuation { body(unsafe Sleeper($0)) }
    }
  #endif
}
