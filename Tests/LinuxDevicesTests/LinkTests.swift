import Buffers
import LinuxDevices
import Testing
import Timing

/// Frames both ways between the drivers and a Linux that knows nothing of us.
@Suite("Links to a namespace")
struct LinkTests {
  /// A link to a command that only waits; the kernel of its namespace answers.
  static func link(_ choice: LinkChoice, queues: Int = 1) throws -> IsolatedCommand {
    var network = IsolatedNetwork()
    network.queues = queues
    let command = try IsolatedCommand.launch(["sleep", "1000"], network: network, link: choice)
    command.start()
    return command
  }

  @Test(arguments: [LinkChoice.automatic, .veth])
  func theKernelAnswersARP(choice: LinkChoice) throws {
    let command = try Self.link(choice)
    let bench = try Bench(command.device)
    #expect(bench.introduce())
    let counters = command.device.counters(queue: 0)
    #expect(counters.framesSent.value == 1)
    #expect(counters.bytesSent.value == 42)
    #expect(counters.framesReceived.value >= 1)
    #expect(counters.transmitCalls.value == 1)
    #expect(bench.pool.ref.inUse == 0)
  }

  @Test(arguments: [LinkChoice.automatic, .veth])
  func frameOfEverySizePassBothWays(choice: LinkChoice) throws {
    let command = try Self.link(choice)
    let bench = try Bench(command.device)
    #expect(bench.introduce())
    for (index, payload) in [0, 1, 17, 18, 19, 64, 511, 1000, 1471, 1472].enumerated() {
      bench.send(Frames.echoRequest(sequence: UInt8(index), payload: payload))
      #expect(
        bench.receive(where: { Frames.isEchoReply($0, sequence: UInt8(index), payload: payload) }) != nil,
        "\(payload) bytes")
    }
    #expect(command.device.counters(queue: 0).receiveDrops.value == 0)
    #expect(bench.pool.ref.inUse == 0)
  }

  @Test(arguments: [LinkChoice.automatic, .veth])
  func aBurstIsNotLost(choice: LinkChoice) throws {
    let command = try Self.link(choice)
    let bench = try Bench(command.device)
    #expect(bench.introduce())
    // More than a batch, nobody reading meanwhile.
    for sequence in UInt8(0)..<200 {
      #expect(bench.give(Frames.echoRequest(sequence: sequence, payload: 1400)))
    }
    bench.finish()
    for sequence in UInt8(0)..<200 {
      #expect(
        bench.receive(where: { Frames.isEchoReply($0, sequence: sequence, payload: 1400) }) != nil,
        "number \(sequence), in order")
    }
    let counters = command.device.counters(queue: 0)
    #expect(counters.transmitDrops.value == 0)
    #expect(counters.receiveDrops.value == 0)
    #expect(counters.framesSent.value == 201)
    #expect(bench.pool.ref.inUse == 0)
  }

  @Test(arguments: [LinkChoice.automatic, .veth])
  func severalQueues(choice: LinkChoice) throws {
    let command = try Self.link(choice, queues: 4)
    let bench = try Bench(command.device)
    #expect(command.device.queueCount == 4)
    #expect(bench.introduce())
    for queue in 0..<4 {
      bench.send(Frames.echoRequest(sequence: UInt8(queue), payload: 100), queue: queue)
      #expect(
        bench.receive(where: { Frames.isEchoReply($0, sequence: UInt8(queue), payload: 100) }) != nil,
        "queue \(queue)")
    }
  }

  @Test(arguments: [LinkChoice.automatic, .veth])
  func garbageIsCountedAndPassedOver(choice: LinkChoice) throws {
    let command = try Self.link(choice)
    let bench = try Bench(command.device)
    // Shorter than an Ethernet header, longer than the interface's MTU.
    bench.send([1])
    bench.send([UInt8](repeating: 0xff, count: 13))
    bench.send([UInt8](repeating: 0xff, count: 1700))
    #expect(bench.introduce())
    #expect(bench.pool.ref.inUse == 0)
  }

  @Test(arguments: [LinkChoice.automatic, .veth])
  func aLinkWhoseCommandEndedFailsOnce(choice: LinkChoice) throws {
    let command = try IsolatedCommand.launch(["true"], link: choice)
    let bench = try Bench(command.device)
    command.start()
    #expect(try command.wait() == .exited(0))
    // Whatever still comes, sending neither blocks nor traps, and nothing is kept.
    for _ in 0..<10 {
      // A link that is just being taken down may have no room: the frame comes back then.
      _ = bench.give(Frames.arp(operation: 1, to: [255, 255, 255, 255, 255, 255]))
      bench.finish()
    }
    #expect(bench.pool.ref.inUse == 0)
  }

  /// R8: the ring goes on; a readable descriptor and an empty pool do not spin.
  @Test func R8_frameThatFindsNoPacketIsDroppedAndCounted() throws {
    let command = try Self.link(.veth)
    let bench = try Bench(command.device)
    #expect(bench.introduce())
    bench.send(Frames.echoRequest(sequence: 1, payload: 10))
    let empty = PacketPool(limit: 65, reserve: 64)
    guard let last = empty.ref.allocate() else { preconditionFailure("one packet beside the reserve") }
    var batch = PacketQueue()
    // Other frames of the kernel's may be there; the reply is in any case, as the kernel answers in the same call.
    let outcome = command.device.receive(
      queue: 0, limit: 1, pool: empty.ref, now: RealClock().now(), into: &batch)
    #expect(outcome == .more)
    let taken = batch.count
    #expect(taken == 0)
    _ = consume last
    #expect(command.device.counters(queue: 0).receiveOutOfBuffers.value == 1)
    #expect(command.device.counters(queue: 0).receiveDrops.value == 1)
    bench.send(Frames.echoRequest(sequence: 2, payload: 10))
    #expect(bench.receive(where: { Frames.isEchoReply($0, sequence: 2, payload: 10) }) != nil)
  }
}
