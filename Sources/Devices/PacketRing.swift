import Buffers
import Exclusion
import Timing

/// One direction of a link in memory: a bounded ring from the owner of a transmit queue to a receiving
/// context. Two owners follow each other through the queue's gate, so there is one producer at a time.
final class PacketRing: Sendable {
  private let ring: Ring<Packet>
  let counters = DeviceCounters()
  /// (c) after attach, which happens before any context runs.
  private let ends: Ends

  private final class Ends: @unchecked Sendable {  // written only while the stack is assembled
    var receiver: ReceiveSignalRef?
    var sender: TransmitQueueRef?
  }

  init(slots: Int) {
    ring = Ring(minimumCapacity: slots)
    ends = Ends()
  }

  func attach(receive: ReceiveSignalRef, transmit: TransmitQueueRef) {
    attachReceiver(receive)
    attachSender(transmit)
  }
  func attachReceiver(_ signal: ReceiveSignalRef) { ends.receiver = signal }
  func attachSender(_ queue: TransmitQueueRef) { ends.sender = queue }

  /// Producer: nil when the ring has the packet; otherwise the queue is stopped.
  func put(_ packet: consuming Packet) -> Packet? {
    var packet = packet
    while true {
      let bytes = packet.totalCount
      guard let back = ring.push(packet) else {
        counters.framesSent.increment()
        counters.bytesSent.increment(by: UInt64(bytes))
        return nil
      }
      guard let sender = ends.sender else { return back }
      // A stopped sender must not wait for a receiver that was not told of what is in the ring.
      ends.receiver?.raise()
      if sender.stop(hasRoom: { ring.count < ring.capacity }) { return back }
      packet = back
    }
  }

  /// Producer: the ring has all of them. False: there is no room for all, and they are where they were.
  func putAll(_ frames: inout PacketQueue) -> Bool {
    let (count, bytes) = (frames.count, frames.byteCount)
    let isPut = ring.push(count) {
      guard let frame = frames.popFirst() else { preconditionFailure("TX-OWN: fewer than were counted") }
      return frame
    }
    guard isPut else { return false }
    counters.framesSent.increment(by: UInt64(count))
    counters.bytesSent.increment(by: UInt64(bytes))
    return true
  }

  /// Producer, at the end of a batch.
  func signal() { if ring.count > 0 { ends.receiver?.raise() } }

  /// Consumer, who says ``madeRoom()`` after the last one of a batch.
  func takeOne() -> Packet? { ring.pop() }
  /// Consumer: what was taken left room, which restarts a stopped sender. Once for a batch: it costs a fence.
  func madeRoom() { ends.sender?.roomAppeared() }

  /// Consumer that keeps the sender's packets: loopback.
  func take(limit: Int, now: Instant, into batch: inout PacketQueue) -> ReceiveOutcome {
    let (frames, bytes) = (batch.count, batch.byteCount)
    defer {
      if batch.count > frames {
        counters.framesReceived.increment(by: UInt64(batch.count - frames))
        counters.bytesReceived.increment(by: UInt64(batch.byteCount - bytes))
        madeRoom()
      }
    }
    for _ in 0..<limit {
      guard var packet = takeOne() else { return .drained }
      packet.arriveAsSent()
      packet.metadata.arrival = now
      batch.append(packet)
    }
    return .more
  }
}
