// The contexts of one stack: assembled, then run on threads or stepped by hand.

public import Buffers
public import Devices
public import Exclusion
public import Timing

/// All contexts of a stack. Assembled by one thread (`register…`, `addDevice`), then started once and
/// stopped once; what is posted before the start runs after it.
@safe
public final class ContextSet: @unchecked Sendable {  // assembly is single-threaded; contexts own their state
  /// The number of contexts.
  public let count: Int
  /// The number of contexts and their guests, who have numbers from ``count`` on.
  public let coreCount: Int
  /// Grace periods among these contexts and the application threads that pin.
  public let grace: GraceDomain
  /// The clock.
  public let timeSource: any TimeSource
  /// Nanoseconds that threads of this stack spin at most before they sleep.
  public let spinLimit: UInt64
  /// Who runs what. Filled before ``start()``.
  public var handlers = Handlers()

  /// The token of a context's own event descriptor.
  static var portToken: UInt32 { .max }
  /// What the poller tells a resident's descriptor by.
  static var residentToken: UInt32 { .max - 1 }

  private let states: UnsafeMutablePointer<ContextState>
  private let batches: UnsafeMutablePointer<TransmitBatch>
  private let cores: UnsafeMutablePointer<ContextCoreRef>
  private let pools: UnsafeMutablePointer<PacketPool>
  private var counterSets: [ContextCounters] = []
  /// How many cores were made: all, unless the initialiser throws.
  private var made = 0
  /// The contexts' handlers, once they have started.
  private var table = HandlerTable(Handlers())
  private var pollers: [(any DevicePoller)?] = []
  private var signals: [ReceiveSignalRef] = []
  private var queues: [(interface: Int, queue: TransmitQueueRef)] = []
  private var lanes: [SteeringLaneRef] = []
  private var threads: [WorkerThread] = []
  private var isStarted = false
  /// (c) once the contexts have started: somebody steps them by hand, instead of threads of their own.
  var isStepped = false

  /// Makes the contexts, at rest. Throws what `makePoller` throws, or ``SystemFailure`` when the system gives
  /// no event descriptor.
  public init(_ configuration: ContextConfiguration) throws {
    precondition((1...64).contains(configuration.contexts), "1 to 64 contexts")
    precondition((0...1).contains(configuration.guests), "no guest, or one for each context")
    count = configuration.contexts
    coreCount = count * (1 + configuration.guests)
    timeSource = configuration.timeSource
    spinLimit = configuration.spinLimit
    grace = GraceDomain(contexts: coreCount)
    var budgets = configuration.budgets
    budgets.turn = min(max(budgets.turn, 1), 256)
    unsafe states = .allocate(capacity: coreCount)
    unsafe batches = .allocate(capacity: coreCount)
    unsafe pools = .allocate(capacity: coreCount)
    unsafe cores = .allocate(capacity: coreCount)
    for index in 0..<coreCount {
      let poller = index < count ? try configuration.makePoller?(index) : nil
      let core = try ContextCoreRef.make(
        index: index, host: index % count, kick: poller == nil ? .counted : .descriptor,
        wakeCapacity: min(max(configuration.wakeCapacity, 512), 65536), domain: grace)
      if let poller, let descriptor = core.port.descriptor {
        do {
          try poller.watchKicks(descriptor: descriptor, token: Self.portToken)
        } catch {
          core.destroy()
          throw error
        }
      }
      unsafe (pools + index).initialize(to: PacketPool(limit: configuration.packetLimit, home: core))
      let counters = ContextCounters()
      unsafe (batches + index).initialize(to: TransmitBatch())
      unsafe batches[index].pool = pools[index].ref
      unsafe (states + index).initialize(
        to: ContextState(
          core: core, handlers: .passUnretained(table), time: TimeReader(timeSource), poller: poller,
          pool: pools[index].ref, grace: grace, counterSet: .passUnretained(counters), budgets: budgets,
          now: timeSource.now(),
          wheel: TimingWheel(now: timeSource.now()), spinLimit: spinLimit,
          housekeeping: Housekeeping(patience: configuration.gracePatience), transmitBatch: batches + index))
      core.present = unsafe states[index].now.nanoseconds
      unsafe core.attach(UnsafeMutableRawPointer(states + index), .softInterrupts)
      unsafe core.attach(UnsafeMutableRawPointer(batches + index), .devices)
      unsafe (cores + index).initialize(to: core)
      made += 1
      counterSets.append(counters)
      pollers.append(poller)
    }
    if configuration.steering == .home, count > 1 { makeLanes(configuration.steeringLimit) }
    Housekeeping.register(in: &handlers)
    handlers.register(Handlers.Kind.call, at: .general) { item, cx in ContextCall.run(item, &cx) }
    handlers.register(Handlers.Kind.receiveSignal, at: .net) { _, _ in }
    handlers.register(Handlers.Kind.steeringSignal, at: .net) { _, _ in }
    handlers.register(Handlers.Kind.transmitQueue, at: .net) { item, cx in
      unsafe GateRef<TransmitQueue>(item.raw).resume(budget: 256, &cx)
    }
    // The look at the queues comes at the end of the pass, whatever began it.
    handlers.register(Handlers.Kind.transmitNotice, at: .net) { item, _ in
      TransmitQueueRef.of(notice: item).noticed()
    }
    handlers.registerTimer(Handlers.Timer.transmitWatchdog) { timer, cx in
      cx.transmitWatchdogFired(timer)
    }
  }

