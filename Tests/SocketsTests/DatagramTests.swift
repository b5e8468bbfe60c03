import Exclusion
import Testing
import Wire

@testable import Sockets

extension DatagramSocket {
  func send(_ bytes: [UInt8], to address: SocketAddress?) -> Result<Void, SocketError> {
    unsafe bytes.withUnsafeBytes { unsafe trySend($0, to: address) }
  }
  func receive(_ limit: Int = 2048) -> Result<(ReceivedDatagram, [UInt8]), SocketError> {
    var buffer = [UInt8](repeating: 0, count: limit)
    return unsafe buffer.withUnsafeMutableBytes { unsafe tryReceive(into: $0) }.map {
      ($0, Array(buffer[..<$0.count]))
    }
  }
}

@Suite struct DatagramTests {
  @Test(arguments: [true, false]) func datagramsKeepTheirBoundsAndTheirSource(isIPv4: Bool) throws {
    let network = try Network(contexts: 2)
    do {
      let address = network.address(of: network.right, 7, isIPv4: isIPv4)
      let server = try network.wait(network.right.sockets.bindDatagram(to: address))
      let client = try network.wait(
        network.left.sockets.bindDatagram(to: network.address(of: network.left, 0, isIPv4: isIPv4)))
      for size in [0, 1, 512, 1400] {
        #expect(throws: Never.self) { try client.send([UInt8](repeating: 9, count: size), to: address).get() }
        #expect(network.scheduler.run { server.isReadable })
        let (info, bytes) = try server.receive().get()
        #expect(info.size == size && bytes.count == size)
        #expect(info.source == client.localAddress && info.destination == address.address)
        #expect(throws: Never.self) { try server.send(bytes, to: info.source).get() }
        #expect(network.scheduler.run { client.isReadable })
        #expect(try client.receive().get().1 == bytes)
      }
      #expect(throws: SocketError.messageTooLarge) {
        try client.send([UInt8](repeating: 0, count: 65_528), to: address).get()
      }
      #expect(throws: SocketError.wouldBlock) { try client.receive().get() }
    }
    network.expectNothingLeft()
  }

  /// What a link does not carry in one packet goes in fragments; a large link carries it whole.
  @Test(arguments: [true, false], [1500, 9000, 65_520])
  func datagramsOfEverySizeArrive(isIPv4: Bool, mtu: Int) throws {
    let network = try Network(contexts: 2, offloads: mtu > 1500 ? .gathering : [], mtu: mtu)
    do {
      let address = network.address(of: network.right, 7, isIPv4: isIPv4)
      let server = try network.wait(network.right.sockets.bindDatagram(to: address))
      let client = try network.wait(
        network.left.sockets.bindDatagram(to: network.address(of: network.left, 0, isIPv4: isIPv4)))
      let largest = DatagramSocket.largest(isIPv4: isIPv4)
      // The neighbour is found out first: few packets wait for that.
      for size in [1, 1473, 1800, 9000, 30_000, largest - 1, largest] {
        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        #expect(throws: Never.self) { try client.send(bytes, to: address).get() }
        #expect(network.scheduler.run { server.isReadable })
        let (info, received) = try server.receive(65_536).get()
        #expect(info.size == size && received == bytes && info.source == client.localAddress)
      }
      #expect(throws: SocketError.messageTooLarge) {
        try client.send([UInt8](repeating: 0, count: largest + 1), to: address).get()
      }
      network.left.expectExactAccount()
      network.right.expectExactAccount()
    }
    network.expectNothingLeft()
  }

  /// C6: truncation tells how large the datagram was.
  @Test func C6_aSmallBufferTruncatesAndSaysSo() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let server = try network.wait(network.right.sockets.bindDatagram(to: address))
      let client = try network.wait(
        network.left.sockets.bindDatagram(to: network.address(of: network.left, 0, isIPv4: true)))
      _ = client.send(Array(0..<100), to: address)
      #expect(network.scheduler.run { server.isReadable })
      let (info, bytes) = try server.receive(10).get()
      #expect(info.size == 100 && info.count == 10 && bytes == Array(0..<10))
      #expect(throws: SocketError.wouldBlock) { try server.receive().get() }
    }
    network.expectNothingLeft()
  }

  /// C6: or it stays, and tells how much it needs.
  @Test func C6_aSmallBufferMayFailAndKeepTheDatagram() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let server = try network.wait(network.right.sockets.bindDatagram(to: address))
      let client = try network.wait(
        network.left.sockets.bindDatagram(to: network.address(of: network.left, 0, isIPv4: true)))
      #expect(server.nextSize() == nil)
      _ = client.send(Array(0..<100), to: address)
      #expect(network.scheduler.run { server.isReadable })
      var small = [UInt8](repeating: 0, count: 10)
      for _ in 0..<2 {
        #expect(throws: SocketError.messageTooLarge) {
          try unsafe small.withUnsafeMutableBytes { unsafe server.tryReceive(into: $0, truncation: .keep) }
            .get()
        }
        #expect(server.isReadable && server.nextSize() == 100)
      }
      #expect(try server.receive().get().1 == Array(0..<100))
    }
    network.expectNothingLeft()
  }

  @Test func aConnectedSocketLearnsThatNobodyListens() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let client = try network.wait(
        network.left.sockets.bindDatagram(
          to: network.address(of: network.left, 0, isIPv4: true), peer: address))
      _ = client.send([1], to: nil)
      #expect(network.scheduler.run { client.isReadable })
      #expect(throws: SocketError.connectionRefused) { try client.receive().get() }
    }
    network.expectNothingLeft()
  }

  /// The queue of a socket that nobody reads is bounded, and counted.
  @Test func aFullQueueDropsAndCounts() throws {
    let network = try Network { $0.datagramReceiveLimit = 8 * 2048 }
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let server = try network.wait(network.right.sockets.bindDatagram(to: address))
      let client = try network.wait(
        network.left.sockets.bindDatagram(to: network.address(of: network.left, 0, isIPv4: true)))
      for number in 0..<20 {
        _ = client.send([UInt8(number)], to: address)
        network.scheduler.run(milliseconds: 5)
      }
      var read: [UInt8] = []
      while case .success(let (_, bytes)) = server.receive() { read += bytes }
      #expect(read == Array(0..<8))
      #expect(network.right.sockets.withCounters(0) { $0.datagramQueueFull.value } == 12)
    }
    network.expectNothingLeft()
  }

  @Test func loopbackReachesTheHostItself() throws {
    let network = try Network()
    do {
      let address = SocketAddress("127.0.0.1:7")!
      let server = try network.wait(network.left.sockets.bindDatagram(to: address))
      let client = try network.wait(network.left.sockets.bindDatagram(to: SocketAddress("127.0.0.1:0")!))
      _ = client.send([1, 2], to: address)
      #expect(network.scheduler.run { server.isReadable })
      #expect(try server.receive().get().1 == [1, 2])
    }
    network.expectNothingLeft()
  }
}
