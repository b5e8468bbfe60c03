// Reads and writes that carry on to, and from, another source of bytes without a copy between: whoever has a vectored system
// call hands it the memory that the stack's own bytes lie in.

import Buffers
import Exclusion

extension StreamSocket {
  /// Lends what is there, where it lies, in many pieces at once: calls `body` with the places of at most `limit` bytes. It
  /// returns how many of them it took, from their start; the others stay to be read. The outcome's count may be 0 here:
  /// something was there, and `body` took nothing of it. The holder of the read turn only.
  ///
  /// - Parameter body: gets pieces of a packet or less each, valid until it returns. It must not read from this socket.
  public func tryConsumePieces(
    atMost limit: Int, _ body: (UnsafeBufferPointer<UnsafeRawBufferPointer>) -> Int
  ) -> ReadOutcome {
    var wasOffered = false
    let outcome = read { received, reading in
      unsafe received.lendPieces(&reading, atMost: limit) { pieces in
        wasOffered = true
        return unsafe body(pieces)
      }
    }
    if case .bytes = outcome { return outcome }
    return wasOffered ? .bytes(0) : outcome
  }

  /// Writes what `body` puts into memory of the stack's: it gets the places of up to `wanted` bytes, as many as there is
  /// room for, fills them from their start, and returns how many bytes it had. The outcome's count may be 0 here: there was
  /// room, and `body` had nothing. The holder of the write turn only; every write of this kind is pushed.
  ///
  /// - Parameters:
  ///   - wanted: at least 1. Memory for as much is taken before `body` is called, and what it leaves is given back: a
  ///     wanted number far above what comes costs time.
  ///   - body: gets whole chunks, of 3,968 bytes but for the last, valid until it returns. It must not write to this
  ///     socket. It is not called if there is no room.
  public func tryWrite(
    filling wanted: Int, _ body: (UnsafeBufferPointer<UnsafeMutableRawBufferPointer>) -> Int
  ) -> WriteOutcome {
    precondition(wanted > 0, "a write of nothing")
    let shared = unsafe connection.shared
    if let refusal = refusal(mayPrecedeConnection: false) { return refusal }
    let isFirst = unsafe shared.pointee.sendOccupied.load() == 0
    // No more than there is: who asks for more has met a full buffer, and would be told of space that nobody waits for.
    let credit = takeCredit(min(wanted, max(1, connection.sendRoom), Self.filledAtOnce))
    guard credit > 0 else { return .wouldBlock }
    var chain: ByteChain
    do throws(MemoryShortage) {
      chain = try withApplication { held throws(MemoryShortage) in
        try makeChain { buffers throws(MemoryShortage) in
          try buffers.makeUnfilledChain(count: credit, isGuaranteed: isFirst, &held)
        }
      }
    } catch {
      return refuse(error, credit)
    }
    let filled = unsafe Self.fill(&chain, body)
    let before = chain.occupied
    chain.truncate(to: filled)
    let unused = before - chain.occupied
    if unused > 0 { layer.memory.give(unused, .send) }
    // Nobody waits for the rest: the writer is here, and did not meet a full buffer.
    if filled < credit { unsafe shared.pointee.sendCredit.add(UInt64(credit - filled)) }
    guard filled > 0 else { return .bytes(0) }
    return submit(chain, ConnectionBlock.Chain.pushed)
  }

  /// Bytes that are filled at once: a quarter of a megabyte in whole chunks.
  public static var filledAtOnce: Int { 66 * ByteChain.chunkCapacity }
  /// Bytes that a write of the smallest size takes memory for: one chunk.
  public static var filledAtLeast: Int { ByteChain.chunkCapacity }

  private static func fill(
    _ chain: inout ByteChain, _ body: (UnsafeBufferPointer<UnsafeMutableRawBufferPointer>) -> Int
  ) -> Int {
    let capacity = (chain.count + ByteChain.chunkCapacity - 1) / ByteChain.chunkCapacity
    return unsafe withUnsafeTemporaryAllocation(of: UnsafeMutableRawBufferPointer.self, capacity: capacity) {
      places in
      var count = 0
      unsafe chain.forEachPlace { place in
        unsafe places.initializeElement(at: count, to: place)
        count += 1
      }
      let filled = unsafe body(UnsafeBufferPointer(rebasing: places[..<count]))
      precondition(filled >= 0 && filled <= chain.count, "more bytes filled than there was room for")
      return filled
    }
  }
}
