// Two hosts joined by a link in memory, stepped by hand in virtual time: what the tests of sockets share.

import Buffers
import Devices
import Exclusion
import Internet
import SoftInterrupts
import Sockets
import TCP
import Testing
import Timing
import Wire

/// A stack without threads.
final class Host {
  let contexts: ContextSet
  let internet: InternetLayer
  let sockets: SocketLayer
  let ipv4: IPAddress
  let ipv6: IPAddress

  init(
    _ number: UInt8, device: any Device, clock: VirtualClock, contexts count: Int = 1,
    budgets: LevelBudgets = LevelBudgets(), steering: ReceiveSteering = .none, isGateway: Bool = false,
    _ adjust: (inout SocketConfiguration) -> Void = { _ in }
  ) throws {
    var set = ContextConfiguration(contexts: count, timeSource: clock)
    set.budgets = budgets
    set.steering = steering
    contexts = try ContextSet(set)
    internet = InternetLayer(contexts: contexts, configuration: InternetConfiguration(seed: UInt64(number)))
    var configuration = SocketConfiguration()
    configuration.seed = UInt64(number)
    adjust(&configuration)
    sockets = SocketLayer(contexts: contexts, internet: internet, configuration: configuration)
    ipv4 = IPAddress(IPv4Address(10, 0, 0, number))
    ipv6 = IPAddress("fd00::\(number)")!
    let loopback = try internet.addInterface(
      InterfaceDescription(device: LoopbackDevice(queues: count), isLoopback: true))
    let link = try internet.addInterface(
      InterfaceDescription(device: device, acceptsForeignDestinations: isGateway))
    let (ipv4, ipv6) = (ipv4, ipv6)
    try internet.configure { tables in
      try tables.addAddress(InterfaceAddress(IPPrefix("127.0.0.1/8")!, interface: loopback))
      try tables.addAddress(InterfaceAddress(IPPrefix("::1/128")!, interface: loopback))
      try tables.addAddress(InterfaceAddress(IPPrefix(ipv4, length: 24)!, interface: link))
      try tables.addAddress(InterfaceAddress(IPPrefix(ipv6, length: 64)!, interface: link))
    }
  }
}

extension Host {
  /// What is reserved is in use or cached, to the byte, and nothing is negative; at rest.
  func expectExactAccount(_ location: SourceLocation = #_sourceLocation) {
    let memory = sockets.memoryStatistics()
    #expect(memory.reserved == memory.total + memory.cached, sourceLocation: location)
    #expect(memory.used.allSatisfy { $0 >= 0 }, "\(memory.used)", sourceLocation: location)
  }
}

/// Two hosts and the time.
final class Network {
  let clock = VirtualClock()
  let scheduler: ManualScheduler
  let link: LinkPair
  let left: Host
  let right: Host

  init(
    contexts: Int = 1, ringSlots: Int = 256, budgets: LevelBudgets = LevelBudgets(),
    steering: ReceiveSteering = .none, offloads: DeviceOffloads = [], passesFrames: Bool = false,
    mtu: Int = 1500, rightIsGateway: Bool = false, _ adjust: (inout SocketConfiguration) -> Void = { _ in }
  ) throws {
    link = LinkPair(
      left: .ethernet(MACAddress(0x02_00_00_00_00_01)), right: .ethernet(MACAddress(0x02_00_00_00_00_02)),
      mtu: mtu, queues: contexts, ringSlots: ringSlots, offloads: offloads, passesFrames: passesFrames)
    left = try Host(
      1, device: link.left, clock: clock, contexts: contexts, budgets: budgets, steering: steering, adjust)
    right = try Host(
      2, device: link.right, clock: clock, contexts: contexts, budgets: budgets, steering: steering,
      isGateway: rightIsGateway, adjust)
    scheduler = ManualScheduler(clock: clock)
    scheduler.add(left.contexts)
    scheduler.add(right.contexts)
  }

