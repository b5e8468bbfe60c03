// What the owner of a transmit queue does, and what a sender does past it when the driver is lockless.

import Buffers
public import Exclusion
import Timing

extension TransmitQueue {
  /// A frame to send: in order behind those that wait.
  public static func run(_ item: ItemRef, on block: GateRef<TransmitQueue>, _ cx: inout SoftInterrupt) {
    let queue = unsafe TransmitQueueRef(block.raw)
    #if Explore
      if Mutation.transmitDeferWithoutRun.isOn, unsafe queue.state.pointee.sources != nil {
        unsafe queue.state.pointee.enqueue(Packet(item: item), now: cx.transmitBatch.now)
        return queue.settle(&cx)
      }
    #endif
    queue.admit(Packet(item: item), &cx)
    queue.settle(&cx)
  }

  /// A restart, completions, or the end of a pass.
  public static func run(
    events: GateEvents, on block: GateRef<TransmitQueue>, _ cx: inout SoftInterrupt
  ) {
    let queue = unsafe TransmitQueueRef(block.raw)
    let state = unsafe queue.state
    if events.contains(.timedOut) {
      unsafe state.pointee.counters.timeouts.increment()
      let queue = unsafe state.pointee.queue
      unsafe state.pointee.driver._withUnsafeGuaranteedRef { $0.device.transmitTimedOut(queue: queue) }
    }
    if events.contains(.flush) {
      unsafe state.pointee.isDirty = false
      let queue = unsafe state.pointee.queue
      unsafe state.pointee.driver._withUnsafeGuaranteedRef { $0.device.flush(queue: queue) }
    }
    let isLifted = queue.reap(&cx)
    if isLifted || !events.isDisjoint(with: [.run, .timedOut]) { queue.drain(&cx) }
    queue.settle(&cx)
  }

  /// Transmit queues end with their device, not by themselves.
  public static func retire(_ block: GateRef<TransmitQueue>, _ cx: inout SoftInterrupt) {}
}

extension TransmitQueueRef {
  /// Frames in a row, of one sender: one entry for all, if the queue is free. `credit`: the account that they are to be on,
  /// which was told, and where they are not put if they are gone at once.
  func submitAll(_ frames: inout PacketQueue, on credit: PacketCreditRef?, _ cx: inout SoftInterrupt) {
    if unsafe frames.count > 1 && state.pointee.sources == nil {
      if isEntered(&cx) { return admitAll(&frames, credit, &cx) }
      let isTaken = gate.enterIfFree(&cx) { cx in
        admitAll(&frames, credit, &cx)
        settle(&cx)
      }
      if isTaken { return }
    }
    if let credit { frames.setCredit(credit) }
    while let frame = frames.popFirst() { submit(frame, &cx) }
  }

  // MARK: Owner

  /// Frames in a row that were submitted.
  private func admitAll(
    _ frames: inout PacketQueue, _ credit: PacketCreditRef?, _ cx: inout SoftInterrupt
  ) {
    if offerAll(&frames, credit, &cx) { return }
    if let credit { frames.setCredit(credit) }
    while let frame = frames.popFirst() { admit(frame, &cx) }
  }

  /// Frames in a row, of one sender and with nothing attached, for a driver that takes all of them at once and is done with
  /// them: with nothing before them they need not see the discipline. False: they are where they were.
  private func offerAll(
    _ frames: inout PacketQueue, _ credit: PacketCreditRef?, _ cx: inout SoftInterrupt
  ) -> Bool {
    let state = unsafe state
    guard unsafe state.pointee.waiting == 0 && !state.pointee.completesLater, !isStopped else { return false }
    let (count, queue) = (frames.count, unsafe state.pointee.queue)
    guard unsafe state.pointee.driver._withUnsafeGuaranteedRef({ $0.device.sendAll(&frames, queue: queue) })
    else { return false }
    noteDirty(&cx)
    unsafe state.pointee.counters.sent.increment(by: UInt64(count))
    // As for one: they may be with another stack when they are freed.
    if let credit { cx.transmitBatch.give(credit, count * Packet.occupied) }
    return true
  }

  /// A packet that was submitted. With nothing before it, and a driver that may take it, it need not see the
  /// discipline.
  @inline(__always) func admit(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    let state = unsafe state
    if unsafe state.pointee.waiting == 0, !isStopped, mayGive {
      // Nothing was behind it; it may have come back.
      guard offer(packet, &cx), unsafe state.pointee.waiting > 0 else { return }
    } else {
      unsafe state.pointee.enqueue(packet, now: cx.transmitBatch.now)
    }
    drain(&cx)
  }

  /// Offers the driver what waits, until it has no room, or as much in flight as it may.
  fileprivate func drain(_ cx: inout SoftInterrupt) {
    let state = unsafe state
    while unsafe state.pointee.stopped.load() == 0, unsafe state.pointee.waiting > 0 {
      guard mayGive else {
        unsafe state.pointee.counters.byteLimitStops.increment()
        return  // bytes are in flight, and their completion runs the queue
      }
      guard let packet = unsafe state.pointee.dequeue(now: cx.transmitBatch.now) else { return }
      guard offer(packet, &cx) else { return }
    }
  }

