import Exclusion
import TCP
import Testing
import Wire

@testable import Sockets

@Suite struct SynFloodTests {
  private func flood(_ network: Network, _ count: Int, from first: Int = 0) {
    for number in first..<first + count {
      network.syn(Stranger("192.0.2.\(number / 250 % 250 + 1)", port: 1000 + UInt16(number % 50_000)), to: 80)
    }
  }

  /// Q7: a flood takes no more memory than the table has, connections that are there go on, and honest clients
  /// still get through, by a cookie.
  // Rules: RFC 4987 3.5-1, 3.6-1, 3.7-1
  @Test(arguments: [1, 2]) func Q7_aFloodIsBoundedAndHonestClientsGetThrough(contexts: Int) throws {
    let network = try Network(contexts: contexts) { $0.synCacheLimit = 64 }
    do {
      let (listener, client, server) = try network.connect(port: 80)
      let before = network.connectionsInUse
      let data = [UInt8](repeating: 5, count: 20_000)
      var received = 0
      for round in 0..<20 {
        flood(network, 100, from: round * 100)
        #expect(client.writeAll(data) == .bytes(data.count))
        while received < data.count * (round + 1) {
          #expect(network.scheduler.run(limit: 50) { server.isReadable(need: 1) }, "at its own speed")
          guard case (.bytes(let count), _) = server.readSome() else { break }
          received += count
        }
      }
      #expect(network.counted("half_open") <= UInt64(64 * contexts))
      #expect(network.connectionsInUse == before)
      #expect(network.counted("cookies_sent") > 1000)
      // Half-open connections are given up after a minute; until then the table is full.
      let honest = try network.wait(
        network.left.sockets.connect(to: network.address(of: network.right, 80, isIPv4: true)))
      #expect(network.scheduler.run { honest.isConnected })
      let child = try network.accept(listener)
      #expect(network.counted("cookies_accepted") == 1)
      #expect(honest.writeAll([1, 2, 3]) == .bytes(3))
      #expect(network.scheduler.run { child.isReadable(need: 3) })
      #expect(child.readSome().1 == [1, 2, 3])
    }
    network.expectNothingLeft()
  }

  /// A backlog full of half-open connections, too, is answered with cookies.
  // Rules: RFC 4987 3.2-1, 3.7-1
  @Test func cookiesBeginWhereTheBacklogEnds() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address, backlog: 200))
      flood(network, 250)
      #expect(network.counted("half_open") == 200 && network.counted("cookies_sent") == 50)
      // An ACK that was never asked for carries no cookie.
      let liar = Stranger("192.0.2.9")
      network.inject(liar, to: 80, .ack, sequence: liar.irs + 1, ack: 0x1234_5678)
      #expect(network.counted("cookies_refused") == 1 && network.counted("resets_sent") == 1)
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Without cookies the newest take the places of the oldest, so that a flood holds none for long; and beyond
  /// the backlog SYNs are dropped.
  // Rules: RFC 4987 3.4-1
  @Test func withoutCookiesTheOldestMakesRoom() throws {
    let network = try Network {
      $0.synCacheLimit = 64
      $0.synOverflow = .drop
    }
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address, backlog: 1000))
      flood(network, 500)
      let evicted = network.counted("syn_cache_evictions")
      #expect(network.counted("half_open") <= 64 && evicted > 300)
      #expect(network.counted("syns_kept") == evicted + network.counted("half_open"))
      let late = Stranger("192.0.2.200")
      network.syn(late, to: 80)
      if let iss = network.synAckSequence(late, 80) {
        network.inject(late, to: 80, .ack, sequence: late.irs + 1, ack: iss + 1)
        #expect(listener.isAcceptable)
      } else {
        Issue.record("the newest has no place")
      }
      #expect(network.counted("cookies_sent") == 0)
    }
    network.expectNothingLeft()
  }

  @Test func withoutCookiesSynsBeyondTheBacklogAreDropped() throws {
    let network = try Network { $0.synOverflow = .drop }
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address, backlog: 150))
      flood(network, 200)
      #expect(network.counted("half_open") == 150 && network.counted("listen_overflows") == 50)
      listener.close()
    }
    network.expectNothingLeft()
  }
}
