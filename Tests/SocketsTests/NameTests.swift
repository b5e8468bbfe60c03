import Exclusion
import Testing
import Wire

@testable import Sockets

/// Addresses and ports that sockets get, and the numbers of what goes wrong.
@Suite struct NameTests {
  /// L10: the range of ports does not wrap, wherever it ends, and being out of them is an error of its own.
  @Test(arguments: [40000...40003, 65532...65535, 1...4] as [ClosedRange<UInt16>])
  func L10_portsStayInTheirRangeAndRunOut(range: ClosedRange<UInt16>) throws {
    let network = try Network { $0.ephemeralPorts = range }
    do {
      let address = network.address(of: network.right, 700, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address))
      var clients: [StreamSocket] = []
      for _ in range { clients.append(try network.wait(network.left.sockets.connect(to: address))) }
      #expect(network.scheduler.run { clients.allSatisfy(\.isConnected) })
      #expect(Set(clients.map(\.localAddress.port)) == Set(range))
      // None is left for this destination; the next one has a socket only when one has gone.
      let refused = network.left.sockets.connect(to: address)
      #expect(network.scheduler.run { refused.isReady })
      #expect(throws: SocketError.addressNotAvailable) { try refused.take()!.get() }
      // Another destination is another name.
      let other = network.address(of: network.right, 700, isIPv4: false)
      let elsewhere = try network.wait(network.left.sockets.connect(to: other))
      #expect(range.contains(elsewhere.localAddress.port))
      clients[0].abort()
      let freed = clients[0].localAddress.port
      network.scheduler.run(milliseconds: 100)
      let again = try network.wait(network.left.sockets.connect(to: address))
      #expect(again.localAddress.port == freed)
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// RFC 6056: where the search begins nobody outside can tell, and it is elsewhere for each destination.
  // Rules: RFC 5927 4.2-1
  @Test func portsBeginElsewhereForEachDestination() {
    func first(_ seed: UInt64, _ remote: String, _ port: UInt16) -> UInt16? {
      let flow = FlowKey(
        localAddress: IPAddress("10.0.0.1")!, localPort: 0, remoteAddress: IPAddress(remote)!,
        remotePort: port)
      return EphemeralPorts(1024...65535, key: HashKey(seed: seed)).first(for: flow) { _ in true }
    }
    let port = first(1, "10.0.0.2", 80)
    #expect(port == first(1, "10.0.0.2", 80))
    #expect(port != first(2, "10.0.0.2", 80), "the key")
    #expect(port != first(1, "10.0.0.3", 80) && port != first(1, "10.0.0.2", 81))
  }

  /// RFC 6056 section 3.3.4: each port once in a round, and what one search passed over the next one does not meet again.
  @Test func usedPortsInARowCostOneSearch() {
    let ports = EphemeralPorts(1024...65535, key: HashKey(seed: 9))
    let flow = FlowKey(
      localAddress: IPAddress("10.0.0.1")!, localPort: 0, remoteAddress: IPAddress("10.0.0.2")!,
      remotePort: 80)
    var taken = Set<UInt16>()
    for _ in 0..<20_000 { taken.insert(ports.first(for: flow) { !taken.contains($0) } ?? 0) }
    #expect(taken.count == 20_000 && !taken.contains(0))
    // Once around: the search meets all that are taken, once.
    var looks = 0
    for _ in 0..<(64_512 - 20_000) { _ = ports.first(for: flow) { !taken.contains($0) } }
    for _ in 0..<100 {
      _ = ports.first(for: flow) { port in
        looks += 1
        return !taken.contains(port)
      }
    }
    #expect(looks == 20_100)
    #expect(ports.first(for: flow) { _ in false } == nil)
  }

  @Test func L10_datagramSocketsTakeEveryPortOnceAndThenNone() throws {
    let network = try Network { $0.ephemeralPorts = 50000...50007 }
    do {
      let any = SocketAddress(IPAddress.anyIPv4, port: 0)
      let sockets = try (0..<8).map { _ in try network.wait(network.left.sockets.bindDatagram(to: any)) }
      #expect(Set(sockets.map(\.localAddress.port)) == Set(50000...50007))
      let refused = network.left.sockets.bindDatagram(to: any)
      #expect(network.scheduler.run { refused.isReady })
      #expect(throws: SocketError.addressInUse) { try refused.take()!.get() }
    }
    network.expectNothingLeft()
  }

  /// P6: what a socket is bound to is address and port; the unspecified address stands for those that are not
  /// bound themselves, and that of IPv6 for IPv4 as well.
  @Test func P6_theMostSpecificBindingGetsTheDatagram() throws {
    let network = try Network()
    do {
      let port: UInt16 = 5000
      func bind(_ address: IPAddress) throws -> DatagramSocket {
        try network.wait(
          network.right.sockets.bindDatagram(
            to: SocketAddress(address, port: port), options: .reuseAddress))
      }
      func receiver(_ target: IPAddress, of sockets: [DatagramSocket]) throws -> Int? {
        let sender = try network.wait(
          network.left.sockets.bindDatagram(
            to: SocketAddress(target.isIPv4 ? .anyIPv4 : .anyIPv6, port: 0)))
        let bytes: [UInt8] = [1]
        _ = unsafe bytes.withUnsafeBytes {
          unsafe sender.trySend($0, to: SocketAddress(target, port: port))
        }
        network.scheduler.run(milliseconds: 50)
        var buffer = [UInt8](repeating: 0, count: 8)
        return sockets.firstIndex { socket in
          let received = unsafe buffer.withUnsafeMutableBytes { unsafe socket.tryReceive(into: $0) }
          if case .success = received { return true }
          return false
        }
      }
      let (ipv4, ipv6) = (network.right.ipv4, network.right.ipv6)
      let dual = try bind(.anyIPv6)
      #expect(try receiver(ipv4, of: [dual]) == 0 && receiver(ipv6, of: [dual]) == 0)
      let wildcard = try bind(.anyIPv4)
      #expect(try receiver(ipv4, of: [dual, wildcard]) == 1 && receiver(ipv6, of: [dual, wildcard]) == 0)
      let exact = try bind(ipv4)
      let all = [dual, wildcard, exact]
      #expect(try receiver(ipv4, of: all) == 2 && receiver(ipv6, of: all) == 0)
      exact.close()
      network.scheduler.settle()
      #expect(try receiver(ipv4, of: [dual, wildcard]) == 1)
    }
    network.expectNothingLeft()
  }

  /// P6: taken is the same address with the same port and protocol, and nothing else.
  @Test func P6_aNameIsTakenByItselfAlone() throws {
    let network = try Network()
    do {
      let sockets = network.right.sockets
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listener = try network.wait(sockets.listen(on: address))
      let datagram = try network.wait(sockets.bindDatagram(to: address))
      let otherPort = try network.wait(
        sockets.listen(on: network.address(of: network.right, 81, isIPv4: true)))
      let taken = sockets.bindDatagram(to: address)
      #expect(network.scheduler.run { taken.isReady })
      #expect(throws: SocketError.addressInUse) { try taken.take()!.get() }
      for invalid in ["224.0.0.1", "ff02::1"] {
        let refused = sockets.listen(on: SocketAddress(IPAddress(invalid)!, port: 82))
        #expect(network.scheduler.run { refused.isReady })
        #expect(throws: SocketError.invalidAddress) { try refused.take()!.get() }
      }
      for socket in [listener, otherPort] { socket.close() }
      datagram.close()
      network.scheduler.settle()
      #expect(sockets.bindingCount == 0)
    }
    network.expectNothingLeft()
  }

  /// C4: an error can never be read as success, also where it is kept as a number.
  @Test func C4_noErrorHasTheNumberZero() {
    var seen: Set<Int32> = []
    for error in SocketError.allCases {
      #expect(error.errno > 0)
      #expect(seen.insert(error.errno).inserted, "\(error) has a number of its own")
      #expect(SocketError(code: error.code) == error)
      #expect(!error.description.isEmpty)
    }
    #expect(seen.count > 10)
    #expect(SocketError(code: 0) == nil && SocketError(rawValue: 0) == nil)
  }
}
