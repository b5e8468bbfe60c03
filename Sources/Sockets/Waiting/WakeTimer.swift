public import Exclusion
import SoftInterrupts
public import Timing

/// The deadline of somebody who waits and has no clock of their own, as a suspended task: wakes a target once, at a
/// moment of the stack's clock, unless it is cancelled before. Keeps what the target points to.
@safe
public final class WakeTimer: @unchecked Sendable {  // the node is its home context's
  private let layer: SocketLayer
  private let home: Int
  private let target: WakeTarget
  private let kept: AnyObject & Sendable
  private let node: UnsafeMutablePointer<TimerNode>

  /// Wakes `target`, which points into `kept`, at `deadline`. Any thread; costs a call to a context.
  public init(
    _ layer: SocketLayer, at deadline: Instant, _ target: WakeTarget, keeping kept: AnyObject & Sendable
  ) {
    self.layer = layer
    home = layer.nextContext()
    self.target = target
    self.kept = kept
    unsafe node = .allocate(capacity: 1)
    let owner = unsafe UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque())
    unsafe node.initialize(to: TimerNode(kind: SocketKind.wakeTimer, owner: owner))
    layer.contexts.perform(on: home) { [self] cx in
      _ = unsafe Unmanaged.passRetained(self)  // as long as it is armed (TM-REF)
      unsafe cx.arm(TimerRef(node), at: deadline)
    }
  }
  deinit { unsafe node.deallocate() }

  /// No longer wanted. A wake-up that is under way still comes. Any thread.
  public func cancel() {
    layer.contexts.perform(on: home) { [self] cx in
      let timer = unsafe TimerRef(node)
      guard timer.isArmed else { return }
      cx.cancel(timer)
      unsafe Unmanaged.passUnretained(self).release()
    }
  }

  /// Clock level: the reference goes with the wake-up.
  static func fired(_ timer: TimerRef, _ cx: inout SoftInterrupt) {
    guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: timer.owner) else { return }
    cx.wake(
      unsafe WakeTarget(
        function: { context in
          let timer = unsafe Unmanaged<WakeTimer>.fromOpaque(context).takeRetainedValue()
          unsafe timer.target.function(timer.target.context)
        }, context: raw))
  }
}
