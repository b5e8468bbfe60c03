import Devices
import Exclusion
import Timing

extension ContextRunner {
  /// How long a context with retired slots sleeps at most, so that they are freed after their grace period.
  private static var limboPeriod: UInt64 { 1_000_000 }
  /// How often the own thread of a context that is lent now and then looks whether it still is.
  private static var lookPeriod: UInt64 { 1_000_000 }

  /// The context's thread: passes while there is work, PROTOCOLS 5 when there is none.
  func loop() {
    withContextRoot(unsafe state.pointee.core) { root in
      root.goOnline()
      while true {
        unsafe state.pointee.mayPutOff = true
        var isMoreLeft = pass(&root)
        // What a resident says goes out at once.
        if unsafe !state.pointee.isStopping, runResident(&root) { isMoreLeft = pass(&root) }
        if unsafe state.pointee.isStopping { break }
        if unsafe isMoreLeft || state.pointee.isResidentDue {
          lookAround()
        } else {
          idle(&root)
        }
      }
      root.goOffline()
    }
  }

  /// A look at the descriptors, so that a busy run queue does not starve the devices. A single link that waits for no
  /// room is read instead: that says as much as its poller would, and is not done twice where there is something. (A
  /// resident's descriptor only the poller tells of, every few times.)
  func lookAround() {
    guard unsafe state.pointee.core.port.sleepsInPoller else { return }
    _ = unsafe state.pointee.sources.takePutOff()
    unsafe state.pointee.looks &+= 1
    if unsafe state.pointee.isResidentWatched && state.pointee.looks & 3 == 0 { return poll() }
    var only: Int?
    for number in unsafe 0..<state.pointee.sources.count {
      guard unsafe state.pointee.sources[number].hasDescriptor,
        unsafe !state.pointee.sources[number].hasFailed
      else { continue }
      if unsafe only != nil || state.pointee.sources[number].isWatchedForRoom { return poll() }
      only = number
    }
    guard let only else { return poll() }
    unsafe state.pointee.sources.setPending(only, true)
  }

  /// A look at the descriptors.
  func poll() {
    guard unsafe state.pointee.core.port.sleepsInPoller, let poller = unsafe state.pointee.poller else {
      return
    }
    let now = unsafe state.pointee.now
    unsafe state.pointee.counters.polls.increment()
    poller.wait(until: now, now: now) { markReady($0) }
  }

  /// Spins for work, as who drives the context; `isOver` ends it too. True: there is something to look at.
  func spin(limit: UInt64, until isOver: () -> Bool) -> Bool {
    let port = unsafe state.pointee.core.port
    let counters = unsafe state.pointee.counters
    let isPolled = port.sleepsInPoller
    var looks = 0
    switch Spin.wait(
      limit: limit,
      {
        if port.hasWork || isOver() { return true }
        looks += 1
        // A system call, now and then.
        guard isPolled, looks & 7 == 0 else { return false }
        poll()
        return unsafe hasWorkLeft || state.pointee.isResidentDue
      })
    {
    case .found:
      if looks > 0 { counters.spinsFound.increment() }
      return true
    case .gaveUp:
      counters.spinsFailed.increment()
      return false
    case .off: return false
    }
  }

  /// Until when the context may sleep.
  func sleepDeadline(_ now: Instant) -> Instant? {
    let deadline = unsafe state.pointee.wheel.nextDeadline
    guard unsafe !state.pointee.limbo.isEmpty else { return deadline }
    let soon = now.adding(nanoseconds: Self.limboPeriod)
    return deadline.map { min($0, soon) } ?? soon
  }

  private func idle(_ root: inout ContextRoot) {
    let port = unsafe state.pointee.core.port
    // The spell is not over: what its last pass, or the resident, left to do comes first.
    if port.hasWork { return lookAround() }
    if takePutOff() { return }
    let missed = port.missedBorrows
    let rest = restSpan(unsafe state.pointee.now)
    // An application thread that would drive this context spins itself, and would find this one awake.
    let isSpinning = unsafe rest == 0 && missed == state.pointee.missedBorrows
    let limit = isSpinning ? unsafe state.pointee.spinLimit : 0
    unsafe state.pointee.missedBorrows = missed
    if spin(limit: limit, until: { false }) {
      // What it found on a link is known already.
      return hasWorkLeft ? () : lookAround()
    }
    let now = unsafe state.pointee.time.now()
    let deadline = rest > 0 ? restDeadline(now, rest) : sleepDeadline(now)
    let counters = unsafe state.pointee.counters
    counters.sleeps.increment()
    // What is constant: once the context is idle, all else may be a borrower's.
    let poller = unsafe state.pointee.poller
    let clock = unsafe state.pointee.time
    var known = port.borrows
    // A borrower looks at everything before it goes.
    unsafe state.pointee.mayPutOff = false
    root.goOffline()
    defer { root.goOnline() }
    guard port.becomeIdle(untilNanoseconds: deadline?.nanoseconds ?? .max) else { return }
    var mustLook = false
    var isOurs = false
    if port.sleepsInPoller, let poller {
      poller.wait(until: deadline, forKicksAlone: rest > 0, now: now) { event in
        if !isOurs { isOurs = port.takeBack(isPatient: false, known: &known, mustLook: &mustLook) }
        if isOurs { markReady(event) } else { passOn(event) }
      }
    } else {
      root.sleepAtCell(untilNanoseconds: deadline?.nanoseconds ?? .max)
    }
    var isPatient = false
    while !isOurs, !port.takeBack(isPatient: isPatient, known: &known, mustLook: &mustLook) {
      isPatient = true
      root.sleepAtCell(
        untilNanoseconds: mustLook ? clock.now().adding(nanoseconds: Self.lookPeriod).nanoseconds : .max)
    }
    if rest > 0 {
      counters.polls.increment()
      counters.rests.increment()
      return lookAtLinks()
    }
    if port.sleepsInPoller { counters.polls.increment() }
    Spin.slept(limit: limit)
  }

  /// Reads that were put off come before sleep: nobody tells of what they would find. False: there are none.
  @inline(__always) private func takePutOff() -> Bool {
    #if Explore
      if Mutation.putOffReadForgotten.isOn { return false }
    #endif
    return unsafe state.pointee.sources.takePutOff()
  }

  private func restDeadline(_ now: Instant, _ rest: UInt64) -> Instant {
    let end = now.adding(nanoseconds: rest)
    return sleepDeadline(now).map { min($0, end) } ?? end
  }

  /// A descriptor that is ready woke the own thread of a context that is lent: whoever drives it is told, as by a
  /// device in memory, because a poller tells once.
  private func passOn(_ event: PollEvent) {
    #if Explore
      if Mutation.ownThreadKeepsWhatItIsTold.isOn { return }
    #endif
    guard event.token != ContextSet.portToken else { return unsafe state.pointee.core.port.kickAgain() }
    // (c) while the context runs, but for flags of who drives it.
    unsafe state.pointee.sourceSignals[Int(event.token)].raise()
  }
}