  func address(of host: Host, _ port: UInt16, isIPv4: Bool) -> SocketAddress {
    SocketAddress(isIPv4 ? host.ipv4 : host.ipv6, port: port)
  }

  /// Runs until the answer is there.
  func wait<Value>(_ answer: Answer<Result<Value, SocketError>>) throws -> Value {
    #expect(scheduler.run { answer.isReady })
    return try #require(answer.take()).get()
  }

  /// A listener on the right, a connection from the left, and its child.
  func connect(isIPv4: Bool = true, port: UInt16 = 7) throws -> (
    listener: ListeningSocket, client: StreamSocket, server: StreamSocket
  ) {
    let address = address(of: right, port, isIPv4: isIPv4)
    let listener = try wait(right.sockets.listen(on: address))
    let client = try wait(left.sockets.connect(to: address))
    #expect(scheduler.run { client.isWritable(need: 0) })
    try #require(client.failure == nil)
    return (listener, client, try accept(listener))
  }

  func accept(_ listener: ListeningSocket) throws -> StreamSocket {
    var accepted: StreamSocket?
    _ = scheduler.run(limit: 10_000) {
      accepted = try? listener.tryAccept().get()
      return accepted != nil
    }
    return try #require(accepted)
  }

  /// A listener on port 80 of the right host whose options were changed.
  func listen(isIPv4: Bool = true, _ change: (inout StreamOptions) -> Void) throws -> ListeningSocket {
    let listener = try wait(right.sockets.listen(on: address(of: right, 80, isIPv4: isIPv4)))
    var options = right.sockets.options()
    change(&options)
    listener.setOptions(options)
    scheduler.run(milliseconds: 1)
    return listener
  }
  /// A socket of the left host whose options were changed, and which connects there.
  func connect(isIPv4: Bool = true, _ change: (inout StreamOptions) -> Void) throws -> StreamSocket {
    let stream = try wait(left.sockets.makeStream())
    var options = left.sockets.options()
    change(&options)
    stream.setOptions(options)
    return try stream.connect(to: address(of: right, 80, isIPv4: isIPv4)).get()
  }
  /// So many bytes go from one to the other.
  func exchange(_ from: StreamSocket, _ to: StreamSocket, _ count: Int) throws {
    let data = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 13) }
    #expect(from.writeAll(data) == .bytes(count))
    var received: [UInt8] = []
    while received.count < count {
      try #require(scheduler.run { to.isReadable(need: 1) })
      received += to.readSome().1
    }
    #expect(received == data)
  }

  /// Everything that both hosts allocated is back (RS-LEAK), once TIME-WAIT is over.
  func expectNothingLeft() {
    scheduler.run(milliseconds: 130_000)
    for host in [left, right] {
      for index in 0..<host.contexts.count {
        #expect(host.contexts.pool(index).inUse == 0, "packets")
        #expect(host.sockets.connectionsInUse(index) == 0, "connections")
        #expect(host.sockets.connectionsAtWork(index) == 0, "workspaces")
      }
      #expect(host.sockets.buffers.chunks.inUse == 0, "chunks")
      #expect(host.sockets.buffers.packets.inUse == 0, "application packets")
      host.expectExactAccount()
      #expect(host.sockets.memoryStatistics().used.allSatisfy { $0 == 0 }, "RS-LEAK: memory in the account")
    }
  }
}

extension StreamSocket {
  func writeAll(_ bytes: [UInt8]) -> WriteOutcome { unsafe bytes.withUnsafeBytes { unsafe tryWrite($0) } }
  func readSome(_ limit: Int = 65536) -> (ReadOutcome, [UInt8]) {
    var buffer = [UInt8](repeating: 0, count: limit)
    let outcome = unsafe buffer.withUnsafeMutableBytes { unsafe tryRead(into: $0) }
    if case .bytes(let count) = outcome { return (outcome, Array(buffer[..<count])) }
    return (outcome, [])
  }
}
