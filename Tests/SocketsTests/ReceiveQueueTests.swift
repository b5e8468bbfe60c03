import Buffers
import Exclusion
import Testing

@testable import Sockets

/// A receive queue between one owner and one reader, without a stack around it.
private final class Pipe: @unchecked Sendable {  // each side is one thread's; what they share is atomic
  let queue = ReceiveQueue()
  var reader = ReceiveReader()
  var end = ReceiveEnd()
  let pool = PacketPool(limit: 4096, reserve: 0)
  /// Memory in the queue, as an account would have it: what was posted, less what either side freed.
  let charged = AtomicWord(0)

  func append(_ bytes: some Collection<UInt8>, headroom: Int = 194) -> ReceiveQueue.Appended {
    var packet = pool.ref.allocate(headroom: headroom)!
    packet.append(bytes.count)
    unsafe packet.withUnsafeMutableBytes { unsafe $0.copyBytes(from: bytes) }
    let outcome = queue.append(packet, &end)
    switch outcome {
    case .posted: charged.add(2048)
    case .postedInPlace(let freed): charged.add(2048 - UInt64(freed))
    case .collapsed: break
    }
    return outcome
  }
  func read(_ limit: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: limit)
    let (count, freed) = unsafe bytes.withUnsafeMutableBytes { unsafe queue.read(&reader, into: $0) }
    charged.subtract(UInt64(freed))
    return Array(bytes[..<count])
  }
}

@Suite struct ReceiveQueueTests {
  private func isCollapsed(_ outcome: ReceiveQueue.Appended) -> Bool {
    if case .collapsed = outcome { return true }
    return false
  }

  @Test func smallPacketsShareASlotAndStayInOrder() {
    let pipe = Pipe()
    for byte in 0..<2000 { _ = pipe.append([UInt8(truncatingIfNeeded: byte)]) }
    #expect(pipe.queue.available == 2000)
    #expect(pipe.queue.occupied == 2 * 2048 && pipe.pool.counters.inUse == 2)
    var read: [UInt8] = []
    while case let bytes = pipe.read(7), !bytes.isEmpty { read += bytes }
    #expect(read == (0..<2000).map { UInt8(truncatingIfNeeded: $0) })
    #expect(pipe.queue.available == 0 && pipe.queue.occupied == 0 && pipe.pool.counters.inUse == 0)
  }

  /// The reader is in the middle of the packet that the owner goes on filling.
  @Test func aPacketGrowsUnderItsReader() {
    let pipe = Pipe()
    _ = pipe.append(Array(0..<10))
    #expect(pipe.read(4) == Array(0..<4))
    #expect(isCollapsed(pipe.append(Array(10..<20))))
    #expect(pipe.read(100) == Array(4..<20))
    #expect(pipe.pool.counters.inUse == 0, "read to its end, it is the reader's")
    #expect(!isCollapsed(pipe.append([1])), "and gone")
    #expect(pipe.read(1) == [1])
  }

  /// Full packets are not copied, and those behind them are found through what the slot itself says.
  @Test func aClosedPacketTellsItsWholeLength() {
    let pipe = Pipe()
    _ = pipe.append(Array(repeating: 1, count: 10))
    #expect(pipe.read(5).count == 5)
    #expect(isCollapsed(pipe.append(Array(repeating: 2, count: 600))))
    #expect(!isCollapsed(pipe.append(Array(repeating: 3, count: 1448))), "it does not fit")
    #expect(!isCollapsed(pipe.append([4])), "a full packet is not worth an open end")
    #expect(isCollapsed(pipe.append([5])))
    #expect(
      pipe.read(5000) == Array(repeating: 1, count: 5) + Array(repeating: 2, count: 600)
        + Array(repeating: 3, count: 1448) + [4, 5])
    #expect(pipe.pool.counters.inUse == 0 && pipe.charged.load() == 0)
  }

  @Test func whatNobodyReadsIsFreed() {
    let pipe = Pipe()
    for _ in 0..<3 { _ = pipe.append(Array(repeating: 7, count: 1448)) }
    #expect(pipe.read(10).count == 10, "the reader has all three now")
    for _ in 0..<2 { _ = pipe.append(Array(repeating: 7, count: 1448)) }
    #expect(pipe.queue.discard() == 2 * 2048)
    #expect(pipe.pool.counters.inUse == 3)
    #expect(pipe.queue.discardAll(&pipe.reader) == 3 * 2048)
    #expect(pipe.pool.counters.inUse == 0)
  }

  /// SB-WHOLE, PCB-BOUND: an owner and a reader at full speed; every byte arrives once, in order, and all memory
  /// comes back.
  @Test func SB_SPACE_ownerAndReaderAtOnceLoseNothing() throws {
    let pipe = Pipe()
    let total = 400_000
    let owner = try WorkerThread(name: "owner") {
      var at = 0
      var state: UInt32 = 1
      while at < total {
        state = state &* 1_664_525 &+ 1_013_904_223
        let wanted = state >> 28 < 13 ? Int(state >> 16 & 7) + 1 : Int(state >> 16 & 1023) + 1
        let count = min(wanted, total - at)
        if pipe.queue.available > 100_000 {
          yieldProcessor()
          continue
        }
        _ = pipe.append((at..<at + count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
        at += count
      }
    }
    var at = 0
    while at < total {
      let available = pipe.queue.available
      let bytes = pipe.read(1 + at % 97)
      if bytes.isEmpty {
        #expect(available <= 0, "bytes were told of and not found")
        yieldProcessor()
      }
      for byte in bytes {
        if byte != UInt8(truncatingIfNeeded: at &* 31 &+ at >> 8) { Issue.record("byte \(at) is wrong") }
        at += 1
      }
    }
    owner.join()
    #expect(pipe.queue.available == 0 && pipe.queue.occupied == 0)
    #expect(pipe.pool.counters.inUse == 0 && pipe.charged.load() == 0)
  }
}