  /// A lane for each ordered pair.
  private func makeLanes(_ limit: Int) {
    for source in 0..<count {
      for target in 0..<count {
        guard target != source else {
          unsafe states[source].outgoing.append(nil)
          continue
        }
        let lane = unsafe SteeringLaneRef(
          limit: min(max(limit, 64), 65536), number: states[target].incoming.count, target: port(target))
        lanes.append(lane)
        unsafe states[source].outgoing.append(lane)
        unsafe states[target].incoming.append(IncomingLane(lane: lane))
      }
    }
  }

  /// Where to post work for context `index`; not for a guest.
  public func port(_ index: Int) -> ContextPortRef { core(index).port }
  /// The counters of context or guest `index`.
  public func counters(_ index: Int) -> ContextCounters { counterSets[index] }
  /// The gate and wake-up counters of context or guest `index`.
  public func core(_ index: Int) -> ContextCoreRef {
    precondition(index >= 0 && index < coreCount, "a context that there is not")
    return unsafe cores[index]
  }
  /// The packet pool of context or guest `index`; only its counters may be read from outside.
  public func pool(_ index: Int) -> PacketPoolRef { unsafe pools[index].ref }

  /// Gives a higher layer's private state to context or guest `index`. Before the start.
  public func attach(_ state: UnsafeMutableRawPointer, _ slot: AttachmentSlot, to index: Int) {
    unsafe core(index).attach(state, slot)
  }

  /// Adds a device as interface `interface`: queue i belongs to context i modulo the number of contexts; a
  /// context beyond the device's queues sends through queue (i modulo queues). Before the start.
  /// Returns the transmit queue that each context uses, and each guest: its host's. Throws what the poller throws.
  public func addDevice(
    _ device: any Device, interface: Int, level: Level? = nil,
    transmit configuration: TransmitConfiguration = TransmitConfiguration()
  ) throws -> [TransmitQueueRef] {
    precondition(!isStarted, "devices are added before the start")
    var made: [TransmitQueueRef] = []
    for queue in 0..<device.queueCount {
      let home = queue % count
      let transmit = TransmitQueueRef.make(
        device: device, queue: queue, kind: Handlers.Kind.transmitQueue, notice: Handlers.Kind.transmitNotice,
        timer: Handlers.Timer.transmitWatchdog, isPrivate: device.queueCount >= count, home: port(home),
        configuration)
      let number = unsafe states[home].sources.count
      let signal = ReceiveSignalRef.make(
        kind: Handlers.Kind.receiveSignal, source: UInt32(number), port: port(home))
      device.attach(queue: queue, receive: signal, transmit: transmit)
      if let descriptor = device.descriptor(queue: queue) {
        try pollers[home]?.watch(descriptor: descriptor, token: UInt32(number))
      }
      unsafe states[home].sources.append(
        ReceivePort(
          device: device, queue: queue, hasDescriptor: device.descriptor(queue: queue) != nil,
          interface: interface, signal: signal, counters: device.counters(queue: queue)),
        level: level ?? (device.isSerialLine ? .serial : .net), transmit: transmit)
      unsafe states[home].sourceSignals.append(signal)
      signals.append(signal)
      queues.append((interface, transmit))
      made.append(transmit)
    }
    return (0..<coreCount).map { made[$0 % count % made.count] }
  }

