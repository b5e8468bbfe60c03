// Whoever waits for a connection is woken from here: blocked threads, suspended tasks and event queues alike
// (W8, PROTOCOLS 2). The claim is the "waiting for space" flag, and it starts false (W1).

import Exclusion

extension ConnectionRef {
  // MARK: What they wait for

  /// A read would not wait: data, or end, or error, or shutdown (W6).
  func isReadable(need: UInt32) -> Bool {
    available >= max(1, Int(need))
      || !status.isDisjoint(with: [.endOfStream, .failed, .ended, .receiveShutdown])
  }
  /// A write of `need` bytes (0: the wait for the connection; the greatest: the wait for delivery) would not
  /// wait.
  func isWritable(need: UInt32) -> Bool {
    let status = status
    if need == Waiter.maximumNeed { return !status.isDisjoint(with: [.delivered, .failed, .ended]) }
    if !status.isDisjoint(with: [.failed, .ended, .sendShutdown]) { return true }
    guard status.contains(.connected), need > 0 else { return status.contains(.connected) }
    // The limit may have been lowered since the writer fell asleep: it would wait for what cannot come (W4).
    return sendRoom >= Int(min(need, sendLowWater)) && maySubmit
  }
  /// The space that is worth telling a writer of much, in bytes: a third of the buffer.
  var sendLowWater: UInt32 { UInt32(max(1, unsafe shared.pointee.sendLimit.load() / 3)) }
  /// Bytes that a write would take now.
  var sendSpace: Int { maySubmit ? max(0, sendRoom) : 0 }

  // MARK: Waking

  /// `edges` became true, or more true, and the words that say so were stored before. Wakes the reader and the
  /// writer whose need is met, and tells the event queues that ask. `freesSpace`: the send credit grew, which is
  /// told to event queues only if somebody met a full buffer. The caller owns the gate, or is inside a grace
  /// section; `deliver` gets whom to wake.
  @inline(__always) func wake(
    _ edges: SocketEvents, freesSpace: Bool = false, _ deliver: (WakeTarget) -> Void
  ) {
    var edges = edges
    let tellsReader = !edges.isDisjoint(with: .readerEdges)
    let tellsWriter = freesSpace || !edges.isDisjoint(with: .writerEdges)
    // One fence for both: everything that they wait for was stored before.
    if tellsReader || tellsWriter { Waiter.fence() }
    if tellsReader,
      let target = unsafe reader.pointee.waiter.claimBehindFence(where: { isReadable(need: $0) })
    {
      deliver(target)
    }
    if tellsWriter {
      if let target = unsafe writer.pointee.waiter.claimBehindFence(where: { isWritable(need: $0) }) {
        deliver(target)
      }
      // The credit, then the fence, then the look at the flag: see `wantSpace`.
      if freesSpace, takeSpaceEdge() { edges.insert(.writable) }
    }
    // Behind the fence, which every edge passes (SB-FENCE).
    if !edges.isEmpty { unsafe observers.pointee.raise(edges, deliver) }
  }

  /// Every path that frees send space ends here (W5, W10, SB-SPACE): acknowledgements, and what a writer took and
  /// could not use. `bytes` is negative where a limit was lowered, which frees who waited for what cannot come any
  /// more.
  @inline(__always) func freeSpace(_ bytes: Int, _ edges: SocketEvents, _ deliver: (WakeTarget) -> Void) {
    unsafe shared.pointee.sendCredit.add(UInt64(bitPattern: Int64(bytes)))
    wake(edges, freesSpace: true, deliver)
  }

  // MARK: The full buffer

  /// Somebody met a full buffer: who frees space tells the event queues, once there is a third of it (DESIGN
  /// section 3 rule 3). The caller looks at the credit again after this: flag, fence, look, against credit, fence,
  /// look at the flag (SB-FENCE).
  func wantSpace() {
    unsafe shared.pointee.isSpaceWanted.store(1)
    fullFence()
  }
  /// Who takes the flag tells; a flag that is set and not taken stays for more space.
  func takeSpaceEdge() -> Bool {
    #if Explore
      if Mutation.receiveOnlyClientNotified.isOn { return true }
    #endif
    guard unsafe shared.pointee.isSpaceWanted.load() != 0, isWritable(need: sendLowWater) else {
      return false
    }
    return unsafe shared.pointee.isSpaceWanted.exchange(0) != 0
  }
}

extension SocketEvents {
  /// What a waiting reader, and what a waiting writer, may be woken by.
  fileprivate static let readerEdges: SocketEvents = [.readable, .endOfStream, .error]
  fileprivate static let writerEdges: SocketEvents = [.writable, .error]
}
