import Exclusion
import Timing

/// Handlers as contexts look them up: constant, and kept by the set of contexts, so that a call counts no reference.
@safe
final class HandlerTable: @unchecked Sendable {  // constant
  final class Item: Sendable {
    let level: Level
    let run: ItemHandler
    init(_ entry: Handlers.Entry) { (level, run) = (entry.level, entry.run) }
  }
  final class Timer: Sendable {
    let fire: TimerHandler
    init(_ fire: @escaping TimerHandler) { self.fire = fire }
  }

  private let items: UnsafeMutablePointer<Unmanaged<Item>?>
  private let timers: UnsafeMutablePointer<Unmanaged<Timer>?>
  private let reclaims: [ReclaimHandler?]
  let receive: ReceiveHandler
  let steered: SteeredHandler

  init(_ handlers: Handlers) {
    unsafe items = .allocate(capacity: Handlers.kinds)
    unsafe timers = .allocate(capacity: Handlers.kinds)
    for kind in 0..<Handlers.kinds {
      unsafe (items + kind).initialize(to: handlers.items[kind].map { unsafe .passRetained(Item($0)) })
      unsafe (timers + kind).initialize(to: handlers.timers[kind].map { unsafe .passRetained(Timer($0)) })
    }
    reclaims = handlers.reclaims
    (receive, steered) = (handlers.receive, handlers.steered)
  }
  deinit {
    for kind in 0..<Handlers.kinds {
      unsafe items[kind]?.release()
      unsafe timers[kind]?.release()
    }
    unsafe items.deallocate()
    unsafe timers.deallocate()
  }

  /// Nil: nobody runs items of this kind.
  @inline(__always) func level(of kind: WorkKind) -> Level? {
    guard kind.rawValue < Handlers.kinds, let item = unsafe items[Int(kind.rawValue)] else { return nil }
    return unsafe item._withUnsafeGuaranteedRef { $0.level }
  }
  /// False: nobody runs items of its kind.
  @inline(__always) func run(_ item: ItemRef, _ cx: inout SoftInterrupt) -> Bool {
    let kind = item.kind
    guard kind.rawValue < Handlers.kinds, let handler = unsafe items[Int(kind.rawValue)] else { return false }
    unsafe handler._withUnsafeGuaranteedRef { $0.run(item, &cx) }
    return true
  }
  /// False: nobody registered timers of this kind.
  @inline(__always) func fire(_ timer: TimerRef, _ cx: inout SoftInterrupt) -> Bool {
    guard timer.kind < Handlers.kinds, let handler = unsafe timers[Int(timer.kind)] else { return false }
    unsafe handler._withUnsafeGuaranteedRef { $0.fire(timer, &cx) }
    return true
  }
  /// Frees a retired item as its kind asks for. False: it is a slot of a pool.
  func reclaim(_ item: ItemRef) -> Bool {
    guard let reclaim = reclaims[Int(item.kind.rawValue)] else { return false }
    reclaim(item)
    return true
  }
}
