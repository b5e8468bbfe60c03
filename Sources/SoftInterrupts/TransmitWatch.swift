// What a context does for the transmit queues that it is home to: restarts those whose descriptor has room again,
// and notices those that stand (X7, X9). It looks at the end of each pass; a queue that begins to stand while
// another context owns it sends a notice, which makes a pass.

import Devices
import Exclusion
import Timing

extension ContextRunner {
  @inline(__always) func watchTransmitQueues(_ cx: inout SoftInterrupt) {
    for number in unsafe 0..<state.pointee.sources.count {
      let source = unsafe state.pointee.sources[number]
      if source.hasDescriptor, source.transmit.isStopped != source.isWatchedForRoom {
        watchForRoom(number, !source.isWatchedForRoom)
      }
      if source.isWaiting != (source.watchedFrom != nil) { watchProgress(number, source.transmit, &cx) }
    }
  }

  /// A stopped queue of a device with a descriptor restarts when there is room to write (X9).
  @inline(never) private func watchForRoom(_ number: Int, _ isStopped: Bool) {
    guard let poller = unsafe state.pointee.poller else { return }
    unsafe state.pointee.sources[number].isWatchedForRoom = isStopped
    poller.watchWritable(token: UInt32(number), isStopped)
  }

  /// Packets began, or ceased, to wait for the driver.
  @inline(never) private func watchProgress(
    _ number: Int, _ queue: TransmitQueueRef, _ cx: inout SoftInterrupt
  ) {
    guard queue.watchdog > .zero else { return }
    if unsafe state.pointee.sources[number].watchedFrom != nil {
      unsafe state.pointee.sources[number].watchedFrom = nil
      cx.cancel(queue.watchdogTimer)
    } else {
      unsafe state.pointee.sources[number].watchedFrom = queue.sent
      cx.arm(queue.watchdogTimer, at: cx.now + queue.watchdog)
    }
  }
}

extension SoftInterrupt {
  /// Packets have waited for the whole time. Did any leave?
  mutating func transmitWatchdogFired(_ timer: TimerRef) {
    guard let queue = TransmitQueueRef.of(watchdog: timer) else { return }
    let count = unsafe state.pointee.sources.count
    let number = (0..<count).first { unsafe state.pointee.sources[$0].transmit == queue }
    guard let number, let before = unsafe state.pointee.sources[number].watchedFrom else { return }
    let sent = queue.sent
    // A bug detector, not a cure: it counts, and lets the driver try to recover (X7).
    if sent == before, queue.isWaiting { queue.timedOut(&self) }
    unsafe state.pointee.sources[number].watchedFrom = sent
    arm(timer, at: now + queue.watchdog)
  }
}
