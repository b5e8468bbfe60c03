import Testing
import Wire

@testable import Drill

@Suite struct HostEventTests {
  static let input: UInt32 = 1
  static let output: UInt32 = 4
  static let readHangUp: UInt32 = 0x2000
  static let edge: UInt32 = 1 << 31
  static let oneShot: UInt32 = 1 << 30

  /// `revents` of one descriptor that asks for everything.
  func revents(_ world: HostWorld, _ descriptor: Int32) throws -> Int16 {
    try world.call(.poll([PollRequest(descriptor: descriptor, events: 0x2007)], timeout: 0)).pollEvents[0]
  }

  @Test func pollTellsEachStateExactly() throws {
    let world = try HostWorld()
    let fresh = try world.socket()
    #expect(try revents(world, fresh) == 0x14, "OUT, HUP")
    #expect(try revents(world, 77) == 0x20, "NVAL")
    try world.expect(.close(fresh), 0)
    let socket = try world.socket()
    try world.setNonblocking(socket)
    try world.expect(.connect(socket, world.peer), .EINPROGRESS)
    try world.one(.syn)
    #expect(try revents(world, socket) == 0)
    world.answer()
    #expect(try revents(world, socket) == 4)
    world.send(.ack, 1)
    #expect(try revents(world, socket) == 5)
    world.send([.fin, .ack])
    #expect(try revents(world, socket) == 0x2005, "IN, OUT, RDHUP")
    try world.expect(.shutdown(socket, how: 1), 0)
    #expect(try revents(world, socket) == 0x2015, "and HUP")
    world.expectNothingLeft()
  }

  @Test func pollTellsOfConnectionsAndWaits() throws {
    let world = try HostWorld()
    let listener = try world.listen()
    #expect(try revents(world, listener) == 0)
    let handle = try world.block(.poll([PollRequest(descriptor: listener, events: 1)], timeout: 5000))
    try world.handshake()
    #expect(world.host.poll(handle)?.pollEvents == [1])
    try world.expect(.accept(listener, flags: 0), 4)
    let idle = try world.block(.poll([PollRequest(descriptor: listener, events: 1)], timeout: 200))
    world.run(milliseconds: 200)
    #expect(world.host.poll(idle)?.value == 0)
    world.expectNothingLeft()
  }

