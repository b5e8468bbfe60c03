import Devices
import Exclusion
import Testing
import Wire

@testable import Sockets

extension DatagramSocket {
  func send(
    _ bytes: [UInt8], to address: SocketAddress?, segmentSize: Int? = nil
  ) -> Result<Void, SocketError> {
    unsafe bytes.withUnsafeBytes { unsafe trySend($0, to: address, segmentSize: segmentSize) }
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

  /// One call, many datagrams, whatever the link does for it.
  @Test(arguments: [true, false], [[], DeviceOffloads.gathering])
  func aRowOfDatagramsArrivesAsThey(isIPv4: Bool, offloads: DeviceOffloads) throws {
    let network = try Network(contexts: 1, offloads: offloads)
    do {
      let address = network.address(of: network.right, 7, isIPv4: isIPv4)
      let server = try network.wait(network.right.sockets.bindDatagram(to: address))
      let client = try network.wait(
        network.left.sockets.bindDatagram(to: network.address(of: network.left, 0, isIPv4: isIPv4)))
      let largest = 1500 - (isIPv4 ? 28 : 48)
      // The neighbour is found out first.
      try client.send([0], to: address).get()
      #expect(network.scheduler.run { server.isReadable })
      _ = try server.receive().get()
      for (total, size) in [
        (10_000, 1000), (9999, 1000), (1, 1), (700, 1000), (128, 1), (20 * largest, largest),
      ] {
        let sent = network.left.count { $0.datagramsSent.value }
        let bytes = (0..<total).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        try client.send(bytes, to: address, segmentSize: size).get()
        var (got, count) = ([UInt8](), 0)
        while got.count < total {
          #expect(network.scheduler.run { server.isReadable })
          let (info, piece) = try server.receive(65_536).get()
          #expect(piece.count == min(size, total - got.count) && info.source == client.localAddress)
          got += piece
          count += 1
        }
        #expect(got == bytes && count == (total + size - 1) / size && !server.isReadable)
        #expect(network.left.count { $0.datagramsSent.value } - sent == UInt64(count))
      }
      let refused: [(Int, Int, SocketError)] = [
        (10, 0, .invalidAddress), (10, -1, .invalidAddress), (129, 1, .messageTooLarge),
        (2 * largest, largest + 1, .messageTooLarge), (65_528, 1400, .messageTooLarge),
      ]
      for (total, size, error) in refused {
        #expect(throws: error) {
          try client.send([UInt8](repeating: 0, count: total), to: address, segmentSize: size).get()
        }
      }
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
