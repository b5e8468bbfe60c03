public import Buffers
public import Exclusion

/// What a context owes to transmission at the end of its pass: flushes, and packets to free once nothing
/// is owned any more (X3). Private to the context.
public struct TransmitBatch: ~Copyable {
  /// A context meets few queues: one for each device.
  static var limit: Int { 64 }
  private var dirty = InlineArray<64, TransmitQueueRef?>(repeating: nil)
  private var dirtyCount = 0
  private var finished = PacketQueue()

  /// Nothing owed.
  public init() {}

  /// The queue wants a flush at the end of this pass.
  mutating func note(_ queue: TransmitQueueRef) {
    precondition(dirtyCount < Self.limit, "TX-STRAND: more transmit queues than a context can serve")
    dirty[dirtyCount] = queue
    dirtyCount += 1
  }

  /// Takes packets that are to be freed at the end of the pass.
  mutating func release(_ packets: inout PacketQueue) {
    while let packet = packets.popFirst() { finished.append(packet) }
  }

  /// The end of a pass: the next queue to flush.
  public mutating func nextDirty() -> TransmitQueueRef? {
    guard dirtyCount > 0 else { return nil }
    dirtyCount -= 1
    return dirty[dirtyCount]
  }

  /// The end of a pass, after the flushes: the next packet that is done.
  public mutating func nextFinished() -> Packet? { finished.popFirst() }
}

extension SoftInterrupt {
  /// The transmit batch of the running context.
  public var transmitBatch: TransmitBatchRef { unsafe TransmitBatchRef(core.attachment(.devices)) }
}

/// A handle to the running context's batch.
@safe @frozen
public struct TransmitBatchRef: @unchecked Sendable {
  private let pointer: UnsafeMutablePointer<TransmitBatch>
  init(_ raw: UnsafeMutableRawPointer) {
    unsafe pointer = raw.assumingMemoryBound(to: TransmitBatch.self)
  }
  func note(_ queue: TransmitQueueRef) { unsafe pointer.pointee.note(queue) }
  func release(_ packets: inout PacketQueue) { unsafe pointer.pointee.release(&packets) }
}

extension TransmitQueueRef {
  /// The end of a pass: makes the put-off system calls and collects what is done.
  public func flush(_ cx: inout SoftInterrupt) { _ = gate.submit(events: .flush, &cx) }
}