  /// Offers the driver one packet, which waits in front if that does not take it. False: nothing more is to be offered.
  @inline(__always) private func offer(_ packet: consuming Packet, _ cx: inout SoftInterrupt) -> Bool {
    let state = unsafe state
    let source = Int(packet.metadata.queue)
    let (stops, locks) = unsafe (
      state.pointee.counters.stops.value, state.pointee.counters.lockTaken.value
    )
    if let back = give(packet, cx) {
      putBack(back)
      // The driver's lock is taken: whoever lets go runs the queue.
      if unsafe state.pointee.counters.lockTaken.value != locks { return false }
      // A completion may have restarted the queue since; a driver that never stopped it has a bug.
      if unsafe state.pointee.counters.stops.value == stops {  // keeps TX-BUSY
        unsafe state.pointee.counters.busyWhileRunning.increment()
        return false
      }
      unsafe state.pointee.counters.givenBack.increment()
    } else {
      noteDirty(&cx)
      unsafe state.pointee.counters.sent.increment()
      // After the driver has it: its source may go past the gate again (keeps the order per source).
      if let sources = unsafe state.pointee.sources { unsafe sources[source].pointee.deferred.subtract(1) }
    }
    return true
  }

  /// To the front: what was first stays first (the order mutation of PROTOCOLS 4).
  private func putBack(_ packet: consuming Packet) {
    #if Explore
      if Mutation.transmitRequeuedAtTail.isOn {
        return unsafe state.pointee.enqueue(packet, now: .zero)
      }
    #endif
    unsafe state.pointee.returned.prepend(packet)
  }

  /// Fetches what the device is done with, to be freed when nothing is owned any more (X3). True: less is in flight.
  fileprivate func reap(_ cx: inout SoftInterrupt) -> Bool {
    let state = unsafe state
    var done = PacketQueue()
    let queue = unsafe state.pointee.queue
    unsafe state.pointee.driver._withUnsafeGuaranteedRef { $0.device.complete(queue: queue, into: &done) }
    guard !done.isEmpty else { return false }
    let isLater = unsafe state.pointee.completesLater
    if isLater {
      let bytes = done.byteCount
      if unsafe state.pointee.sources != nil {
        unsafe state.pointee.limit.adopt(inFlight: Int(state.pointee.flight.load()))
        unsafe state.pointee.flight.subtract(UInt64(bytes))
      }
      unsafe state.pointee.limit.completed(bytes, now: cx.transmitBatch.now)
      unsafe state.pointee.publishLimit()
    }
    #if Explore
      if Mutation.packetsFreedInsideQueue.isOn { done.removeAll() }
    #endif
    cx.transmitBatch.release(&done)
    return isLater
  }

  /// The end of a run: what others read, what was thrown away, and home.
  @inline(__always) fileprivate func settle(_ cx: inout SoftInterrupt) {
    let state = unsafe state
    let waiting = unsafe state.pointee.waiting
    // Nothing waits, nothing did, and nothing is in flight or thrown away: what others read is as it was.
    if waiting == 0, unsafe !state.pointee.completesLater, unsafe state.pointee.dropped.isEmpty,
      unsafe state.pointee.standing.loadRelaxed() == 0
    {
      return
    }
    settle(waiting, &cx)
  }
  @inline(never) private func settle(_ waiting: Int, _ cx: inout SoftInterrupt) {
    let state = unsafe state
    unsafe state.pointee.standing.store(waiting > 0 ? 1 : 0)
    unsafe state.pointee.counters.discipline.backlogPackets.set(UInt64(waiting))
    unsafe state.pointee.counters.discipline.backlogBytes.set(UInt64(state.pointee.waitingBytes))
    unsafe state.pointee.counters.bytesInFlight.set(UInt64(state.pointee.limit.inFlight))
    if unsafe !state.pointee.dropped.isEmpty { releaseDropped(&cx) }
    // Home restarts a queue whose descriptor becomes writable, and has its watchdog: it must know, asleep or not.
    #if Explore
      if Mutation.transmitNoticeLost.isOn { return }
    #endif
    if waiting > 0, cx.core.port != gate.home, unsafe state.pointee.noticeQueued.exchange(1) == 0 {
      gate.home.post(notice)
    }
  }

  private func releaseDropped(_ cx: inout SoftInterrupt) {
    let state = unsafe state
    guard let sources = unsafe state.pointee.sources else {
      return unsafe cx.transmitBatch.release(&state.pointee.dropped)
    }
    var dropped = unsafe state.pointee.dropped.takeAll()
    var counted = PacketQueue()
    while let packet = dropped.popFirst() {
      unsafe sources[Int(packet.metadata.queue)].pointee.deferred.subtract(1)
      counted.append(packet)
    }
    cx.transmitBatch.release(&counted)
  }

