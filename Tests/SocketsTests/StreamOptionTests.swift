// What a stream is set to: from the beginning, from its listener, and while it is in use.

import DeviceTesting
import Devices
import SoftInterrupts
import TCP
import Testing
import Timing
import Wire

@testable import Sockets

@Suite struct StreamOptionTests {
  /// A listener on the right, set to `options`, and a connection of a socket that is set to `client`.
  func connect(
    _ network: Network, listener options: StreamOptions? = nil, client: StreamOptions? = nil
  ) throws -> (listener: ListeningSocket, client: StreamSocket, server: StreamSocket) {
    let fresh = try network.wait(network.right.sockets.makeStream(options: options))
    let name = network.address(of: network.right, 7, isIPv4: true)
    _ = try network.wait(fresh.bind(to: name))
    let listener = try network.wait(fresh.listen(options: options))
    let unconnected = try network.wait(network.left.sockets.makeStream(options: client))
    let stream = try unconnected.connect(to: name).get()
    #expect(network.scheduler.run { stream.isWritable(need: 0) })
    return (listener, stream, try network.accept(listener))
  }

  @Test func childrenBeginAsTheirListenerIsSet() throws {
    let network = try Network()
    do {
      var options = StreamOptions(limits: BufferLimits(send: 8192, receive: 16384))
      options.tcp.noDelay = true
      options.tcp.keepaliveIdle = .seconds(10)
      options.segmentLimit = 600
      let (listener, client, server) = try connect(network, listener: options)
      let info = try #require(network.wait(info: server))
      #expect(info.configuration.noDelay && info.configuration.keepaliveIdle == .seconds(10))
      #expect(info.configuration.maximumSegment == 600)
      #expect(server.limits == BufferLimits(send: 8192, receive: 16384))
      #expect(try #require(network.wait(info: client)).tcp.sendSegment <= 600, "as the SYN-ACK said")
      for stream in [client, server] { stream.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  @Test func listenerThatIsSetAnewHasOtherChildren() throws {
    let network = try Network()
    do {
      let (listener, first, second) = try connect(network)
      var options = StreamOptions()
      options.tcp.noDelay = true
      listener.setOptions(options)
      let client = try network.wait(network.left.sockets.connect(to: listener.address))
      let server = try network.accept(listener)
      #expect(try #require(network.wait(info: server)).configuration.noDelay)
      #expect(try !#require(network.wait(info: second)).configuration.noDelay)
      for stream in [first, second, client, server] { stream.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  @Test func streamInUseTakesOtherOptionsInOrder() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try connect(network)
      var options = StreamOptions()
      options.tcp.userTimeout = .seconds(3)
      options.tcp.keepaliveIdle = .seconds(20)
      options.limits = BufferLimits(send: 4096, receive: 8192)
      client.setOptions(options)
      let configuration = try #require(network.wait(info: client)).configuration
      #expect(configuration.userTimeout == .seconds(3) && configuration.keepaliveIdle == .seconds(20))
      #expect(client.limits == BufferLimits(send: 4096, receive: 8192))
      // The bit that switches keep-alive alone goes back to the time that was set.
      client.setKeepAlive(false)
      client.setKeepAlive(true)
      #expect(try #require(network.wait(info: client)).configuration.keepaliveIdle == .seconds(20))
      for stream in [client, server] { stream.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  @Test func optionsOfASocketAreThereWhenItConnects() throws {
    let network = try Network()
    do {
      var options = StreamOptions()
      options.tcp.timestamps = false
      options.segmentLimit = 900
      let (listener, client, server) = try connect(network, client: options)
      let info = try #require(network.wait(info: client))
      #expect(!info.tcp.timestamps && info.configuration.maximumSegment == 900)
      #expect(try #require(network.wait(info: server)).tcp.sendSegment == 900)
      for stream in [client, server] { stream.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  @Test func whatIsNotPushedWaitsForMore() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try connect(network)
      let bytes = [UInt8](repeating: 7, count: 100)
      #expect(unsafe bytes.withUnsafeBytes { unsafe client.tryWrite($0, isPushed: false) } == .bytes(100))
      network.scheduler.settle()
      #expect(server.condition.available == 0 && client.condition.unsent == 100)
      client.push()
      network.scheduler.settle()
      #expect(server.condition.available == 100 && client.condition.unsent == 0)
      for stream in [client, server] { stream.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  @Test func unsentBytesAreBoundedAndTheirEndIsTold() throws {
    let network = try Network()
    do {
      var options = StreamOptions()
      options.unsentLimit = 4000
      let (listener, client, server) = try connect(network, client: options)
      // More than the first congestion window: the rest is unsent until acknowledgments come.
      let bytes = [UInt8](repeating: 7, count: 60_000)
      guard case .bytes(let taken) = client.writeAll(bytes) else {
        Issue.record("nothing was taken")
        return
      }
      #expect(client.condition.unsent >= 4000 && client.writeAll(bytes) == .wouldBlock)
      #expect(!client.isWritable(need: 1))
      #expect(network.scheduler.run { client.isWritable(need: 1) })
      #expect(client.condition.unsent < 4000)
      #expect(network.scheduler.run { server.condition.received == UInt64(taken) })
      _ = server.readSome(taken)
      for stream in [client, server] { stream.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  @Test func peekSeesAcrossSegmentsAndLeavesThem() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try connect(network)
      client.setNoDelay(true)
      for value in 0..<5 {
        #expect(client.writeAll([UInt8](repeating: UInt8(value), count: 700)) == .bytes(700))
        network.scheduler.settle()
      }
      let all = (0..<5).flatMap { [UInt8](repeating: UInt8($0), count: 700) }
      func peek(_ count: Int) -> [UInt8] {
        var buffer = [UInt8](repeating: 99, count: count)
        let seen = unsafe buffer.withUnsafeMutableBytes { unsafe server.peek(into: $0) }
        return Array(buffer[..<seen])
      }
      #expect(peek(10_000) == all && peek(100) == Array(all[..<100]))
      #expect(server.readSome(1000).1 == Array(all[..<1000]))
      #expect(peek(10_000) == Array(all[1000...]))
      // What is appended to the last packet after it was looked at is seen, too.
      #expect(client.writeAll([9, 9]) == .bytes(2))
      network.scheduler.settle()
      #expect(peek(10_000) == Array(all[1000...]) + [9, 9])
      #expect(server.readSome(10_000).1 == Array(all[1000...]) + [9, 9])
      #expect(peek(10).isEmpty)
      for stream in [client, server] { stream.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  @Test func conditionFollowsTheConnection() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try connect(network)
      #expect(client.condition.state == .established && client.condition.isConnected)
      #expect(client.writeAll([1, 2, 3]) == .bytes(3))
      #expect(client.condition.unacknowledged == 3)
      network.scheduler.settle()
      #expect(server.condition.available == 3 && server.condition.received == 3)
      client.shutdownSend()
      // The FIN is acknowledged with an answer, or after a while.
      network.scheduler.run(milliseconds: 40)
      #expect(client.condition.isSendShutdown && client.condition.state == .finWait2)
      #expect(server.condition.isAtEnd && server.condition.state == .closeWait)
      _ = server.readSome()
      server.abort()
      network.scheduler.settle()
      #expect(client.condition.failure == .connectionReset && client.condition.hasEnded)
      #expect(client.condition.state == .closed)
      for stream in [client, server] { stream.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  @Test func deferredAcceptWaitsForData() throws {
    let network = try Network()
    do {
      var options = StreamOptions()
      options.deferredAccept = 3
      let fresh = try network.wait(network.right.sockets.makeStream())
      let name = network.address(of: network.right, 7, isIPv4: true)
      _ = try network.wait(fresh.bind(to: name))
      let listener = try network.wait(fresh.listen(options: options))
      let client = try network.wait(network.left.sockets.connect(to: name))
      #expect(network.scheduler.run { client.isWritable(need: 0) })
      #expect(!listener.isAcceptable && network.counted("handshakes_deferred") == 1)
      #expect(client.writeAll([1]) == .bytes(1))
      network.scheduler.settle()
      let server = try network.accept(listener)
      #expect(server.readSome().1 == [1])
      for stream in [client, server] { stream.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  @Test func backlogMayGrow() throws {
    let network = try Network()
    do {
      let listener = try network.wait(
        network.right.sockets.listen(on: network.address(of: network.right, 7, isIPv4: true), backlog: 1))
      let clients = try (0..<2).map { _ in
        try network.wait(network.left.sockets.connect(to: listener.address))
      }
      network.scheduler.run(milliseconds: 100)
      #expect(listener.waiting == 1)
      listener.setBacklog(5)
      network.scheduler.run(milliseconds: 3000)
      #expect(listener.waiting == 2)
      let servers = try (0..<2).map { _ in try network.accept(listener) }
      for stream in clients + servers { stream.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  @Test func whatIsWrittenAheadGoesWithTheHandshake() throws {
    let network = try Network()
    do {
      let listener = try network.wait(
        network.right.sockets.listen(on: network.address(of: network.right, 7, isIPv4: true)))
      let fresh = try network.wait(network.left.sockets.makeStream())
      let client = try fresh.connect(to: listener.address).get()
      #expect(client.writeAll([1, 2]) == .wouldBlock)
      let outcome = unsafe [UInt8]([1, 2]).withUnsafeBytes { unsafe client.tryWriteAhead($0) }
      #expect(outcome == .bytes(2))
      let server = try network.accept(listener)
      #expect(server.readSome().1 == [1, 2])
      for stream in [client, server] { stream.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  @Test func answersComeAlsoFromWhatHasEnded() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try connect(network)
      server.abort()
      network.scheduler.settle()
      #expect(network.wait(info: client)?.tcp.state == .closed)
      for stream in [client, server] { stream.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }
}

extension Network {
  /// What the owner of a stream tells.
  fileprivate func wait(info stream: StreamSocket) -> StreamInfo? {
    let answer = stream.info()
    scheduler.settle()
    return answer.take() ?? nil
  }
}
