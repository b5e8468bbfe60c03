import Sluice
import Testing

/// What a stack gives back.
@Suite(.timeLimit(.minutes(5))) struct TrimmingTests {
  @Test func aBusyTimeLeavesNoMemoryBehind() throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 9))
    @Sendable func made(_ stack: Stack) -> Int {
      stack.statistics().pools.filter { !$0.name.hasPrefix("connections") }.reduce(0) { $0 + $1.capacity }
    }
    try world.run {
      let limits = BufferLimits(send: 16 << 20, receive: 16 << 20)
      let listener = try await right.listen(on: address, limits: limits)
      async let accepted = listener.accept()
      let client = try await left.connect(to: address, limits: limits)
      let server = try await accepted
      // Nobody reads: all of it waits, there or here.
      try await client.write(pattern(10 << 20))
      let (there, here) = (made(right), made(left))
      #expect(left.trim() && right.trim())
      #expect(here > 2000 && made(left) == here)
      var read = 0
      while read < 10 << 20 { read += try await server.read(atMost: 1 << 20)?.count ?? 0 }
      client.abort()
      server.abort()
      listener.close()
      #expect(left.trim() && right.trim())
      // Contexts do theirs in passes of their own, which a question and its answer come behind.
      for _ in 0..<100 {
        _ = (try await left.contextReports(limit: 0), try await right.contextReports(limit: 0))
      }
      #expect(made(left) < 3000 && made(left) < here / 2, "\(here), then \(made(left))")
      #expect(made(right) < 4000, "\(there), then \(made(right))")
    }
    world.end()
    #expect(!left.trim())
  }
}