  @Test func levelStaysAndEdgeIsToldOnce() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    try world.expect(.epollCreate(size: 0), .EINVAL)
    let level = Int32(try world.call(.epollCreate(size: 1)).value)
    let edge = Int32(try world.call(.epollCreate(size: 1)).value)
    let wanted = EpollEvent(events: Self.input, data: 7)
    try world.expect(.epollControl(level, operation: 1, descriptor: socket, wanted), 0)
    try world.expect(.epollControl(level, operation: 1, descriptor: socket, wanted), .EEXIST)
    try world.expect(
      .epollControl(
        edge, operation: 1, descriptor: socket, EpollEvent(events: Self.input | Self.edge, data: 8)), 0)
    for queue in [level, edge] { try world.expect(.epollWait(queue, limit: 1, timeout: 0), 0) }
    world.send(.ack, 10)
    let told = try world.call(.epollWait(level, limit: 1, timeout: 0)).epollEvents
    #expect(told == [EpollEvent(events: Self.input, data: 7)])
    try world.expect(.epollWait(level, limit: 1, timeout: 0), 1)
    try world.expect(.epollWait(edge, limit: 1, timeout: 0), 1)
    try world.expect(.epollWait(edge, limit: 1, timeout: 0), 0)
    // More to read is another edge, though what there was is still there.
    world.send(.ack, 10)
    try world.expect(.epollWait(edge, limit: 1, timeout: 0), 1)
    try world.expect(.read(socket, .space(100)), 20)
    try world.expect(.epollWait(level, limit: 1, timeout: 0), 0)
    try world.expect(.epollWait(edge, limit: 0, timeout: 0), .EINVAL)
    world.expectNothingLeft()
  }

  @Test func oneShotIsArmedAgainByHand() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    let queue = Int32(try world.call(.epollCreate(size: 1)).value)
    let wanted = EpollEvent(events: Self.input | Self.oneShot, data: 1)
    try world.expect(.epollControl(queue, operation: 3, descriptor: socket, wanted), .ENOENT)
    try world.expect(.epollControl(queue, operation: 1, descriptor: socket, nil), .EFAULT)
    try world.expect(.epollControl(queue, operation: 1, descriptor: socket, wanted), 0)
    world.send(.ack, 10)
    try world.expect(.epollWait(queue, limit: 1, timeout: 0), 1)
    world.send(.ack, 10)
    try world.expect(.epollWait(queue, limit: 1, timeout: 0), 0)
    try world.expect(.epollControl(queue, operation: 3, descriptor: socket, wanted), 0)
    try world.expect(.epollWait(queue, limit: 1, timeout: 0), 1)
    try world.expect(.epollControl(queue, operation: 2, descriptor: socket, nil), 0)
    try world.expect(.epollControl(queue, operation: 2, descriptor: socket, nil), .ENOENT)
    world.expectNothingLeft()
  }

  @Test func spaceIsAnEdgeForWhoMetAFullBuffer() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    try world.setNonblocking(socket)
    try world.expect(world.set(socket, "SOL_SOCKET", "SO_SNDBUF", 5000), 0)
    let queue = Int32(try world.call(.epollCreate(size: 1)).value)
    try world.expect(
      .epollControl(
        queue, operation: 1, descriptor: socket, EpollEvent(events: Self.output | Self.edge, data: 1)), 0)
    try world.expect(.epollWait(queue, limit: 1, timeout: 0), 1)
    try world.expect(.write(socket, .zeros(2000)), 2000)
    world.send(.ack, ack: 2001)
    try world.expect(.epollWait(queue, limit: 1, timeout: 0), 0)  // nobody had met its end
    try world.expect(.write(socket, .zeros(50000)), 40000)
    world.send(.ack, ack: 12001)
    world.send(.ack, ack: 32001)
    try world.expect(.epollWait(queue, limit: 1, timeout: 0), 0)  // too little to be worth it
    world.send(.ack, ack: 38001)
    let told = try world.call(.epollWait(queue, limit: 1, timeout: 0)).epollEvents
    #expect(told == [EpollEvent(events: Self.output, data: 1)])
    try world.expect(.epollWait(queue, limit: 1, timeout: 0), 0)
    world.expectNothingLeft()
  }

  @Test func unsentBytesAreBounded() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    try world.setNonblocking(socket)
    try world.expect(world.set(socket, "SOL_TCP", "TCP_NOTSENT_LOWAT", 4000), 0)
    #expect(try world.get(socket, "SOL_TCP", "TCP_NOTSENT_LOWAT") == .integer(4000))
    #expect(try revents(world, socket) == 4)
    // A piece of half a window, of which ten segments may go at once; the next one is filled up, and is too much.
    try world.expect(.write(socket, .zeros(50000)), 40000)
    #expect(try revents(world, socket) == 0)
    try world.expect(.write(socket, .zeros(1)), .EAGAIN)
    world.send(.ack, ack: 10001)
    #expect(try revents(world, socket) == 0)
    world.send(.ack, ack: 30001)
    #expect(try revents(world, socket) == 4)
    world.expectNothingLeft()
  }

  @Test func epollWaitEndsWithAnEventOrItsTime() throws {
    let world = try HostWorld()
    let listener = try world.listen()
    let queue = Int32(try world.call(.epollCreate(size: 1)).value)
    try world.expect(
      .epollControl(queue, operation: 1, descriptor: listener, EpollEvent(events: Self.input, data: 3)), 0)
    let late = try world.block(.epollWait(queue, limit: 5, timeout: 100))
    world.run(milliseconds: 100)
    #expect(world.host.poll(late)?.value == 0)
    let woken = try world.block(.epollWait(queue, limit: 5, timeout: -1))
    try world.handshake()
    #expect(world.host.poll(woken)?.epollEvents == [EpollEvent(events: Self.input, data: 3)])
    try world.expect(.close(listener), 0)
    try world.expect(.epollWait(queue, limit: 5, timeout: 0), 0)
    world.expectNothingLeft()
  }
}