  // MARK: Whoever may call the driver

  private var mayGive: Bool {
    let state = unsafe state
    guard unsafe state.pointee.completesLater, unsafe state.pointee.limit.isOn else { return true }
    guard unsafe state.pointee.sources != nil else { return unsafe state.pointee.limit.mayGive }
    return unsafe state.pointee.flight.load() <= state.pointee.flightLimit.load()
  }

  /// Nil: the driver has the packet. A driver that is done with it at once settles its source's credit here, since
  /// the packet may be with another stack when it is freed.
  @inline(__always) private func give(_ packet: consuming Packet, _ cx: borrowing SoftInterrupt) -> Packet? {
    let state = unsafe state
    #if Explore
      if Mutation.packetReadAfterGiven.isOn { return giveThenCount(packet) }
    #endif
    let (bytes, charge) = (packet.totalCount, packet.charge)
    let isLater = unsafe state.pointee.completesLater
    let isLockless = unsafe state.pointee.sources != nil
    let credit = isLater ? nil : packet.credit
    if credit != nil { packet.forfeitCredit() }
    // Before the driver has it, as its completion may come at once.
    if isLater, isLockless { unsafe state.pointee.flight.add(UInt64(bytes)) }
    if var back = send(packet) {
      if isLater, isLockless { unsafe state.pointee.flight.subtract(UInt64(bytes)) }
      if let credit { back.credit = credit }
      return back
    }
    if isLater, !isLockless { unsafe state.pointee.limit.given(bytes) }
    if let credit { cx.transmitBatch.give(credit, charge) }
    return nil
  }

  @inline(__always) private func send(_ packet: consuming Packet) -> Packet? {
    let (driver, queue) = unsafe (state.pointee.driver, state.pointee.queue)
    let item = packet.intoItem()
    let back = unsafe driver._withUnsafeGuaranteedRef { driver -> ItemRef? in
      guard let back = driver.device.send(Packet(item: item), queue: queue) else { return nil }
      return back.intoItem()
    }
    return back.map { Packet(item: $0) }
  }

  #if Explore
    private func giveThenCount(_ packet: consuming Packet) -> Packet? {
      let item = packet.intoItem()
      if let back = send(Packet(item: item)) {
        return back
      }
      unsafe willRead(item.raw)
      let given = Packet(item: item)
      unsafe state.pointee.flight.add(UInt64(given.totalCount))
      _ = given.intoItem()
      return nil
    }
  #endif

  @inline(__always) private func noteDirty(_ cx: inout SoftInterrupt) {
    if let sources = unsafe state.pointee.sources {
      guard unsafe !sources[cx.core.index].pointee.isDirty else { return }
      unsafe sources[cx.core.index].pointee.isDirty = true
    } else {
      guard unsafe !state.pointee.isDirty else { return }
      unsafe state.pointee.isDirty = true
    }
    let batch = cx.transmitBatch
    // Who is inside flushes when it leaves.
    if !batch.isInside(self) { batch.note(self) }
  }

  // MARK: Senders to a lockless driver

  /// The count says so also while the owner holds a packet that it has taken from the list, which an empty list
  /// would not.
  private func isNothingDeferred(_ source: UnsafeMutablePointer<LocklessSources.Source>) -> Bool {
    #if Explore
      if Mutation.transmitListTestedEmpty.isOn { return unsafe state.pointee.waiting == 0 }
    #endif
    return unsafe source.pointee.deferred.load() == 0
  }

  /// Straight to the driver, unless something of this context is deferred: that came first.
  func sendPastGate(_ packet: consuming Packet, _ sources: LocklessSources, _ cx: inout SoftInterrupt) {
    let state = unsafe state
    let source = unsafe sources[cx.core.host]
    var packet = packet
    if unsafe isNothingDeferred(source), !isStopped, mayGive {
      #if Explore
        if Mutation.transmitOnStoppedQueueAsserted.isOn {
          invariant(!isStopped, "X1: transmit on a stopped queue")
        }
      #endif
      let stops = unsafe state.pointee.counters.stops.value
      guard let back = give(packet, cx) else {
        unsafe sources[cx.core.index].pointee.sent.increment()
        noteDirty(&cx)
        return
      }
      packet = back
      // Stopped by this very call, or another one that was faster: X1. The packet comes back, and nobody complains.
      if unsafe state.pointee.counters.stops.value == stops {  // keeps TX-BUSY
        unsafe state.pointee.counters.busyWhileRunning.increment()
      }
    }
    unsafe source.pointee.deferred.add(1)
    packet.metadata.queue = UInt16(cx.core.host)
    // In the list, and run: the queue may have restarted meanwhile.
    _ = gate.submit(packet.intoItem(), isSegment: false, &cx)
  }
}
