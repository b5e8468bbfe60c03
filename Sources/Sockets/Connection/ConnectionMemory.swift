// What a connection occupies, and what that changes. `Documentation/Memory.md` tells the policy as a whole.

import Buffers
import Exclusion
import SoftInterrupts
import TCP

/// The bounds that do not depend on the account's limits.
enum SocketMemoryPolicy {
  /// What each socket may occupy each way, whatever others do, in bytes: enough for two segments or one chunk, so
  /// that who reads and acknowledges at once is never stopped.
  static var guaranteed: Int { 2 * Packet.occupied }
  /// Packets that a socket may hold when its context's pool runs low.
  static var packetsWhenLow: Int { 16 }
  /// What received bytes may occupy, by the limit on the bytes: sparse slots are collapsed, what is left is bounded.
  static func receive(limit: Int) -> Int { max(64 << 10, limit * 4) }
  /// The same for submitted bytes: a chunk for each small write, until the owner has put them together.
  static func send(limit: Int) -> Int { (64 << 10) + limit * 2 }
  /// What a receive buffer counts as under pressure, and when memory is exhausted, in segments.
  static var segmentsUnderPressure: Int { 4 }
  static var segmentsWhenExhausted: Int { 2 }
}

extension ConnectionRef {
  // MARK: Receiving, the owner

  /// Memory of everything that was received and not read, in bytes.
  var receiveOccupied: Int {
    unsafe shared.pointee.received.occupied + Int(shared.pointee.reassemblyOccupied.loadRelaxed())
  }

  /// What that may be, in bytes.
  var receiveMemoryLimit: Int {
    unsafe SocketMemoryPolicy.receive(limit: Int(shared.pointee.receiveLimit.loadRelaxed()))
  }

  /// What may still be offered to the peer, in bytes; the whole buffer once nobody reads. Under pressure the buffer
  /// counts as a few segments: who reads at once goes on, who does not is offered nothing more.
  func freeReceiveSpace() -> Int {
    let limit = unsafe Int(shared.pointee.receiveLimit.load())
    if unsafe owned.pointee.isOrphan || status.contains(.receiveShutdown) { return limit }
    let segment = unsafe Int(owned.pointee.engine.configuration.maximumSegment)
    let allowed =
      switch unsafe shared.pointee.memory.state {
      case .normal: limit
      case .pressure: min(limit, SocketMemoryPolicy.segmentsUnderPressure * segment)
      case .exhausted: min(limit, SocketMemoryPolicy.segmentsWhenExhausted * segment)
      }
    return max(0, allowed - available)
  }

  /// Takes the memory that the text of a segment occupies into the account, before anything is acknowledged. False:
  /// the text is dropped. `admitted`: bytes that were taken in this run, and wait ahead of holes.
  @inline(__always) func admit(
    _ bytes: Int, beside admitted: Int, isAhead: Bool, isPoolLow: @autoclosure () -> Bool,
    _ sockets: SocketContextRef
  ) -> Bool {
    let held = receiveOccupied + admitted
    guard held + bytes <= receiveMemoryLimit else {
      sockets.counters.receiveQueueFull.increment()
      return false
    }
    let isGuaranteed = !isAhead && held + bytes <= SocketMemoryPolicy.guaranteed
    // When the pool runs low those who hold much of it wait, so that everyone's acknowledgments pass.
    if held > SocketMemoryPolicy.packetsWhenLow * Packet.occupied, isPoolLow() {
      sockets.counters.segmentsWithoutMemory.increment()
      return false
    }
    guard sockets.memory.take(bytes, .receive, isGuaranteed: isGuaranteed) else {
      sockets.counters.segmentsWithoutMemory.increment()
      return false
    }
    return true
  }

