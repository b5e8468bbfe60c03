import Testing
import Wire

@testable import Drill

@Suite struct HostNumberTests {
  @Test func errorsAreFoundByTheirSpelling() {
    for errno in Errno.allCases { #expect(Errno(name: errno.name) == errno) }
    #expect(Errno(name: "EWOULDBLOCK") == .EAGAIN)
    #expect(Errno(name: "EDOESNOTEXIST") == nil)
    #expect(Errno.ECONNREFUSED.name == "ECONNREFUSED")
  }
}

@Suite struct HostLifeTests {
  @Test func descriptorsBeginAtThreeAndTheLowestIsUsedAgain() throws {
    let world = try HostWorld()
    try world.expect(.socket(domain: 2, type: 1, protocol: 0), 3)
    try world.expect(.socket(domain: 10, type: 1, protocol: 6), 4)
    try world.expect(.epollCreate(size: 1), 5)
    try world.expect(.close(4), 0)
    try world.expect(.close(4), .EBADF)
    try world.expect(.socket(domain: 2, type: 1 | 0x800, protocol: 6), 4)
    try world.expect(.fcntl(4, command: 3, argument: 0), 0o4002)
    try world.expect(.listen(5, backlog: 1), .ENOTSOCK)
    world.expectNothingLeft()
  }

  @Test func socketRefusesWhatThereIsNot() throws {
    let world = try HostWorld()
    try world.expect(.socket(domain: 44, type: 1, protocol: 0), .EAFNOSUPPORT)
    try world.expect(.socket(domain: 2, type: 77, protocol: 0), .EINVAL)
    try world.expect(.socket(domain: 2, type: 1, protocol: 17), .EPROTONOSUPPORT)
    try world.expect(.socket(domain: 2, type: 2, protocol: 6), .EPROTONOSUPPORT)
    #expect(world.isUnsupported(.socket(domain: 2, type: 2, protocol: 136)))
    world.expectNothingLeft()
  }

  @Test func bindHasItsErrors() throws {
    let world = try HostWorld()
    let first = try world.socket()
    let second = try world.socket()
    let name = AddressArgument.inet(SocketAddress(world.local, port: 8080))
    try world.expect(.bind(first, .null), .EFAULT)
    try world.expect(.bind(first, .inet(SocketAddress(IPAddress("192.0.2.77")!, port: 1))), .EADDRNOTAVAIL)
    try world.expect(.bind(first, .inet(SocketAddress(IPAddress("fd00::1")!, port: 1))), .EAFNOSUPPORT)
    try world.expect(.bind(first, name), 0)
    try world.expect(.bind(first, name), .EINVAL)
    try world.expect(.bind(second, name), .EADDRINUSE)
    #expect(try world.call(.getsockname(first)).address == SocketAddress(world.local, port: 8080))
    try world.expect(.getpeername(first), .ENOTCONN)
    try world.expect(.close(first), 0)
    try world.expect(.bind(second, name), 0)
    world.expectNothingLeft()
  }

  @Test(arguments: [true, false]) func acceptWaitsForAConnection(isIPv4: Bool) throws {
    let world = try HostWorld(isIPv4: isIPv4)
    let listener = try world.listen()
    let handle = try world.block(.accept(listener, flags: 0))
    #expect(world.host.poll(handle) == nil)
    try world.handshake()
    let result = try #require(world.host.poll(handle))
    #expect(result.value == 4 && result.address == SocketAddress(world.remote, port: world.peerPort))
    #expect(world.host.poll(handle) == nil, "once")
    #expect(try world.call(.getpeername(4)).address?.port == world.peerPort)
    try world.setNonblocking(listener)
    try world.expect(.accept(listener, flags: 0), .EAGAIN)
    try world.expect(.accept(4, flags: 0), .EINVAL)
    world.expectNothingLeft()
  }

