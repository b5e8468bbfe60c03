import Buffers
import Testing
import Timing
import Wire

@testable import Simulation

@Suite("Nodes")
struct NodeTests {
  private func run(_ name: String, _ workload: Workload, _ adjust: (inout Profile) -> Void = { _ in }) throws
    -> (
      run: Run, result: RunResult
    )
  {
    var profile = try #require(Profile.named(name))
    profile.bytes = 128 << 10
    adjust(&profile)
    var options = RunOptions()
    options.workload = workload
    options.traceLimit = 100_000
    let run = Run(profile, seed: 1, options)
    return (run, run.run())
  }

  @Test("routers say that a packet is too long, unless they are mute")
  func tooLong() throws {
    let (run, result) = try run("mtu-change", .upload) { profile in
      profile.timeline = { _ in [(.milliseconds(70), .mtu(1400))] }
    }
    #expect(result.failure == nil)
    #expect(run.assembly.routers[0].statistics.tooBig > 0)
    #expect(run.assembly.routers[0].statistics.errorsSent == run.assembly.routers[0].statistics.tooBig)
    let after = result.trace.filter { $0.pipe == run.assembly.narrow && $0.event == .arrived }.suffix(20)
    #expect(!after.isEmpty && after.allSatisfy { $0.bytes <= 1414 })

    let (silent, _) = try self.run("mtu-blackhole", .upload) { profile in
      profile.timeline = { _ in
        [(.zero, .mute), (.milliseconds(70), .mtu(1400)), (.seconds(20), .unmute)]
      }
    }
    #expect(silent.assembly.routers[0].statistics.tooBig > silent.assembly.routers[0].statistics.errorsSent)
  }

  @Test("what a queue marks is told by both kinds of feedback, and counted one by one by the accurate one")
  func marks() throws {
    for name in ["ecn", "accurate-ecn"] {
      let (run, result) = try run(name, .upload) { $0.bytes = 1 << 20 }
      #expect(result.failure == nil)
      let pipes = [run.assembly.narrow, run.assembly.narrow + 1].map { run.assembly.network.pipes[$0] }
      let marked = pipes.reduce(0) { $0 + $1.statistics.marked }
      #expect(marked > 5 && result.queueDrops == 0)
      let ends = run.traffic.sessions.flatMap(\.endpoints).map(\.informationNow)
      let sender = try #require(ends.first { $0.counters.bytesAcknowledged > 1 << 19 })
      #expect(sender.congestionFeedback == (name == "ecn" ? .classic : .accurate))
      #expect(sender.slowStartThreshold < .max && sender.counters.timeouts == 0)
      guard name != "ecn" else { continue }
      let receiver = try #require(ends.first { $0.counters.bytesReceived > 1 << 19 })
      let counted = ends.reduce(0) { $0 + Int($1.accurateFeedback.receivedPackets) }
      #expect(counted == marked)
      #expect(Int(sender.markedSegments) <= Int(receiver.accurateFeedback.receivedPackets))
      #expect(Int(sender.markedSegments) + 2 >= Int(receiver.accurateFeedback.receivedPackets))
      let bytes = receiver.accurateFeedback.receivedBytes
      #expect(Int(bytes.capable0) + Int(bytes.experienced) >= 1 << 20)
      #expect(sender.accurateFeedback.optionSight == .counters && sender.accurateFeedback.failures == [])
    }
  }

  @Test("routers count hops")
  func hops() throws {
    let (run, result) = try run("bufferbloat", .exchange)
    #expect(result.failure == nil)
    #expect(run.assembly.routers.allSatisfy { $0.statistics.forwarded > 10 && $0.statistics.expired == 0 })
    // A packet with one hop left goes back as an error about it.
    let network = Network(seed: 1)
    let router = Router(network)
    let node = network.add(router)
    let pipe = network.connect((node, 0), (node, 0), LinkParameters())
    network.trace = Trace(limit: 10)
    router.ports = [NodeTests.port(outgoing: pipe)]
    guard var packet = network.makePacket() else {
      Issue.record("a packet")
      return
    }
    packet.append(60)
    NodeTests.fill(&packet, hopsLeft: 1)
    router.receive(packet, port: 0)
    #expect(router.statistics.expired == 1 && router.statistics.errorsSent == 1)
    #expect(network.trace?.entries.contains { $0.protocolNumber?.rawValue == 1 } == true)
    network.loseAll()
  }

  @Test("switches send what they know one way, and the rest everywhere")
  func switching() throws {
    let (run, result) = try run("lan", .upload)
    #expect(result.failure == nil)
    let center = try #require(run.assembly.network.nodes.compactMap { $0 as? Switch }.first)
    #expect((1...6).contains(center.flooded), "solicitations and requests, and nothing else")
    // The host in the middle saw the floods, and not the transfer.
    let aside = run.assembly.network.pipes[center.outgoing[1]].statistics
    #expect(aside.offered <= center.flooded)
  }

  @Test("a host that crashes comes back with a life of its own, and both give everything back")
  func crash() throws {
    let (run, result) = try run("crash-restart", .upload)
    #expect(result.failure == nil)
    #expect(run.assembly.network.hosts.contains { $0.lives.count == 2 })
    #expect(run.assembly.network.framesInUse == 0)
  }
}

extension NodeTests {
  fileprivate static func port(outgoing: Int) -> Router.Port {
    Router.Port(
      outgoing: outgoing, station: .init(0x02_00_00_00_00_AA),
      addresses: [.init("10.0.0.1")].compactMap { $0 },
      prefixes: [.init("10.9.0.0/16")].compactMap { $0 }, gateway: .init(0x02_00_00_00_00_BB))
  }
  fileprivate static func fill(_ packet: inout Packet, hopsLeft: UInt8) {
    var bytes = packet.mutableBytes
    MACAddress(0x02_00_00_00_00_AA).emit(into: &bytes, at: 0)
    MACAddress(0x02_00_00_00_00_CC).emit(into: &bytes, at: 6)
    bytes.set(0x0800 as UInt16, at: 12)
    var header = bytes._mutatingExtracting(14..<34)
    IPv4Header(
      source: IPv4Address(10, 0, 0, 2), destination: IPv4Address(10, 9, 0, 2), protocol: .udp,
      payloadByteCount: 26, timeToLive: hopsLeft
    ).emit(into: &header)
  }
}