  /// The end of a run: what the engine holds ahead of holes is accounted for, and what was admitted and is not held
  /// goes back. `admitted` is what was taken and not delivered.
  @inline(__always) func settleReceived(_ admitted: Int, _ sockets: SocketContextRef) {
    settleReceived(admitted, unsafe owned.pointee.engine.reassemblyOccupied, sockets)
  }
  /// The same, with what the engine holds ahead of holes `now`, in bytes.
  @inline(__always) func settleReceived(_ admitted: Int, _ now: Int, _ sockets: SocketContextRef) {
    let grown = unsafe now - Int(shared.pointee.reassemblyOccupied.loadRelaxed())
    if grown != 0 || admitted != 0 { settle(admitted, grown: grown, to: now, sockets) }
  }
  @inline(never) private func settle(
    _ admitted: Int, grown: Int, to now: Int, _ sockets: SocketContextRef
  ) {
    let shared = unsafe shared
    if grown != 0 {
      sockets.memory.move(grown, from: .receive, to: .reassembly)
      unsafe shared.pointee.reassemblyOccupied.store(UInt64(now))
    }
    sockets.memory.give(admitted - grown, .receive)
  }

  /// Frees what nobody will read. The reader's own list is left to ``discardAll(_:)``: a reader may still be in it.
  func discardReceived(_ sockets: SocketContextRef) {
    sockets.memory.give(unsafe shared.pointee.received.discard(), .receive)
  }

  /// The last reference is gone, and with it every reader: nothing stays in the account.
  func discardAll(_ sockets: SocketContextRef) {
    let shared = unsafe shared
    sockets.memory.give(unsafe shared.pointee.received.discardAll(&shared.pointee.reading), .receive)
    unsafe owned.pointee.engine.discardOutOfOrder()
    settleReceived(0, sockets)
    unsafe owned.pointee.sendChain.removeAll()
    settleSent(sockets)
  }

  // MARK: Sending

  /// The owner took over a chain, which the writer has accounted for.
  func takeOver(_ chain: consuming ByteChain) {
    unsafe owned.pointee.sendAccounted += chain.occupied
    unsafe owned.pointee.sendChain.append(chain)
  }
  /// The owner drops a chain.
  func refuse(_ chain: consuming ByteChain, _ sockets: SocketContextRef) {
    giveSent(chain.occupied, sockets)
  }
  /// Gives back what the send chain does not occupy any more: it was acknowledged, or put together. True: that ends
  /// a time in which its occupying too much kept writers out.
  @inline(__always) @discardableResult func settleSent(_ sockets: SocketContextRef) -> Bool {
    let now = unsafe owned.pointee.sendChain.occupied
    let freed = unsafe owned.pointee.sendAccounted - now
    return freed != 0 && settleSent(freed, now, sockets)
  }
  @inline(never) private func settleSent(_ freed: Int, _ now: Int, _ sockets: SocketContextRef) -> Bool {
    unsafe owned.pointee.sendAccounted = now
    let wasFull = unsafe Int(shared.pointee.sendOccupied.load()) >= sendOccupiedLimit
    giveSent(freed, sockets)
    return wasFull && maySubmit
  }
  private var sendOccupiedLimit: Int {
    unsafe SocketMemoryPolicy.send(limit: Int(shared.pointee.sendLimit.load()))
  }
  private func giveSent(_ bytes: Int, _ sockets: SocketContextRef) {
    sockets.memory.give(bytes, .send)
    unsafe shared.pointee.sendOccupied.subtract(UInt64(bytes))
  }

  /// Whether a writer may add to what it has submitted: the memory's half of ``isWritable(need:)``. When memory is
  /// exhausted it may if nothing of its is out; then the acknowledgment of what is out will wake it.
  var maySubmit: Bool {
    let shared = unsafe shared
    guard mayQueueUnsent else { return false }
    let held = unsafe Int(shared.pointee.sendOccupied.load())
    if held == 0 { return true }
    return unsafe held < sendOccupiedLimit && shared.pointee.memory.state != .exhausted
  }
  /// Bytes that a writer may submit.
  var sendRoom: Int { unsafe Int(Int64(bitPattern: shared.pointee.sendCredit.load())) }
}
