import Devices
import Testing

@testable import Sockets

/// What a byte costs on its way through stacks, where that can be counted: the table is in `Documentation/Costs.md`.
@Suite struct CostTests {
  private typealias Places = [Range<UInt>]

  private func place(_ address: UnsafeRawPointer?, _ count: Int) -> Range<UInt> {
    let start = UInt(bitPattern: address)
    return start..<start + UInt(count)
  }

  /// Writes `count` bytes in place, and lends them at the other end: where they lay there, and lie here.
  private func pass(_ count: Int, _ network: Network) throws -> (written: Places, lent: Places) {
    let (listener, client, server) = try network.connect()
    var (written, lent) = (Places(), Places())
    var next: UInt8 = 0
    let outcome = unsafe client.tryWrite(filling: count) { places in
      for index in places.indices {
        let bytes = unsafe places[index]
        written.append(unsafe place(bytes.baseAddress, bytes.count))
        for offset in 0..<bytes.count {
          unsafe bytes[offset] = next
          next = next &* 5 &+ 1
        }
      }
      return count
    }
    #expect(outcome == .bytes(count))
    next = 0
    var received = 0
    while received < count {
      try #require(network.scheduler.run { server.isReadable(need: 1) })
      _ = unsafe server.tryConsumePieces(atMost: .max) { pieces in
        var taken = 0
        for index in pieces.indices {
          let bytes = unsafe pieces[index]
          lent.append(unsafe place(bytes.baseAddress, bytes.count))
          for offset in 0..<bytes.count {
            #expect(unsafe bytes[offset] == next)
            next = next &* 5 &+ 1
          }
          taken += bytes.count
        }
        received += taken
        return taken
      }
    }
    client.close()
    server.close()
    listener.close()
    return (written, lent)
  }

  /// The memory that was written is the memory that is read, but for a last segment that is not full: it lies behind its
  /// headers.
  @Test func noByteOfASuperSegmentIsCopiedBetweenStacks() throws {
    let network = try Network(offloads: .inMemory)
    let (written, lent) = try pass(60_000, network)
    let copied = lent.filter { piece in
      !written.contains { $0.lowerBound <= piece.lowerBound && piece.upperBound <= $0.upperBound }
    }
    #expect(copied.count <= 1 && copied.allSatisfy { $0.count < 1460 })
    #expect(lent.reduce(0) { $0 + $1.count } == 60_000)
    network.expectNothingLeft()
  }

  /// Text is copied behind its headers, once: the packet that the sender filled is the packet that is read.
  @Test func aByteOfASegmentIsCopiedOnceBetweenStacks() throws {
    let network = try Network()
    let (written, lent) = try pass(60_000, network)
    for piece in lent { #expect(!written.contains { $0.overlaps(piece) }) }
    #expect(lent.count >= 42 && lent.reduce(0) { $0 + $1.count } == 60_000)
    network.expectNothingLeft()
  }

  /// Where frames pass themselves, what waits to be read lies in the sender's packets, and goes back to their pool.
  @Test func aFrameThatPassesIsNotCopied() throws {
    let network = try Network(passesFrames: true)
    try readInPlace(network)
    network.expectNothingLeft()
  }
  private func readInPlace(_ network: Network) throws {
    let (listener, client, server) = try network.connect()
    let (near, far) = (network.left.contexts.pool(0), network.right.contexts.pool(0))
    let data = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 * 7) }
    #expect(client.writeAll(data) == .bytes(data.count))
    try #require(network.scheduler.run { server.isReadable(need: 20_000) })
    network.scheduler.settle()
    #expect(near.inUse >= 14 && far.inUse == 0)
    let counters = network.link.right.counters(queue: 0)
    #expect(counters.framesReceived.value == network.link.left.counters(queue: 0).framesSent.value)
    #expect(counters.bytesReceived.value == network.link.left.counters(queue: 0).bytesSent.value)
    #expect(server.readSome(data.count).1 == data)
    #expect(near.inUse == 0)
    try network.exchange(server, client, 40_000)
    client.close()
    server.close()
    listener.close()
  }

  /// How often the receiver's gates were entered for a megabyte, and how many frames it was.
  private func entries(_ network: Network) throws -> (entries: UInt64, posts: UInt64, frames: UInt64) {
    let (listener, client, server) = try network.connect()
    let data = [UInt8](repeating: 7, count: 1 << 20)
    let core = network.right.contexts.core(0)
    let (entered, posted) = (core.gates.entries.value, core.gates.posts.value)
    let frames = network.link.left.counters(queue: 0).framesSent.value
    var (sent, received) = (0, 0)
    while received < data.count {
      while sent < data.count,
        case .bytes(let count) = client.writeAll(Array(data[sent..<min(sent + 65_536, data.count)]))
      {
        sent += count
      }
      try #require(network.scheduler.run { server.isReadable(need: 1) })
      received += server.readSome(1 << 20).1.count
    }
    let result = (
      core.gates.entries.value - entered, core.gates.posts.value - posted,
      network.link.left.counters(queue: 0).framesSent.value - frames
    )
    client.close()
    server.close()
    listener.close()
    return result
  }

  /// One for each frame at most, and one for what is said back.
  @Test(arguments: [DeviceOffloads.inMemory, []]) func gatesAreEnteredOnceAFrameOrLess(
    offloads: DeviceOffloads
  )
    throws
  {
    let network = try Network(offloads: offloads)
    let (entered, posted, frames) = try entries(network)
    #expect(posted <= frames)
    #expect(offloads == [] ? frames > 718 : frames < 100)
    #expect(entered <= frames * 2, "\(entered) entries, \(posted) posts, \(frames) frames")
    network.expectNothingLeft()
  }
}
