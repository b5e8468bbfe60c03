import Exclusion
import TCP
import Testing
import Timing
import Wire

@testable import Sockets

/// A memory, and one that asks it.
private final class Table {
  private let memory = DestinationMemory(key: HashKey(seed: 7))
  private var last: DestinationMemory.Place?
  func find(_ address: IPAddress, now: Instant) -> TCPPathMemory? { memory.find(address, &last, now: now) }
  func note(_ address: IPAddress, _ news: TCPPathMemory, now: Instant) {
    memory.note(address, &last, news, now: now)
  }
  func forget() { memory.forget() }
}

/// What a stack remembers of the paths to its peers.
@Suite struct DestinationMemoryTests {
  private func memory(_ milliseconds: Int64, threshold: Int = 0, reordering: Int = 0) -> TCPPathMemory {
    var memory = TCPPathMemory()
    memory.smoothed = .milliseconds(milliseconds)
    memory.variation = .milliseconds(milliseconds / 2)
    memory.threshold = threshold
    memory.reordering = reordering
    return memory
  }
  private let peer = IPAddress("192.0.2.1")!
  private let start = Instant(milliseconds: 5000)

  @Test func whatWasNotedIsFoundForAnHour() {
    let table = Table()
    #expect(table.find(peer, now: start) == nil)
    table.note(peer, memory(80, threshold: 12, reordering: 5), now: start)
    #expect(table.find(peer, now: start) == memory(80, threshold: 12, reordering: 5))
    #expect(table.find(IPAddress("192.0.2.2")!, now: start) == nil)
    #expect(table.find(IPAddress("::ffff:0:1")!, now: start) == nil)
    #expect(table.find(peer, now: start.adding(milliseconds: 3_500_000)) != nil)
    #expect(table.find(peer, now: start.adding(milliseconds: 4_200_000)) == nil)
    // A stamp that has gone round would make it young again: 19 hours are 8 bits.
    #expect(table.find(peer, now: start.adding(milliseconds: 36_000_000)) == nil)
    table.forget()
    #expect(table.find(peer, now: start) == nil)
  }

  /// Who asks for two in turn is not told of the other one.
  @Test func eachHasAPlaceOfItsOwn() {
    let table = Table()
    let other = IPAddress("192.0.2.77")!
    table.note(peer, memory(80), now: start)
    table.note(other, memory(20), now: start)
    for _ in 0..<3 {
      #expect(table.find(peer, now: start)?.smoothed == .milliseconds(80))
      #expect(table.find(other, now: start)?.smoothed == .milliseconds(20))
    }
  }

  @Test func connectionsAddToWhatIsThere() {
    let table = Table()
    table.note(peer, memory(80), now: start)
    table.note(peer, memory(160), now: start)
    #expect(table.find(peer, now: start)?.smoothed == .milliseconds(160))
    table.note(peer, memory(80), now: start)
    #expect(table.find(peer, now: start)?.smoothed == .milliseconds(150))
    // What is too old is no part of it.
    table.note(peer, memory(80), now: start.adding(milliseconds: 8_000_000))
    #expect(table.find(peer, now: start.adding(milliseconds: 8_000_000))?.smoothed == .milliseconds(80))
  }

  @Test func numbersThatAreTooLargeAreTheLargest() {
    let table = Table()
    table.note(peer, memory(10_000_000, threshold: 100_000, reordering: 300), now: start)
    let found = table.find(peer, now: start)
    #expect(found?.smoothed == .microseconds(Int64(UInt32.max)))
    #expect(found?.threshold == 65535 && found?.reordering == 255)
  }

  /// One after the other from host to host: the second begins with what the first has measured.
  @Test(arguments: [RememberedPaths.roundTrip, []]) func theNextConnectionBeginsWithIt(
    _ remembers: RememberedPaths
  ) throws {
    let network = try Network { $0.remembers = remembers }
    do {
      let listener = try network.listen { _ in }
      for _ in 0..<2 {
        let client = try network.connect { _ in }
        let server = try network.accept(listener)
        try network.exchange(client, server, 10_000)
        client.close()
        server.close()
        network.scheduler.run(milliseconds: 100)
      }
      func found() -> TCPPathMemory? {
        var last: DestinationMemory.Place?
        return network.left.sockets.destinations.find(network.right.ipv4, &last, now: network.clock.now())
      }
      #expect((found() != nil) == !remembers.isEmpty)
      network.left.sockets.forgetPaths()
      #expect(found() == nil)
      listener.close()
    }
    network.expectNothingLeft()
  }
}
