import Exclusion
import Glibc
import Sluice
import SoftInterrupts
import Timing

/// Timers at the clock level of one context, and how late each fired. They fire every ten milliseconds, each at its
/// own; one that is late still has its next deadline where it would have been, so that a delay of many periods
/// counts as often as it hurt.
@safe
// Unchecked: its context writes until the stack has stopped, then it is read.
final class TimerProbe: @unchecked Sendable {
  private static var kind: UInt8 { 30 }
  private static var count: Int { 16 }
  private static var period: UInt64 { 10_000_000 }
  private static var capacity: Int { 1 << 20 }

  private let memory: UnsafeMutableRawPointer
  private let samples: UnsafeMutablePointer<UInt32>
  private var used = 0
  private let clock = RealClock()

  init() {
    unsafe memory = .allocate(byteCount: 64 * Self.count, alignment: 64)
    unsafe samples = .allocate(capacity: Self.capacity)
  }
  deinit {
    unsafe memory.deallocate()
    unsafe samples.deallocate()
  }

  /// Before the stack starts.
  func register(with stack: Stack) {
    stack.contexts.handlers.registerTimer(Self.kind) { timer, cx in
      guard let owner = unsafe UnsafeRawPointer(bitPattern: timer.owner) else { return }
      unsafe Unmanaged<TimerProbe>.fromOpaque(owner)._withUnsafeGuaranteedRef { $0.fired(timer, &cx) }
    }
  }

  /// Arms the timers on context 0, on whole milliseconds, as a wheel has them.
  func arm(on stack: Stack) {
    let owner = unsafe UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque())
    stack.contexts.perform(on: 0) { [self] cx in
      let start = (cx.now.nanoseconds / 1_000_000 + 5) * 1_000_000
      for number in 0..<Self.count {
        let timer = unsafe TimerRef.initialize(at: memory + number * 64, kind: Self.kind, owner: owner)
        let deadline = start + UInt64(number) * Self.period / UInt64(Self.count) / 1_000_000 * 1_000_000
        cx.arm(timer, at: Instant(nanoseconds: deadline))
      }
    }
  }

  /// Disarms them, so that the stack can end.
  func disarm(on stack: Stack) {
    stack.contexts.perform(on: 0) { [self] cx in
      for number in 0..<Self.count {
        unsafe cx.cancel(TimerRef((memory + number * 64).assumingMemoryBound(to: TimerNode.self)))
      }
    }
  }

  private func fired(_ timer: TimerRef, _ cx: inout SoftInterrupt) {
    let late = (clock.now() - timer.deadline).count
    if used < Self.capacity {
      unsafe samples[used] = UInt32(clamping: late)
      used += 1
    }
    cx.arm(timer, at: timer.deadline.adding(nanoseconds: Self.period))
  }

  /// Latenesses in seconds, sorted. After the stack has stopped.
  func sorted() -> [Double] { (0..<used).map { unsafe Double(samples[$0]) / 1e9 }.sorted() }
}
