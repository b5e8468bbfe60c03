import Exclusion
public import Timing

/// Runs the contexts of one or more stacks by hand on the calling thread, in virtual time, one pass at a
/// time. The code that runs is the code that runs on threads.
@safe
public final class ManualScheduler {
  private let clock: VirtualClock
  /// They keep what the runners run.
  private var sets: [ContextSet] = []
  private let runners: UnsafeMutablePointer<RunnerList>
  /// A pass that always finds more is a loop; no honest test needs as many.
  private static var passLimit: Int { 10_000_000 }

  /// A scheduler that moves `clock`.
  public init(clock: VirtualClock) {
    self.clock = clock
    unsafe runners = .allocate(capacity: 1)
    unsafe runners.initialize(to: RunnerList())
  }
  deinit {
    unsafe runners.deinitialize(count: 1)
    unsafe runners.deallocate()
  }

  /// Adds a stack's contexts, which must not have been started on threads.
  public func add(_ set: ContextSet) {
    set.freezeHandlers()
    set.isStepped = true
    sets.append(set)
    for index in 0..<set.count { unsafe runners.pointee.append(set.runner(index)) }
  }

  /// One pass of one context. True: it has work left.
  @discardableResult
  public func step(_ set: ContextSet, context index: Int) -> Bool {
    let runner = set.runner(index)
    return runner.step() || runner.hasPosted
  }

  /// Passes over all contexts in turn until none has work at this instant. Returns the number of passes.
  @discardableResult
  public func settle() -> Int {
    var passes = 0
    let (first, count) = unsafe (runners.pointee.first, runners.pointee.count)
    // Contexts in a row that had nothing to do: what one has done may be work for those before it.
    var (index, idle) = (0, 0)
    var now = Instant.zero
    while idle < count {
      if index == 0 { now = clock.now() }
      let runner = unsafe first[index]
      index = index + 1 < count ? index + 1 : 0
      idle += 1
      guard runner.hasWork(at: now) else { continue }
      let isMoreLeft = runner.step()
      passes += 1
      idle = isMoreLeft || runner.hasWorkAfterStep ? 0 : 1
      precondition(passes < Self.passLimit, "RX-BUDGET: the contexts never come to rest")
    }
    return passes
  }

  /// The earliest deadline of any context, or nil when nothing is armed.
  public var nextDeadline: Instant? {
    var earliest: Instant?
    for index in unsafe 0..<runners.pointee.count {
      guard let deadline = unsafe runners.pointee.first[index].nextDeadline else { continue }
      earliest = earliest.map { min($0, deadline) } ?? deadline
    }
    return earliest
  }

  /// Settles, then moves time from deadline to deadline until `instant`, settling at each.
  public func run(until instant: Instant) {
    settle()
    while let deadline = nextDeadline, deadline <= instant {
      clock.advance(to: max(deadline, clock.now()))
      settle()
    }
    if clock.now() < instant { clock.advance(to: instant) }
    settle()
  }

  /// Runs for a span of virtual time, in milliseconds.
  public func run(milliseconds: UInt64) { run(until: clock.now().adding(milliseconds: milliseconds)) }

  /// Runs until `condition` holds or `limit` milliseconds have passed. True: it held.
  public func run(limit: UInt64 = 600_000, until condition: () -> Bool) -> Bool {
    let end = clock.now().adding(milliseconds: limit)
    settle()
    while !condition() {
      guard let deadline = nextDeadline, deadline <= end else { return false }
      clock.advance(to: max(deadline, clock.now()))
      settle()
    }
    return true
  }
}

/// The contexts in turn, in memory of their own: a pass over an array would count a reference to it.
@safe private struct RunnerList: ~Copyable {
  private(set) var first: UnsafeMutablePointer<ContextRunner>
  private(set) var count = 0
  private var capacity = 4

  init() { unsafe first = .allocate(capacity: capacity) }
  deinit { unsafe first.deallocate() }

  mutating func append(_ runner: ContextRunner) {
    if count == capacity {
      let larger = UnsafeMutablePointer<ContextRunner>.allocate(capacity: capacity * 2)
      unsafe larger.moveInitialize(from: first, count: count)
      unsafe first.deallocate()
      unsafe first = larger
      capacity *= 2
    }
    unsafe (first + count).initialize(to: runner)
    count += 1
  }
}

extension ContextRunner {
  var hasPosted: Bool { unsafe state.pointee.core.port.hasWork }
  var nextDeadline: Instant? { unsafe state.pointee.wheel.nextDeadline }

  /// One pass. True: it has work left.
  @discardableResult func step() -> Bool {
    withContextStep(unsafe state.pointee.core) { root in pass(&root) }
  }

  /// Whether there is something to do after a pass that has left nothing: it was posted since, or waits for a grace period, or
  /// for the next look at timers.
  @inline(__always) var hasWorkAfterStep: Bool {
    unsafe hasPosted || !state.pointee.limbo.isEmpty || !state.pointee.wheel.isQuiet(at: state.pointee.now)
  }
  /// Whether a pass now would find something to do.
  @inline(__always) func hasWork(at now: Instant) -> Bool {
    if hasPosted { return true }
    if unsafe !state.pointee.wheel.isQuiet(at: now), unsafe state.pointee.wheel.isDue(by: now) { return true }
    if unsafe !state.pointee.limbo.isEmpty { return true }
    return hasWork(.net) || hasWork(.serial) || hasWork(.bio) || hasWork(.general)
  }
}
