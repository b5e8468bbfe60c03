// The two ends of a pass that talk to devices: receive within a turn, transmit at the end.

import Buffers
import Devices
import Exclusion
import Timing

extension ContextRunner {
  /// Frames of one pending queue: the queues of a level follow one another, turn by turn.
  @inline(__always) func receive(
    _ level: Level, limit: Int, _ left: inout Allowance, _ cx: inout SoftInterrupt
  ) {
    guard let number = nextPending(level) else { return }
    let state = unsafe state
    let isSignalled = unsafe !state.pointee.sources[number].hasDescriptor
    let port = unsafe state.pointee.sources[number].port
    let isOne = unsafe state.pointee.mayPutOff && state.pointee.sources[number].lone.areExpected
    let most = isOne ? 1 : max(1, min(limit, left.items))
    var batch = PacketQueue()
    var count = 0
    let outcome = unsafe port._withUnsafeGuaranteedRef { port in
      if isSignalled { port.signal.beginDrain() }
      let outcome = port.device.receive(
        queue: port.queue, limit: most, pool: unsafe state.pointee.pool,
        now: unsafe state.pointee.now, into: &batch)
      count = batch.count
      if count > 0 {
        unsafe state.pointee.counterSet._withUnsafeGuaranteedRef {
          $0.framesReceived.increment(by: UInt64(count))
        }
        unsafe state.pointee.handlers._withUnsafeGuaranteedRef { $0.receive(&batch, port.interface, &cx) }
      }
      return outcome
    }
    switch outcome {
    case .drained:
      // Raised while draining: once more (R5). A descriptor tells again, as it was read empty.
      let isRaised = unsafe isSignalled && !port._withUnsafeGuaranteedRef { $0.signal.endDrain() }
      unsafe state.pointee.sources.setPending(number, isRaised)
      if unsafe state.pointee.sources[number].isEmptyByCall {
        unsafe state.pointee.sources[number].lone.drained(count)
      }
    case .more:
      if isOne {
        unsafe state.pointee.sources[number].lone.tookOne()
        unsafe state.pointee.sources.putOff(number)
      } else {
        unsafe state.pointee.sources[number].lone.cameTogether()
        unsafe state.pointee.sources.setPending(number, true)
      }
    case .failed:
      unsafe state.pointee.sources.setPending(number, false)
      unsafe state.pointee.sources[number].hasFailed = true
    }
    left.items -= max(1, count)
    spendTime(of: &left)
  }

  /// The pending queue of a level that was served longest ago.
  @inline(__always) private func nextPending(_ level: Level) -> Int? {
    guard unsafe state.pointee.sources.hasPending(level) else { return nil }
    let count = unsafe state.pointee.sources.count
    var number = unsafe state.pointee.nextSource
    for _ in 0..<count {
      if number >= count { number = 0 }
      defer { number += 1 }
      guard unsafe state.pointee.sources[number].isPending,
        unsafe state.pointee.sources[number].level == level
      else { continue }
      unsafe state.pointee.nextSource = number + 1
      return number
    }
    return nil
  }

  /// The end of a pass: put-off system calls, then the packets that are done, with nothing owned (X3).
  @inline(__always) func flush(_ cx: inout SoftInterrupt) {
    cx.finishTransmission()
    watchTransmitQueues(&cx)
  }

  /// Frees retired slots whose grace period has passed (PCB-GRACE).
  @inline(never) func reclaim(_ root: inout ContextRoot) {
    let grace = unsafe state.pointee.grace
    _ = unsafe state.pointee.limbo.reclaim(grace) { free($0) }
  }
  /// Frees a retired slot that no reader can hold any more, as its kind asks for.
  func free(_ item: ItemRef) {
    if unsafe state.pointee.handlers._withUnsafeGuaranteedRef({ $0.reclaim(item) }) { return }
    SlotPoolRef.of(item)?.giveBack(item)
  }

  func markReady(_ event: PollEvent) {
    if event.token == ContextSet.portToken {
      if unsafe state.pointee.poller?.tellsOnce != true { unsafe state.pointee.core.port.absorb() }
      return
    }
    if event.token == ContextSet.residentToken { return markResidentReadable() }
    let number = Int(event.token)
    if event.hasFailed { unsafe state.pointee.poller?.tellOnce(token: event.token) }
    if event.isReadable, unsafe !state.pointee.sources[number].hasFailed {
      unsafe state.pointee.sources.setPending(number, true)
    }
    if event.isWritable { unsafe state.pointee.sources[number].transmit.roomAppeared() }
  }
}
