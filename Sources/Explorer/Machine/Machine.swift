#if Explore
  import Exclusion

  /// Runs the threads of one program, one at a time, each on a fiber, and lets a ``Chooser`` say who goes on at each
  /// operation on shared memory. A schedule is a run from the beginning: Swift closures cannot be copied half way.
  final class Machine {
    /// Choices below this step that thread; this + t shows thread t's oldest buffered store to everyone.
    static let flush = 32
    /// The choice that lets time pass up to the next deadline.
    static let time = 63
    /// When every schedule begins, in nanoseconds.
    static let dawn: UInt64 = 1_000_000_000
    /// How long nothing but timers may happen before it counts as sleep for ever, in nanoseconds.
    static let patience: UInt64 = 3_600_000_000_000

    var threads: [VirtualThread] = []
    var live = 0
    /// -1 while the scheduler itself runs.
    var current = -1
    private var next = 0
    /// Threads that could take a step; those that gave way to the others; those with stores that nobody saw.
    private var ready: UInt64 = 0
    private var yielded: UInt64 = 0
    var buffered: UInt64 = 0

    var now: UInt64 = 0
    /// When a thread last did something that was not a timer's doing.
    private var lastProgress: UInt64 = 0
    var steps = 0
    var stepLimit = 1_000_000
    var hasStoreBuffers = false
    var timePasses = false
    /// Whether the chooser is asked: between the set-up and the end.
    var isExploring = false
    private var chooser: any Chooser = StraightOn()
    private(set) var verdict: Verdict?

    var shadow = Shadow()
    var arena = Arena()
    var fences = VectorClock()
    var descriptors: [(isReadable: Bool, clock: VectorClock)] = []
    var trace: Trace?
    /// Shared words outside the arena were touched: states cannot be told from each other.
    var touchedOutside = false
    /// What the program adds to a state that is not in the arena.
    var digest: (() -> UInt64)?

    init() {
      Fiber.catchTraps()
    }

    var running: VirtualThread { threads[current] }

    // MARK: One schedule

    /// Runs `body` and the threads that it starts, under the choices of `chooser`. Nil: nothing was wrong.
    func run(_ chooser: any Chooser, trace: Trace? = nil, _ body: @escaping () -> Void) -> Verdict? {
      self.chooser = chooser
      self.trace = trace
      reset()
      _ = begin("main", body)
      unsafe virtualMachine = self
      next = 0
      while verdict == nil {
        current = next
        let signal = threads[current].fiber.resume()
        let ran = current
        current = -1
        if signal != 0 {
          let thread = threads[ran]
          fail(Verdict(.trap, "\(thread.name) trapped (signal \(signal)) after its \(thread.operation.name)"))
        }
        if threads[0].isFinished { break }
      }
      ThreadWords().install()
      unsafe virtualMachine = nil
      isExploring = false
      digest = nil
      if verdict == nil { judgeEnd() }
      return verdict
    }

    private func reset() {
      for thread in threads where !thread.isFinished { thread.isFinished = true }
      live = 0
      current = -1
      (ready, yielded, buffered) = (0, 0, 0)
      (now, lastProgress, steps) = (Self.dawn, Self.dawn, 0)
      isExploring = false
      verdict = nil
      shadow.reset()
      arena.reset()
      fences = VectorClock()
      descriptors.removeAll(keepingCapacity: true)
      touchedOutside = false
      digest = nil
    }

    private func judgeEnd() {
      let left = threads[..<live].filter { !$0.isFinished }
      if !left.isEmpty {
        verdict = Verdict(
          .leak, "threads are left: " + left.map { describe($0) }.joined(separator: ", "))
      } else if arena.liveBlocks != 0 {
        verdict = Verdict(
          .leak, "\(arena.liveBlocks) blocks of shared memory were never freed: \(arena.liveSizes) bytes")
      }
    }

    private func begin(_ name: String, _ body: @escaping () -> Void) -> VirtualThread {
      precondition(live < VectorClock.threads, "a program may have \(VectorClock.threads) threads")
      if live == threads.count { threads.append(VirtualThread(number: live)) }
      let thread = threads[live]
      live += 1
      thread.begin(name)
      ready |= 1 << UInt64(thread.number)
      thread.body = body
      thread.fiber.prepare { [unowned self] in
        thread.words.install()
        Self.runBody(of: thread)
        end(thread)
      }
      return thread
    }
    /// What the body captured is let go of before the thread ends, on the thread itself.
    @inline(never) private static func runBody(of thread: VirtualThread) {
      let body = thread.body.take()
      body?()
    }

    /// Starts a thread from a running one, which it happens after.
    func start(_ name: String, _ body: @escaping () -> Void) -> VirtualThread {
      let parent = running
      let thread = begin(name, body)
      thread.clock.join(parent.clock)
      parent.clock[parent.number] += 1
      trace?.note(self, "starts \(name)")
      return thread
    }

    /// The running thread's body has returned.
    private func end(_ thread: VirtualThread) {
      drain(thread)
      thread.isFinished = true
      ready &= ~(1 << UInt64(thread.number))
      for other in threads[..<live] where other.sleep == .thread(thread.number) {
        other.clock.join(thread.clock)
        wake(other)
      }
      if thread.number != 0 { handOn() }
    }

    // MARK: Turns

    /// The running thread is about to do something that others can see. Returns when it is its turn.
    @inline(__always) func point(_ kind: OperationKind, _ address: UInt) {
      let me = running
      me.operation = kind
      me.address = address
      steps += 1
      yielded = 0
      if isExploring { decide(me) }
    }

    @inline(never) private func decide(_ me: VirtualThread) {
      if steps > stepLimit { return fail(Verdict(.endless, "no end after \(steps) steps: \(everyone)")) }
      while true {
        let choice = choose(me.number)
        if choice == me.number { return }
        if choice < Self.flush { return change(to: choice) }
        perform(choice)
      }
    }

    private func choose(_ last: Int) -> Int {
      let choices = enabled
      // One choice is no choice; with none everyone sleeps, which the caller sees to.
      if choices & (choices - 1) == 0 { return choices.trailingZeroBitCount }
      return chooser.choose(among: choices, last: last, self)
    }

    /// What may happen next: threads, buffered stores, time.
    private var enabled: UInt64 {
      var result = ready & ~yielded
      if result == 0 { result = ready }
      if isExploring {
        result |= buffered << UInt64(Self.flush)
        if timePasses, nextDeadline != nil { result |= 1 << UInt64(Self.time) }
      }
      return result
    }

    private func perform(_ choice: Int) {
      if choice == Self.time {
        _ = passTime()
      } else {
        showOldest(threads[choice - Self.flush])
      }
    }

    private func change(to thread: Int) {
      guard current >= 0 else { return }
      let me = running
      me.words = ThreadWords(ofCaller: ())
      next = thread
      me.fiber.suspend()
      me.words.install()
    }

    /// The running thread cannot go on: somebody else does.
    private func handOn() {
      while true {
        if ready == 0 && buffered == 0 {
          if let waiting = threads[..<live].first(where: { $0.sleep == .quiet }) {
            wake(waiting)
            continue
          }
          guard passTime() else { return fail(Verdict(.stuck, "everyone sleeps: \(everyone)")) }
          continue
        }
        let choice = isExploring ? choose(current) : roundRobin()
        if choice < Self.flush { return change(to: choice) }
        perform(choice)
      }
    }

    /// Outside the exploration: the next thread after the running one that can go on.
    private func roundRobin() -> Int {
      if ready == 0 {
        for thread in threads[..<live] where !thread.buffer.isEmpty { return Self.flush + thread.number }
      }
      let choices = ready & ~yielded == 0 ? ready : ready & ~yielded
      let above = choices & ~((2 << UInt64(current)) &- 1)
      return (above != 0 ? above : choices).trailingZeroBitCount
    }

    /// Ends the schedule here. On a virtual thread it does not return.
    func fail(_ verdict: Verdict) {
      if self.verdict == nil { self.verdict = verdict }
      if current >= 0 { running.fiber.suspend() }
    }

    // MARK: Sleep

    /// The running thread sleeps until somebody wakes it, or the deadline. False: the deadline came first.
    func sleep(_ sleep: Sleep, until deadline: UInt64?) -> Bool {
      let me = running
      drain(me)  // a call of the system is a barrier
      me.sleep = sleep
      me.deadline = deadline
      me.timedOut = false
      ready &= ~(1 << UInt64(me.number))
      trace?.note(self, "sleeps: \(sleep.name)")
      handOn()
      me.deadline = nil
      trace?.note(self, me.timedOut ? "wakes up by time" : "wakes up")
      me.learn(me.timedOut ? 1 : 0)
      return !me.timedOut
    }
    func wake(_ thread: VirtualThread) {
      thread.sleep = nil
      ready |= 1 << UInt64(thread.number)
      lastProgress = now
    }
    /// The running thread lets the others go first.
    func giveWay() { _ = giveWayOrTime(isWaiting: false) }

    /// The same. `isWaiting`: it can do nothing before somebody else has; if nobody can, time passes. False: not even
    /// time can help.
    func giveWayOrTime(isWaiting: Bool) -> Bool {
      let me = running
      drain(me)
      me.operation = .yield
      steps += 1
      yielded |= 1 << UInt64(me.number)
      if steps > stepLimit { fail(Verdict(.endless, "no end after \(steps) steps: \(everyone)")) }
      // Everyone gave way: the others begin anew.
      if ready & ~yielded == 0 { yielded = 1 << UInt64(me.number) }
      if ready & ~yielded != 0 {
        handOn()
        return true
      }
      return !isWaiting || buffered != 0 || passTime()
    }
    /// The running thread waits for what nobody will ever do.
    func waitsInVain() {
      fail(Verdict(.stuck, "\(running.name) waits, and everyone sleeps: \(everyone)"))
    }

    private var nextDeadline: UInt64? {
      var earliest: UInt64?
      for thread in threads[..<live] where thread.sleep != nil {
        if let deadline = thread.deadline, deadline < earliest ?? .max { earliest = deadline }
      }
      return earliest
    }
    /// Moves time to the next deadline. False: there is none, or nothing but timers happened for too long.
    private func passTime() -> Bool {
      guard let deadline = nextDeadline else { return false }
      now = max(now, deadline)
      guard now - lastProgress < Self.patience else { return false }
      let progress = lastProgress
      for thread in threads[..<live] where thread.sleep != nil {
        if let deadline = thread.deadline, deadline <= now {
          thread.timedOut = true
          wake(thread)
        }
      }
      lastProgress = progress
      trace?.note("time is \(Double(now - Self.dawn) / 1e6) ms")
      return true
    }

    // MARK: For people

    private var everyone: String {
      threads[..<live].filter { !$0.isFinished }.map { describe($0) }.joined(separator: ", ")
    }
    private func describe(_ thread: VirtualThread) -> String {
      if let sleep = thread.sleep {
        return "\(thread.name) sleeps for \(sleep.name)"
      }
      return "\(thread.name) is at \(thread.operation.name)"
    }

    // MARK: States

    /// Everything that decides what can happen from here on, as a number.
    func state() -> UInt64 {
      var result = mixed(arena.digest(), now)
      for thread in threads[..<live] {
        var local = mixed(thread.history, UInt64(thread.address))
        local = mixed(local, UInt64(thread.operation.rawValue) << 8 | (thread.isFinished ? 1 : 0))
        local = mixed(local, thread.sleep == nil ? 0 : 1)
        for store in thread.buffer {
          local = mixed(local, mixed(unsafe UInt64(UInt(bitPattern: store.place.raw)), store.value))
        }
        result = mixed(result, local)
      }
      for descriptor in descriptors { result = mixed(result, descriptor.isReadable ? 1 : 2) }
      return mixed(result, digest?() ?? 0)
    }
  }

  /// Who says what happens next.
  protocol Chooser: AnyObject {
    /// One bit of `among`, which has more than one. `last` is the thread that ran last.
    func choose(among: UInt64, last: Int, _ machine: Machine) -> Int
  }

  /// Stays with who runs, as long as it can: no interleaving at all.
  final class StraightOn: Chooser {
    func choose(among choices: UInt64, last: Int, _ machine: Machine) -> Int {
      choices >> UInt64(last) & 1 != 0 ? last : choices.trailingZeroBitCount
    }
  }
#endif