  @Test func listeningSocketsReadAndWriteNothing() throws {
    let world = try HostWorld()
    let listener = try world.listen()
    try world.expect(.read(listener, .space(10)), .ENOTCONN)
    try world.expect(.write(listener, .zeros(10)), .EPIPE)
    try world.expect(.connect(listener, world.peer), .EISCONN)
    try world.expect(.listen(listener, backlog: 7), 0)
    try world.expect(.shutdown(listener, how: 0), 0)
    // It has its name yet, and listens again.
    try world.expect(.accept(listener, flags: 0), .EINVAL)
    try world.expect(.listen(listener, backlog: 7), 0)
    try world.handshake()
    try world.expect(.accept(listener, flags: 0), 4)
    world.expectNothingLeft()
  }

  @Test func connectGoesThroughItsAnswers() throws {
    let world = try HostWorld()
    let socket = try world.socket()
    try world.setNonblocking(socket)
    try world.expect(.connect(socket, .null), .EFAULT)
    try world.expect(.connect(socket, world.peer), .EINPROGRESS)
    try world.one(.syn)
    try world.expect(.connect(socket, world.peer), .EALREADY)
    try world.expect(.read(socket, .space(1)), .EAGAIN)
    try world.expect(.write(socket, .zeros(1)), .EAGAIN)
    try world.expect(.getpeername(socket), .ENOTCONN)
    world.answer()
    try world.one(.ack)
    try world.expect(.connect(socket, world.peer), 0)
    try world.expect(.connect(socket, world.peer), .EISCONN)
    #expect(try world.get(socket, "SOL_SOCKET", "SO_ERROR") == .integer(0))
    world.expectNothingLeft()
  }

  @Test func refusedConnectTellsOnceAndMayBeTriedAgain() throws {
    let world = try HostWorld()
    let socket = try world.socket()
    let handle = try world.block(.connect(socket, world.peer))
    try world.one(.syn)
    world.send([.rst, .ack])
    #expect(world.host.poll(handle)?.errno == .ECONNREFUSED)
    #expect(try world.get(socket, "SOL_SOCKET", "SO_ERROR") == .integer(0))
    try world.expect(.read(socket, .space(1)), .ENOTCONN)
    try world.expect(.write(socket, .zeros(1)), .EPIPE)
    let again = try world.block(.connect(socket, world.peer))
    try world.one(.syn)
    world.answer()
    #expect(world.host.poll(again)?.value == 0)
    world.expectNothingLeft()
  }

  @Test func refusalOfWhoDoesNotWaitIsInTheSocket() throws {
    let world = try HostWorld()
    let socket = try world.socket()
    try world.setNonblocking(socket)
    try world.expect(.connect(socket, world.peer), .EINPROGRESS)
    try world.one(.syn)
    world.send([.rst, .ack])
    #expect(
      try world.call(.poll([PollRequest(descriptor: socket, events: 5)], timeout: 0)).pollEvents == [0x1D])
    #expect(try world.get(socket, "SOL_SOCKET", "SO_ERROR") == .integer(Errno.ECONNREFUSED.rawValue))
    #expect(try world.get(socket, "SOL_SOCKET", "SO_ERROR") == .integer(0))
    world.expectNothingLeft()
  }

  @Test func connectTimesOutAfterItsAttempts() throws {
    let world = try HostWorld { $0.synRetries = 2 }
    let socket = try world.socket()
    let handle = try world.block(.connect(socket, world.peer))
    #expect(world.host.advanceToNextEvent(limit: world.host.now.adding(milliseconds: 5000)))
    #expect(world.host.now.nanoseconds == 2_000_000_000, "the SYN again, after a second")
    world.run(milliseconds: 10_000)
    #expect(world.host.poll(handle)?.errno == .ETIMEDOUT)
    #expect(try world.seen().count == 3)
    world.expectNothingLeft()
  }

  @Test func sendTimeoutEndsTheWaitForAConnection() throws {
    let world = try HostWorld()
    let socket = try world.socket()
    try world.expect(
      .setsockopt(socket, level: 1, name: 21, .time(seconds: 0, microseconds: 300_000), size: 16), 0)
    let handle = try world.block(.connect(socket, world.peer))
    world.run(milliseconds: 299)
    #expect(world.host.poll(handle) == nil)
    world.run(milliseconds: 1)
    #expect(world.host.poll(handle)?.errno == .EINPROGRESS)
    world.expectNothingLeft()
  }

