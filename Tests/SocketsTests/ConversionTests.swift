import Exclusion
import Testing
import Wire

@testable import Sockets

/// Sockets that are not connected at first, and what they become.
@Suite struct ConversionTests {
  private func stream(_ network: Network, _ family: AddressFamily = .inet6) throws -> UnconnectedStream {
    try network.wait(network.right.sockets.makeStream(family))
  }

  /// L1, SO-PCB: a control block is there from the beginning to the end.
  @Test func L1_SO_PCB_theControlBlockIsThereFromTheBeginning() throws {
    let network = try Network(contexts: 2)
    do {
      let socket = try stream(network)
      #expect(network.connectionsInUse == 1)
      socket.close()
      socket.close()
      network.scheduler.settle()
      #expect(network.connectionsInUse == 1, "as long as the handle")
      #expect(throws: SocketError.closed) { try socket.connect(to: SocketAddress("10.0.0.1:9")!).get() }
      let bound = socket.bind(to: SocketAddress("10.0.0.2:9")!)
      #expect(throws: SocketError.closed) { try bound.take()!.get() }
      let listening = socket.listen()
      #expect(throws: SocketError.closed) { try listening.take()!.get() }
    }
    network.expectNothingLeft()
  }

  /// L3: abort and close cannot fail, whatever the socket is at the moment, and leave nothing.
  @Test func L3_SO_NOFAIL_everyEndSucceedsInEveryState() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.left, 7, isIPv4: true)
      let listener = try network.wait(network.left.sockets.listen(on: address))
      for steps in 0..<40 {
        for isAbort in [true, false] {
          let socket = try stream(network)
          let connecting = try socket.connect(to: address).get()
          network.step(steps)
          if isAbort { connecting.abort() } else { connecting.close() }
          connecting.close()
          connecting.abort()
          socket.close()
        }
      }
      listener.close()
    }
    network.expectNothingLeft()
  }

  // Rules: RFC 9293 MUST-43, MUST-45
  @Test(arguments: [1, 3]) func aBoundSocketConnectsFromItsName(contexts: Int) throws {
    let network = try Network(contexts: contexts)
    do {
      let address = network.address(of: network.left, 7, isIPv4: true)
      let listener = try network.wait(network.left.sockets.listen(on: address))
      let socket = try stream(network)
      #expect(try network.wait(socket.bind(to: SocketAddress("10.0.0.2:4444")!)) == socket.localAddress)
      let again = socket.bind(to: SocketAddress("10.0.0.2:4445")!)
      #expect(throws: SocketError.invalidAddress) { try again.take()!.get() }
      let connection = try socket.connect(to: address).get()
      connection.setNoDelay(true)
      #expect(throws: SocketError.alreadyConnected) { try socket.connect(to: address).get() }
      let late = socket.listen()
      #expect(throws: SocketError.invalidAddress) { try late.take()!.get() }
      #expect(network.scheduler.run { connection.isConnected })
      #expect(connection.localAddress == SocketAddress("10.0.0.2:4444")!)
      let child = try network.accept(listener)
      #expect(child.remoteAddress == connection.localAddress)
      socket.close()
      #expect(connection.writeAll([1, 2]) == .bytes(2), "the spent handle ends nothing")
      #expect(network.scheduler.run { child.isReadable(need: 2) })
      // The name is claimed as long as the connection lives.
      let taken = network.right.sockets.listen(on: SocketAddress("10.0.0.2:4444")!)
      #expect(network.scheduler.run { taken.isReady })
      #expect(throws: SocketError.addressInUse) { try taken.take()!.get() }
      connection.abort()
      network.scheduler.run(milliseconds: 10)
      try network.wait(network.right.sockets.listen(on: SocketAddress("10.0.0.2:4444")!)).close()
    }
    network.expectNothingLeft()
  }

  @Test func aSocketWithoutAWayFails() throws {
    let network = try Network()
    do {
      let socket = try stream(network)
      #expect(throws: SocketError.invalidAddress) {
        try socket.connect(to: SocketAddress("10.0.0.1:0")!).get()
      }
      let connecting = try socket.connect(to: SocketAddress("192.0.2.1:80")!).get()
      #expect(network.scheduler.run { connecting.isWritable(need: 0) })
      #expect(connecting.failure == .networkUnreachable)
      let four = try stream(network, .inet)
      #expect(throws: SocketError.invalidAddress) {
        try four.connect(to: network.address(of: network.left, 7, isIPv4: false)).get()
      }
    }
    network.expectNothingLeft()
  }

  @Test(arguments: [true, false]) func aSocketBecomesAListener(isBound: Bool) throws {
    let network = try Network(contexts: 2)
    do {
      let socket = try stream(network)
      if isBound { _ = try network.wait(socket.bind(to: SocketAddress("[::]:8080")!)) }
      let pending = socket.listen(backlog: 3)
      #expect(throws: SocketError.alreadyInProgress) {
        try socket.connect(to: SocketAddress("10.0.0.1:7")!).get()
      }
      let listener = try network.wait(pending)
      #expect(listener.address.port == (isBound ? 8080 : listener.address.port) && listener.address.port != 0)
      #expect(network.connectionsInUse == 1, "the block lives as long as its handle")
      socket.close()
      let client = try network.wait(
        network.left.sockets.connect(
          to: network.address(of: network.right, listener.address.port, isIPv4: true)))
      #expect(network.scheduler.run { client.isConnected })
      _ = try network.accept(listener)
      #expect(throws: SocketError.invalidAddress) { try socket.listen().take()!.get() }
    }
    network.expectNothingLeft()
    #expect(network.right.sockets.bindingCount == 0)
  }

  /// Who cannot listen is what it was, and may try again.
  @Test func aFailedConversionChangesNothing() throws {
    let network = try Network()
    do {
      let name = SocketAddress("10.0.0.2:80")!
      let (one, two) = (try stream(network), try stream(network))
      for socket in [one, two] {
        #expect(try network.wait(socket.bind(to: name, options: .reuseAddress)) == name)
      }
      let listener = try network.wait(one.listen())
      let refused = two.listen()
      #expect(network.scheduler.run { refused.isReady })
      #expect(throws: SocketError.addressInUse) { try refused.take()!.get() }
      #expect(two.localAddress == name)
      listener.close()
      network.scheduler.settle()
      try network.wait(two.listen()).close()
    }
    network.expectNothingLeft()
  }

  /// A bind that the control context answers after close leaves no claim.
  @Test func aLateBindLeavesNoClaim() throws {
    let network = try Network(contexts: 2)
    do {
      let name = SocketAddress("10.0.0.2:80")!
      for _ in 0..<4 {
        let socket = try stream(network)
        let late = socket.bind(to: name)
        socket.close()
        #expect(network.scheduler.run { late.isReady })
        _ = late.take()
      }
      network.scheduler.settle()
      try network.wait(network.right.sockets.listen(on: name, options: [])).close()
    }
    network.expectNothingLeft()
  }

  /// Connect, listen and close from several threads at once: one comes first, the others learn why they were late,
  /// and nothing is left.
  @Test func SO_TERM_ofThreadsThatConvertASocketOneComesFirst() throws {
    let network = try Network(contexts: 2)
    do {
      let address = network.address(of: network.left, 7, isIPv4: true)
      let target = try network.wait(network.left.sockets.listen(on: address, backlog: 1000))
      var winners = [0, 0, 0]
      for round in 0..<150 {
        let socket = try stream(network)
        let connected = Box<Result<StreamSocket, SocketError>?>(nil)
        let listening = Box<Answer<Result<ListeningSocket, SocketError>>?>(nil)
        let threads = try [
          WorkerThread(name: "connect") { connected.value = socket.connect(to: address) },
          WorkerThread(name: "listen") { listening.value = socket.listen() },
          WorkerThread(name: "close") { if round % 3 == 0 { socket.close() } },
        ]
        network.step(round % 7)
        for thread in threads { thread.join() }
        let answer = try #require(listening.value)
        #expect(network.scheduler.run { answer.isReady })
        let listener = try #require(answer.take())
        switch (try #require(connected.value), listener) {
        case (.success(let connection), .failure(let error)):
          winners[0] += 1
          #expect(error == .invalidAddress || error == .closed)
          connection.abort()
        case (.failure(let error), .success(let listener)):
          winners[1] += 1
          #expect([.alreadyInProgress, .invalidAddress, .closed].contains(error))
          listener.close()
        case (.failure(let one), .failure(let other)):
          winners[2] += 1
          #expect(one == .closed || other == .closed, "\(one) \(other)")
        case (.success, .success): Issue.record("two winners")
        }
      }
      #expect(winners.reduce(0, +) == 150)
      target.close()
    }
    network.expectNothingLeft()
    #expect(network.right.sockets.bindingCount == 0)
  }
}
