import Testing
import Wire

@testable import Drill

@Suite struct HostTransferTests {
  static let bytes = (0..<200).map { UInt8($0) }

  @Test func readWaitsForDataAndThenForTheEnd() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    let handle = try world.block(.read(socket, .space(1000)))
    world.send(.ack, 200)
    #expect(world.host.poll(handle)?.bytes == Self.bytes)
    let end = try world.block(.read(socket, .space(1000)))
    world.send([.fin, .ack])
    #expect(world.host.poll(end)?.value == 0)
    try world.expect(.read(socket, .space(1)), 0)
    world.expectNothingLeft()
  }

  @Test func peekLeavesWhatItSees() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    world.send(.ack, 100)
    let peek = Int32(Numbers.value("MSG_PEEK")!)
    for _ in 0..<2 {
      #expect(try world.call(.recv(socket, .space(1000), flags: peek)).bytes == Array(Self.bytes[..<100]))
    }
    try world.expect(.read(socket, .space(30)), 30)
    world.send(.ack, 50)
    // Over the end of one segment into the next, from the middle of the first.
    let seen = try world.call(.recv(socket, .space(1000), flags: peek)).bytes
    #expect(seen == Array(Self.bytes[30..<100]) + Array(Self.bytes[..<50]))
    #expect(try world.call(.read(socket, .space(1000))).bytes == seen)
    try world.setNonblocking(socket)
    try world.expect(.recv(socket, .space(1), flags: peek), .EAGAIN)
    world.expectNothingLeft()
  }

  @Test func waitAllAndLowWaterWaitForMore() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    let all = try world.block(.recv(socket, .space(150), flags: Int32(Numbers.value("MSG_WAITALL")!)))
    world.send(.ack, 100)
    #expect(world.host.poll(all) == nil)
    world.send(.ack, 100)
    #expect(world.host.poll(all)?.value == 150)
    try world.expect(world.set(socket, "SOL_SOCKET", "SO_RCVLOWAT", 60), 0)
    let low = try world.block(.read(socket, .space(1000)))
    #expect(try world.call(.poll([PollRequest(descriptor: socket, events: 1)], timeout: 0)).value == 0)
    world.send(.ack, 10)
    #expect(world.host.poll(low)?.value == 60)
    world.expectNothingLeft()
  }

  @Test func flagsThatThrowAwayOrDoNotWait() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    try world.expect(.recv(socket, .space(1), flags: Int32(Numbers.value("MSG_DONTWAIT")!)), .EAGAIN)
    world.send(.ack, 100)
    let truncated = try world.call(.recv(socket, .space(40), flags: Int32(Numbers.value("MSG_TRUNC")!)))
    #expect(truncated.value == 40 && truncated.bytes.isEmpty)
    try world.expect(.recv(socket, .null(1000), flags: 0), .EFAULT)
    #expect(try world.call(.readv(socket, [.space(10), .space(100)])).bytes == Array(Self.bytes[40..<100]))
    #expect(world.isUnsupported(.recv(socket, .space(1), flags: 1)), "urgent data")
    world.expectNothingLeft()
  }

  @Test func receiveTimeoutIsAgain() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    try world.expect(
      .setsockopt(socket, level: 1, name: 20, .time(seconds: 1, microseconds: 500_000), size: 16), 0)
    #expect(
      try world.call(.getsockopt(socket, level: 1, name: 20, size: 16)).option
        == .time(seconds: 1, microseconds: 500_000))
    let handle = try world.block(.read(socket, .space(1)))
    world.run(milliseconds: 1500)
    #expect(world.host.poll(handle)?.errno == .EAGAIN)
    world.expectNothingLeft()
  }

  @Test func resetIsToldOnceAndThenThereIsNothing() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    world.send(.ack, 10)
    world.send([.rst, .ack])
    try world.expect(.read(socket, .space(100)), 10)
    try world.expect(.read(socket, .space(100)), .ECONNRESET)
    try world.expect(.read(socket, .space(100)), 0)
    try world.expect(.write(socket, .zeros(1)), .EPIPE)
    world.expectNothingLeft()
  }

  @Test(arguments: [Personality.linux, .bsd])
  func resetAfterTheEndIsABrokenPipeOnLinux(personality: Personality) throws {
    let world = try HostWorld(personality)
    let socket = try world.connect()
    world.send([.fin, .ack])
    world.send([.rst, .ack])
    let error: Errno = personality == .linux ? .EPIPE : .ECONNRESET
    #expect(try world.get(socket, "SOL_SOCKET", "SO_ERROR") == .integer(error.rawValue))
    try world.expect(.read(socket, .space(100)), 0)
    world.expectNothingLeft()
  }

  @Test(arguments: [Personality.linux, .bsd]) func writeNeedsAConnection(personality: Personality) throws {
    let world = try HostWorld(personality)
    let socket = try world.socket()
    try world.expect(.write(socket, .zeros(1)), personality == .linux ? .EPIPE : .ENOTCONN)
    try world.expect(
      .sendto(socket, .zeros(1), flags: 0, world.peer), personality == .linux ? .EPIPE : .ENOTCONN)
    try world.expect(.read(socket, .space(1)), .ENOTCONN)
    world.expectNothingLeft()
  }

  @Test func writeOfABadPointerIsAFault() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    try world.expect(.write(socket, .null(1000)), .EFAULT)
    try world.expect(.writev(socket, [.zeros(5), .null(5)]), .EFAULT)
    try world.expect(.write(socket, .null(0)), 0)
    #expect(try world.seen().isEmpty)
    world.expectNothingLeft()
  }

  @Test func writeWaitsForRoom() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    try world.expect(world.set(socket, "SOL_SOCKET", "SO_SNDBUF", 5000), 0)
    #expect(try world.get(socket, "SOL_SOCKET", "SO_SNDBUF") == .integer(10000))
    // Half of the peer's window at a time, looked at before each: one, and what fills the next one up after ten segments
    // have left.
    let handle = try world.block(.write(socket, .zeros(45000)))
    #expect(try world.seen().reduce(0) { $0 + $1.payload } == 10000)
    world.send(.ack, ack: 10001)
    world.send(.ack, ack: 30001)
    #expect(world.host.poll(handle) == nil, "less than a third of the buffer is free")
    world.send(.ack, ack: 36001)
    #expect(world.host.poll(handle)?.value == 45000)
    world.send(.ack, ack: 40001)
    #expect(try world.seen().reduce(0) { $0 + $1.payload } == 35000)
    world.expectNothingLeft()
  }

  @Test func writeThatMayNotWaitTakesWhatFits() throws {
    let world = try HostWorld(.bsd)
    let socket = try world.connect()
    try world.expect(world.set(socket, "SOL_SOCKET", "SO_SNDBUF", 10000), 0)
    try world.setNonblocking(socket)
    try world.expect(.write(socket, .zeros(12000)), 10000)
    try world.expect(.write(socket, .zeros(2000)), .EAGAIN)
    var outgoing = try world.call(.ioctl(socket, request: 0x5411, argument: 0)).integer
    #expect(outgoing == 10000)
    world.send(.ack, ack: 4001)
    outgoing = try world.call(.ioctl(socket, request: 0x5411, argument: 0)).integer
    #expect(outgoing == 6000)
    try world.expect(.write(socket, .zeros(2000)), 2000)
    world.expectNothingLeft()
  }

  @Test func moreAndCorkHoldBackWhatIsNotFull() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    let more = Int32(Numbers.value("MSG_MORE")!)
    try world.expect(.send(socket, .zeros(400), flags: more), 400)
    #expect(try world.seen().isEmpty)
    #expect(try world.call(.ioctl(socket, request: 0x894B, argument: 0)).integer == 400, "not sent")
    try world.expect(.send(socket, .zeros(100), flags: 0), 100)
    #expect(try world.seen().map(\.payload) == [500])
    try world.expect(world.set(socket, "SOL_TCP", "TCP_CORK", 1), 0)
    try world.expect(.write(socket, .zeros(1200)), 1200)
    #expect(try world.seen().map(\.payload) == [1000])
    try world.expect(world.set(socket, "SOL_TCP", "TCP_CORK", 0), 0)
    world.send(.ack, ack: 501)
    #expect(try world.seen().map(\.payload).reduce(0, +) == 200)
    world.expectNothingLeft()
  }

  @Test func urgentDataIsMarkedAndReadInLine() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    try world.expect(.send(socket, .zeros(20), flags: 1), 20)
    let sent = try world.seen()
    #expect(sent.map(\.payload) == [20] && sent[0].flags.contains(.urg))
    #expect(world.isUnsupported(.recv(socket, .space(1), flags: 1)))
    world.expectNothingLeft()
  }

  @Test func ioctlTellsWhatWaits() throws {
    let world = try HostWorld()
    let (listener, socket) = try world.accept()
    world.send(.ack, 70)
    #expect(try world.call(.ioctl(socket, request: 0x541B, argument: 0)).integer == 70)
    try world.expect(.ioctl(listener, request: 0x541B, argument: 0), .EINVAL)
    try world.expect(.ioctl(socket, request: 0x541B, argument: nil), .EFAULT)
    try world.expect(.ioctl(socket, request: 0x5421, argument: 1), 0)
    try world.expect(.fcntl(socket, command: 3, argument: 0), 0o4002)
    world.expectNothingLeft()
  }

  @Test func controlMessageTellsTheQueue() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    try world.expect(world.set(socket, "SOL_TCP", "TCP_INQ", 1), 0)
    try world.expect(world.set(socket, "SOL_TCP", "TCP_INQ", 2), .EINVAL)
    world.send(.ack, 100)
    world.send([.fin, .ack])
    func message(_ count: Int) throws -> CallResult {
      try world.call(.recvmsg(socket, [.space(count)], controlSpace: 100, flags: 0))
    }
    #expect(try message(40).control == [ControlMessage(level: 6, type: 36, value: .integer(60))])
    #expect(try message(60).control == [ControlMessage(level: 6, type: 36, value: .integer(1))], "the end")
    #expect(try world.call(.recvmsg(socket, [.space(1)], controlSpace: 4, flags: 0)).messageFlags == 8)
    world.expectNothingLeft()
  }

  @Test func zeroCopySendsAreReportedTogether() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    let copies = Int32(Numbers.value("MSG_ZEROCOPY")!)
    let errors = Int32(Numbers.value("MSG_ERRQUEUE")!)
    try world.expect(world.set(socket, "SOL_SOCKET", "SO_ZEROCOPY", 1), 0)
    try world.expect(.send(socket, .zeros(500), flags: copies), 500)
    try world.expect(.send(socket, .zeros(500), flags: copies), 500)
    try world.expect(.recvmsg(socket, [], controlSpace: 100, flags: errors), .EAGAIN)
    world.send(.ack, ack: 501)
    #expect(try world.call(.poll([PollRequest(descriptor: socket, events: 0)], timeout: 0)).pollEvents == [8])
    world.send(.ack, ack: 1001)
    let result = try world.call(.recvmsg(socket, [.space(0)], controlSpace: 100, flags: errors))
    let told = ExtendedError(errno: 0, origin: 5, code: 1, info: 0, data: 1)
    #expect(result.control == [ControlMessage(level: 0, type: 11, value: .error(told))])
    #expect(result.messageFlags == errors)
    #expect(try world.call(.poll([PollRequest(descriptor: socket, events: 0)], timeout: 0)).value == 0)
    world.expectNothingLeft()
  }

  @Test func filesAndPipesCarryBytes() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    world.host.addFile("/data", Self.bytes)
    try world.expect(.open(path: "/nothing", flags: 0), .ENOENT)
    try world.expect(.open(path: "/data", flags: 0), 4)
    try world.expect(.sendfile(to: socket, from: 4, offset: nil, count: 150), 150)
    try world.expect(.sendfile(to: socket, from: 4, offset: nil, count: 150), 50)
    try world.expect(.sendfile(to: socket, from: 4, offset: nil, count: 150), 0)
    world.send(.ack, ack: 151)
    #expect(try world.seen().reduce(0) { $0 + $1.payload } == 200)
    let pipe = try world.call(.pipe)
    #expect(pipe.descriptors == [5, 6])
    try world.setNonblocking(socket)
    try world.expect(.splice(from: socket, to: 6, count: 99, flags: 0), .EAGAIN)
    world.send(.ack, 120, ack: 201)
    try world.expect(.splice(from: socket, to: 6, count: 99, flags: 0), 99)
    #expect(try world.call(.read(5, .space(1000))).bytes == Array(Self.bytes[..<99]))
    try world.expect(.splice(from: socket, to: 4, count: 99, flags: 0), .EINVAL)
    try world.expect(.write(6, .bytes([1, 2, 3])), 3)
    try world.expect(.splice(from: 5, to: socket, count: 10, flags: 0), 3)
    try world.expect(.close(6), 0)
    try world.expect(.read(5, .space(10)), 0)
    world.expectNothingLeft()
  }
}