  @Test func unspecifiedAddressDisconnects() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    try world.expect(.connect(socket, .unspecified), 0)
    try world.one([.rst, .ack])
    try world.expect(.write(socket, .zeros(1)), .EPIPE)
    try world.expect(.getpeername(socket), .ENOTCONN)
    try world.setNonblocking(socket)
    try world.expect(.connect(socket, world.peer), .EINPROGRESS)
    world.expectNothingLeft()
  }

  @Test func shutdownKnowsItsStates() throws {
    let world = try HostWorld()
    let unconnected = try world.socket()
    try world.expect(.shutdown(unconnected, how: 1), .ENOTCONN)
    try world.expect(.close(unconnected), 0)
    let socket = try world.connect()
    try world.expect(.shutdown(socket, how: 3), .EINVAL)
    try world.expect(.shutdown(socket, how: 1), 0)
    try world.one([.fin, .ack])
    try world.expect(.shutdown(socket, how: 1), 0)
    #expect(try world.seen().isEmpty)
    try world.expect(.write(socket, .zeros(1)), .EPIPE)
    world.send([.fin, .ack], ack: 2)
    try world.one(.ack)
    // TIME-WAIT is the protocol's; the socket is closed.
    try world.expect(.shutdown(socket, how: 1), .ENOTCONN)
    #expect(world.host.info(socket)?["tcpi_state"] == 7)
    world.expectNothingLeft()
  }

  @Test(arguments: [Personality.linux, .bsd])
  func whatComesAfterShutdownOfReading(personality: Personality) throws {
    let world = try HostWorld(personality)
    let socket = try world.connect()
    try world.expect(.shutdown(socket, how: 0), 0)
    try world.expect(.read(socket, .space(100)), 0)
    world.send(.ack, 10)
    let outcome = try world.call(.read(socket, .space(100)))
    #expect(outcome.value == (personality == .linux ? 10 : 0))
    world.expectNothingLeft()
  }

  @Test func closeOfUnreadDataResets() throws {
    let world = try HostWorld()
    let (_, child) = try world.accept()
    world.send(.ack, 10)
    _ = try world.seen()
    try world.expect(.close(child), 0)
    try world.one([.rst, .ack])
    world.expectNothingLeft()
  }

  @Test func lingerWithoutTimeResets() throws {
    let world = try HostWorld()
    let (_, child) = try world.accept()
    try world.expect(.setsockopt(child, level: 1, name: 13, .linger(isOn: true, seconds: 0), size: 8), 0)
    try world.expect(.close(child), 0)
    try world.one([.rst, .ack])
    world.expectNothingLeft()
  }

  @Test func lingerWaitsForThePeersWord() throws {
    let world = try HostWorld()
    let (_, child) = try world.accept()
    try world.expect(.setsockopt(child, level: 1, name: 13, .linger(isOn: true, seconds: 2), size: 8), 0)
    try world.expect(.write(child, .zeros(100)), 100)
    let handle = try world.block(.close(child))
    _ = try world.seen()
    try world.expect(.fcntl(child, command: 3, argument: 0), .EBADF)
    world.send(.ack, ack: 102)
    #expect(world.host.poll(handle)?.value == 0)
    world.expectNothingLeft()
  }

  @Test func lingerEndsAtItsTimeWithoutAReset() throws {
    let world = try HostWorld()
    let (_, child) = try world.accept()
    try world.expect(.setsockopt(child, level: 1, name: 13, .linger(isOn: true, seconds: 2), size: 8), 0)
    let handle = try world.block(.close(child))
    world.run(milliseconds: 1999)
    #expect(world.host.poll(handle) == nil)
    world.run(milliseconds: 1)
    #expect(world.host.poll(handle)?.value == 0)
    #expect(try world.seen().allSatisfy { !$0.flags.contains(.rst) })
    world.expectNothingLeft()
  }

  @Test func usleepTakesItsTime() throws {
    let world = try HostWorld()
    let handle = try world.block(.usleep(microseconds: 1500))
    #expect(world.host.nextDeadline == world.host.now.adding(microseconds: 1500))
    world.run(milliseconds: 1)
    #expect(world.host.poll(handle) == nil)
    world.run(milliseconds: 1)
    #expect(world.host.poll(handle)?.value == 0)
    world.expectNothingLeft()
  }
}
