import Buffers
public import Exclusion
public import Timing

/// What a context owes to transmission at the end of its pass: flushes, and packets to free and credit to give back
/// once nothing is owned any more (X3). Private to the context.
public struct TransmitBatch: ~Copyable {
  /// A context meets few queues: one for each device.
  static var limit: Int { 64 }
  /// The time of this pass.
  public var now = Instant.zero
  /// (c) Where the frames come from that super-segments are cut into, the context's own; nil: there are none.
  public var pool: PacketPoolRef?
  private var dirty = InlineArray<64, TransmitQueueRef?>(repeating: nil)
  private var dirtyCount = 0
  /// The queue that the context is inside of since its first frame of this pass: one at the most.
  fileprivate(set) var inside: TransmitQueueRef?
  private var finished = PacketQueue()
  private var credit = CreditRun()

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
    while var packet = packets.popFirst() {
      if let owner = packet.credit {
        credit.add(owner, packet.charge)
        packet.forfeitCredit()
      }
      finished.append(packet)
    }
  }

  /// A driver has taken a packet for good.
  mutating func give(_ owner: PacketCreditRef, _ charge: Int) { credit.add(owner, charge) }

  @inline(__always) fileprivate mutating func nextDirty() -> TransmitQueueRef? {
    guard dirtyCount > 0 else { return nil }
    dirtyCount -= 1
    return dirty[dirtyCount]
  }
  @inline(__always) fileprivate mutating func finish() {
    if !finished.isEmpty { finished.removeAll() }
    credit.settle()
  }
}

extension SoftInterrupt {
  /// The transmit batch of the running context.
  var transmitBatch: TransmitBatchRef { unsafe TransmitBatchRef(core.attachment(.devices)) }

  /// The end of a pass, when the context owns nothing: the system calls that were put off, what the drivers are
  /// done with, and then the packets and the credit that this gives back.
  public mutating func finishTransmission() {
    let batch = transmitBatch
    // Its flush comes with that.
    if let queue = unsafe batch.pointer.pointee.inside.take() { queue.leave(&self) }
    while let queue = unsafe batch.pointer.pointee.nextDirty() { queue.flush(&self) }
    unsafe batch.pointer.pointee.finish()
  }
}

/// A handle to the running context's batch.
@safe
struct TransmitBatchRef {
  fileprivate let pointer: UnsafeMutablePointer<TransmitBatch>
  init(_ raw: UnsafeMutableRawPointer) {
    unsafe pointer = raw.assumingMemoryBound(to: TransmitBatch.self)
  }
  var now: Instant { unsafe pointer.pointee.now }
  var pool: PacketPoolRef? { unsafe pointer.pointee.pool }
  func isInside(_ queue: TransmitQueueRef) -> Bool { unsafe pointer.pointee.inside == queue }
  var mayEnter: Bool { unsafe pointer.pointee.inside == nil }
  func enter(_ queue: TransmitQueueRef) { unsafe pointer.pointee.inside = queue }
  func note(_ queue: TransmitQueueRef) { unsafe pointer.pointee.note(queue) }
  func release(_ packets: inout PacketQueue) { unsafe pointer.pointee.release(&packets) }
  func give(_ owner: PacketCreditRef, _ charge: Int) { unsafe pointer.pointee.give(owner, charge) }
}
