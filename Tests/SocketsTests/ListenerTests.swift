import Exclusion
import Testing
import Wire

@testable import Sockets

@Suite struct ListenerTests {
  @Test func aPortWithoutListenerRefuses() throws {
    let network = try Network()
    do {
      let client = try network.wait(
        network.left.sockets.connect(to: network.address(of: network.right, 9, isIPv4: true)))
      #expect(network.scheduler.run { client.isWritable(need: 0) })
      #expect(client.failure == .connectionRefused)
      #expect(client.readSome().0 == .failed(.connectionRefused))
    }
    network.expectNothingLeft()
  }

  @Test func anAddressIsBoundOnceAndIsFreeAgainAfterClose() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let first = try network.wait(network.right.sockets.listen(on: address))
      let second = network.right.sockets.listen(on: address)
      #expect(network.scheduler.run { second.isReady })
      #expect(throws: SocketError.addressInUse) { try second.take()!.get() }
      // P6: the same port at another address is another name.
      let other = try network.wait(
        network.right.sockets.listen(on: network.address(of: network.right, 80, isIPv4: false)))
      let foreign = network.right.sockets.listen(on: SocketAddress(network.left.ipv4, port: 81))
      #expect(network.scheduler.run { foreign.isReady })
      #expect(throws: SocketError.addressNotAvailable) { try foreign.take()!.get() }
      first.close()
      let third = try network.wait(network.right.sockets.listen(on: address))
      #expect(network.right.sockets.bindingCount == 2)
      other.close()
      third.close()
      network.scheduler.settle()
      #expect(network.right.sockets.bindingCount == 0)
    }
    network.expectNothingLeft()
  }

  /// Q4, AQ-BOUND: the queue is bounded; who finds it full is not reset, and gets through when there is room.
  @Test func Q4_aFullAcceptQueueDelaysAndDoesNotReset() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address, backlog: 2))
      let clients = try (0..<5).map { _ in try network.wait(network.left.sockets.connect(to: address)) }
      network.scheduler.run(milliseconds: 500)
      #expect(clients.filter(\.isConnected).count >= 2)
      #expect(clients.allSatisfy { $0.failure == nil })
      let delayed = network.right.sockets.withCounters(0) {
        $0.listenOverflows.value + $0.acceptQueueFull.value
      }
      #expect(delayed > 0)
      var children: [StreamSocket] = []
      for _ in 0..<5 { children.append(try network.accept(listener)) }
      #expect(network.scheduler.run { clients.allSatisfy(\.isConnected) })
      #expect(Set(children.map { $0.remoteAddress.port }).count == 5, "each is accepted once")
    }
    network.expectNothingLeft()
  }

  /// AQ-CLOSE, Q3: children that nobody accepted are reset when the listener closes, complete or not.
  @Test func Q3_closingAListenerResetsItsChildren() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address))
      let clients = try (0..<3).map { _ in try network.wait(network.left.sockets.connect(to: address)) }
      #expect(network.scheduler.run { clients.allSatisfy(\.isConnected) })
      listener.close()
      #expect(throws: SocketError.closed) { try listener.tryAccept().get() }
      #expect(network.scheduler.run { clients.allSatisfy { $0.failure == .connectionReset } })
      let late = try network.wait(network.left.sockets.connect(to: address))
      #expect(network.scheduler.run { late.isWritable(need: 0) })
      #expect(late.failure == .connectionRefused)
    }
    network.expectNothingLeft()
  }

  /// AQ-XFER: a child that was never accepted goes with the last reference to its listener.
  @Test func AQ_XFER_SO_REF_aForgottenListenerLeavesNothing() throws {
    let network = try Network(contexts: 2)
    do {
      let address = network.address(of: network.right, 80, isIPv4: false)
      _ = try network.wait(network.right.sockets.listen(on: address))
      let kept = try network.wait(network.right.sockets.listen(on: address))
      let clients = try (0..<8).map { _ in try network.wait(network.left.sockets.connect(to: address)) }
      #expect(network.scheduler.run { clients.allSatisfy(\.isConnected) })
      _ = consume kept
    }
    network.expectNothingLeft()
  }

  /// Data and FIN that come before accept are kept (Q1).
  @Test func Q1_dataAndEndThatComeBeforeAcceptAreKept() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address))
      let client = try network.wait(network.left.sockets.connect(to: address))
      #expect(network.scheduler.run { client.isConnected })
      #expect(client.writeAll(Array("early".utf8)) == .bytes(5))
      client.shutdownSend()
      network.scheduler.run(milliseconds: 100)
      let server = try network.accept(listener)
      #expect(server.readSome().1 == Array("early".utf8))
      #expect(server.readSome().0 == .endOfStream)
    }
    network.expectNothingLeft()
  }
}