  /// The transmit queues of an interface, in the order of its device's queues. Their counters may be read from any
  /// thread.
  public func transmitQueues(of interface: Int) -> [TransmitQueueRef] {
    queues.filter { $0.interface == interface }.map(\.queue)
  }

  func settle(_ resident: Resident, on index: Int) {
    precondition(!isStarted && index < count, "a resident settles before the start, on a context")
    precondition(unsafe states[index].resident == nil, "a context has one resident")
    unsafe states[index].resident = resident
  }
  func watch(descriptor: Int32, forResidentOf index: Int) throws {
    precondition(!isStarted, "a resident's descriptor is watched before the start")
    precondition(pollers[index] != nil, "contexts that are stepped by hand watch no descriptors")
    try pollers[index]?.watch(descriptor: descriptor, token: Self.residentToken)
    unsafe states[index].isResidentWatched = true
  }
  /// Whether application threads may drive context `index`. Any thread, once the contexts have started.
  func mayBeBorrowed(_ index: Int) -> Bool { unsafe states[index].resident == nil }

  func freezeHandlers() {
    isStarted = true
    table = HandlerTable(handlers)
    // Guests too: what they retire is freed by them.
    for index in 0..<coreCount { unsafe states[index].handlers = .passUnretained(table) }
  }
  func runner(_ index: Int) -> ContextRunner { unsafe ContextRunner(state: states + index) }

  /// Starts one thread for each context. Needs `makePoller`. Throws ``SystemFailure``.
  public func start() throws {
    precondition(!isStarted, "a context set starts once")
    freezeHandlers()
    for index in 0..<count {
      if unsafe !states[index].sources.hasDescriptors, unsafe !states[index].isResidentWatched {
        port(index).sleepWithoutPoller()
      }
      let runner = runner(index)
      threads.append(try WorkerThread(name: "sluice-\(index)") { runner.loop() })
    }
  }

  /// Whether the contexts have threads. For who assembles, starts and stops them.
  public var isRunning: Bool { !threads.isEmpty }

  /// Stops the threads and waits for them: each finishes its pass. Application context, nothing held.
  public func stop() {
    for index in count..<coreCount { core(index).closeToGuests() }
    for index in 0..<threads.count {
      perform(on: index) { cx in unsafe cx.state.pointee.isStopping = true }
    }
    for thread in threads { thread.join() }
    threads.removeAll()
  }

  /// Runs `body` on context `index` at general level (the control context is 0). Any thread; does not wait.
  public func perform(on index: Int, _ body: @escaping @Sendable (inout SoftInterrupt) -> Void) {
    precondition(index < count, "nobody runs what is posted to a guest")
    port(index).post(ContextCall.make(body))
  }

  /// Frees `item` once no reader can still hold it (PCB-GRACE). Any thread; does not wait.
  public func retire(_ item: ItemRef) { port(0).post(ContextCall.retiring(item)) }

  /// Frees what was retired, and drops what was posted and never ran. For the layer whose memory it is, before it
  /// goes: the contexts are stopped, and no reader is left.
  public func reclaimAll() {
    for index in 0..<coreCount {
      let runner = runner(index)
      dropPosted(index, runner.free)
      unsafe states[index].limbo.removeAll(runner.free)
    }
  }
  /// Drops what was posted and never ran, closures included; `free` gets what would have been retired.
  private func dropPosted(_ index: Int, _ free: (ItemRef) -> Void) {
    precondition(threads.isEmpty, "RS-QUIESCE: stop() comes before the last reference goes")
    var posted = port(index).takeAll()
    while let item = posted.popFirst() {
      guard item.kind == Handlers.Kind.call else { continue }
      if let retiring = ContextCall.discard(item) { free(retiring) }
    }
  }

  deinit {
    for index in 0..<made {
      dropPosted(index) { _ in }  // the layer whose it was is gone
      unsafe (states + index).deinitialize(count: 1)
      unsafe (batches + index).deinitialize(count: 1)
    }
    for (_, queue) in queues { queue.destroy() }
    for signal in signals { signal.destroy() }
    for lane in lanes { lane.destroy() }
    unsafe pools.deinitialize(count: made)
    for index in 0..<made { unsafe cores[index].destroy() }
    unsafe cores.deallocate()
    unsafe pools.deallocate()
    unsafe states.deallocate()
    unsafe batches.deallocate()
  }
}
