// A request, or the answer to one, of a thread that takes the place of the sleeping context of its connection
// (`BlockEntry.drive`): it is the writer and, inside the gate, the owner at once. So nothing is posted, and what is between the
// two elsewhere is left out: the bytes go from the caller's memory to a chunk of the context's and into the packet, and words that
// writer and owner share are its alone.

import Buffers
import Exclusion
import Internet
import SoftInterrupts
import TCP

extension StreamSocket {
  /// Writes all of `bytes`, as few as one segment has, if they can leave at once. Nil: they cannot, or somebody else is inside or
  /// drives the context, and nothing was done. The holder of the write turn, when nothing of its is out.
  @inline(never) func writeDirectly(_ bytes: UnsafeRawBufferPointer) -> WriteOutcome? {
    let connection = connection
    var isTaken = false
    layer.drive(connection.home) { cx in
      #if Explore
        if Mutation.directWriteEntersOwned.isOn {
          isTaken = unsafe connection.writeAlone(bytes, &cx)
          return
        }
      #endif
      // Free: whatever was written before has come to the owner.
      guard connection.gate.enterToStay(&cx) else { return }
      connection.takeUp(cx)
      isTaken = unsafe connection.writeAlone(bytes, &cx)
      connection.settleDown(&cx)
      connection.gate.resume(budget: ConnectionBlock.budget, &cx)
    }
    return isTaken ? .bytes(bytes.count) : nil
  }
}

#if Explore
  extension Mutation {
    /// A writer that drives the context does not ask whether somebody is inside.
    static let directWriteEntersOwned = Mutation("directWriteEntersOwned")
  }
#endif

extension ConnectionRef {
  /// Owner, who is the writer too: takes all of `bytes`, at least one, and sends them as one segment. False: something speaks
  /// against it, and nothing was done.
  fileprivate func writeAlone(_ bytes: UnsafeRawBufferPointer, _ cx: inout SoftInterrupt) -> Bool {
    unsafe willOwn(UnsafeRawPointer(owned))  // keeps PCB-OWN
    let (owned, shared) = unsafe (owned, shared)
    let (sockets, count) = (SocketContextRef(cx), bytes.count)
    guard unsafe !owned.pointee.isDropped, unsafe owned.pointee.sendChain.isEmpty,
      unsafe shared.pointee.sendOccupied.loadRelaxed() == 0, sendRoom >= count, maySendAlone(count),
      sockets.memory.take(ByteChain.chunkOccupied, .send, isGuaranteed: true)
    else { return false }
    let pool = cx.pool
    guard let chain = unsafe pool.makeShortChain(copying: bytes) else {
      sockets.memory.give(ByteChain.chunkOccupied, .send)
      return false
    }
    // Others may change the limit meanwhile.
    unsafe shared.pointee.sendCredit.subtract(UInt64(count))
    // Nobody else adds to it, and nobody takes from it.
    unsafe shared.pointee.sendOccupied.store(UInt64(ByteChain.chunkOccupied))
    unsafe shared.pointee.submitted.store(shared.pointee.submitted.loadRelaxed() &+ UInt64(count))
    unsafe owned.pointee.enqueued &+= UInt64(count)
    unsafe owned.pointee.sendAccounted = ByteChain.chunkOccupied
    unsafe owned.pointee.sendChain = chain
    sockets.withInternet { followRoute($0, sockets) }
    if !sendAlone(count, pool, sockets, &cx) {
      runEngine(&cx) { $0.enqueue(count, now: $1, sink: &$2) }
    }
    return true
  }
}
