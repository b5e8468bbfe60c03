import Exclusion
import Sockets
import Wire

/// Finding a connection by what a segment says: the keyed hash of its 4-tuple, the published table, and the comparison
/// with the 4-tuple that stands in the block. Flows come in random order, so that with many of them every look-up
/// waits for memory that is in no cache.
enum Lookup {
  static let benchmark = Benchmark(
    "lookup", "look-ups in a connection table of a thousand, and of a million entries"
  ) { options in
    [1000, 1_000_000].map { count in
      let flows = Flows(count)
      let rate = Repeated.rate(seconds: Double(options.seconds) / 4, batch: 1024) { flows.lookUp(1024) }
      return BenchmarkSample("lookup.\(count)", rate, .perSecond)
    }
  }
}

/// Slots as a connection's block begins, in a table.
@safe
private final class Flows {
  private static var slotBytes: Int { 128 }
  private static var keyOffset: Int { 64 }
  private let count: Int
  private let memory: UnsafeMutableRawPointer
  private let table: PublishedTable
  private let hashKey = HashKey(seed: 1)
  private var random: UInt64 = 0x9E37_79B9_7F4A_7C15

  init(_ count: Int) {
    self.count = count
    let memory = UnsafeMutableRawPointer.allocate(byteCount: count * Self.slotBytes, alignment: 64)
    table = PublishedTable(capacity: count, domain: GraceDomain(contexts: 1))
    unsafe self.memory = memory
    for index in 0..<count {
      let slot = unsafe memory + index * Self.slotBytes
      let key = key(index)
      unsafe slot.storeBytes(of: 0, as: UInt.self)
      unsafe (slot + Self.keyOffset).initializeMemory(as: FlowKey.self, to: key)
      unsafe table.insert(hash: key.hash(hashKey), ItemRef(slot))
    }
  }
  deinit { unsafe memory.deallocate() }

  @inline(__always) private func key(_ index: Int) -> FlowKey {
    FlowKey(
      localAddress: IPAddress(IPv4Address(10, 8, 0, 1)), localPort: 7,
      remoteAddress: IPAddress(IPv4Address(0x0A80_0000 &+ UInt32(index / 50_000))),
      remotePort: UInt16(1024 + index % 50_000))
  }

  func lookUp(_ times: Int) {
    var found: UInt64 = 0
    var random = random
    for _ in 0..<times {
      random ^= random << 13
      random ^= random >> 7
      random ^= random << 17
      let key = key(Int((random >> 20) % UInt64(count)))
      let item = table.find(hash: key.hash(hashKey)) { item in
        unsafe (item.raw + Self.keyOffset).assumingMemoryBound(to: FlowKey.self).pointee == key
      }
      if item != nil { found &+= 1 }
    }
    self.random = random
    precondition(found == UInt64(times), "every flow is in the table")
  }
}
