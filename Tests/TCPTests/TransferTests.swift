import Chance
import TCP
import Testing
import Timing
import Wire

@Suite struct TransferTests {
  /// Runs a transfer both ways and checks that every byte arrived, that both ends ended in order, and that
  /// nothing was left behind.
  @discardableResult
  private func transfer(
    seed: UInt64, _ profile: LinkProfile, up: Int, down: Int,
    client: TCPConfiguration = TCPConfiguration(), server: TCPConfiguration = TCPConfiguration(),
    clientISS: UInt32? = nil, serverISS: UInt32? = nil,
    prepare: (SimulatedNetwork) -> Void = { _ in }
  ) -> SimulatedNetwork {
    let network = SimulatedNetwork(
      seed: seed, profile: profile, clientWrites: up, serverWrites: down, client: client, server: server,
      clientISS: clientISS, serverISS: serverISS)
    prepare(network)
    network.run(limit: .seconds(24 * 3600))
    guard let server = network.server else {
      Issue.record("seed \(seed): no connection")
      return network
    }
    #expect(network.client.received == down && network.client.wrong == 0, "seed \(seed)")
    #expect(server.received == up && server.wrong == 0, "seed \(seed)")
    #expect(network.client.sawEnd && server.sawEnd, "seed \(seed)")
    #expect(network.client.connection.state == .closed, "seed \(seed)")
    #expect(server.connection.state == .closed, "seed \(seed)")
    #expect(network.client.effects.error == nil && server.effects.error == nil, "seed \(seed)")
    #expect(network.client.connection.nextDeadline == nil && server.connection.nextDeadline == nil)
    #expect(network.pool.inUse == 0, "seed \(seed): packets leaked")
    if network.losses == 0, profile.jitter == .zero, profile.duplication == 0, profile.rate == 0 {
      #expect(network.client.connection.info.counters.retransmissions == 0, "seed \(seed)")
      #expect(server.connection.info.counters.retransmissions == 0, "seed \(seed)")
    }
    return network
  }

  @Test func cleanLink() {
    let network = transfer(seed: 1, LinkProfile(), up: 400_000, down: 400_000)
    // TIME-WAIT of 60 s is the end of it.
    #expect(network.now < Instant(milliseconds: 1000 + 60_000 + 5_000))
  }

  @Test func oneWayEach() {
    transfer(seed: 2, LinkProfile(), up: 500_000, down: 0)
    transfer(seed: 3, LinkProfile(), up: 0, down: 500_000)
    transfer(seed: 4, LinkProfile(), up: 0, down: 0)
    transfer(seed: 5, LinkProfile(), up: 1, down: 1)
  }

  @Test(arguments: 0..<24 as Range<UInt64>) func randomLoss(seed: UInt64) {
    var profile = LinkProfile()
    profile.loss = [0.001, 0.01, 0.05, 0.2][Int(seed % 4)]
    profile.delay = .milliseconds([1, 20, 100][Int(seed % 3)])
    transfer(seed: seed, profile, up: 120_000, down: 80_000)
  }

  /// Settings drawn from the seed.
  private func anySettings(_ random: inout SeededGenerator) -> TCPConfiguration {
    var configuration = TCPConfiguration()
    configuration.timestamps = random.chance(0.6)
    configuration.windowScaling = random.chance(0.6)
    configuration.selectiveAcknowledgments = random.chance(0.5)
    configuration.noDelay = random.chance(0.3)
    configuration.receiveBuffer = [600, 3000, 20_000, 65535, 4_000_000].randomElement(using: &random)!
    configuration.maximumSegment = [100, 536, 1460].randomElement(using: &random)!
    configuration.quickAcknowledgments = random.chance(0.5) ? 0 : 16
    if random.chance(0.2) { configuration.keepaliveIdle = .seconds(3) }
    configuration.retransmissionAttempts = 40
    configuration.synAttempts = 30
    configuration.synAckAttempts = 60
    configuration.congestionNotification = [.off, .request, .accept, .accurate, .accurate, .acceptAccurate]
      .randomElement(using: &random)!
    configuration.accurateOption = [.never, .sparing, .whenever, .persistent].randomElement(using: &random)!
    return configuration
  }

  @Test(arguments: 0..<100 as Range<UInt64>) func anyLinkAndAnySettings(seed: UInt64) {
    var random = SeededGenerator(seed: seed &* 7919)
    var profile = LinkProfile()
    profile.delay = .milliseconds([0, 1, 10, 50, 200].randomElement(using: &random)!)
    profile.jitter = .milliseconds([0, 0, 1, 10, 100].randomElement(using: &random)!)
    profile.loss = [0, 0, 0.01, 0.05, 0.2, 0.3].randomElement(using: &random)!
    profile.duplication = [0, 0, 0.05, 0.3].randomElement(using: &random)!
    if random.chance(0.3) {
      profile.rate = [10_000, 100_000, 1_000_000].randomElement(using: &random)!
      profile.buffer = [3000, 10_000, 60_000].randomElement(using: &random)!
    }
    profile.marking = [0, 0.01, 0.1, 1].randomElement(using: &random)!
    let sizes = [0, 1, 500, 5000, 60_000]
    let up = sizes.randomElement(using: &random)!
    let down = sizes.randomElement(using: &random)!
    let (client, server) = (anySettings(&random), anySettings(&random))
    let steps = [nil, nil, nil, 50, 700, 2000] as [Int?]
    let slowClient = steps.randomElement(using: &random)!
    let slowServer = steps.randomElement(using: &random)!
    let clientClosesFirst = random.chance(0.6)
    let serverClosesFirst = random.chance(0.6) || !clientClosesFirst
    transfer(seed: seed, profile, up: up, down: down, client: client, server: server) { network in
      network.client.readStep = slowClient
      network.client.closesFirst = clientClosesFirst
      network.onServer = { host in
        host.readStep = slowServer
        host.closesFirst = serverClosesFirst
      }
    }
  }

  // Rules: RFC 9768 3.2-1, 3.2-2, 3.2.2.5.2-1
  @Test(arguments: 0..<6 as Range<UInt64>) func everyMarkIsCountedAndToldOnACleanLink(seed: UInt64) {
    var profile = LinkProfile()
    profile.marking = [0.05, 0.2, 0.5][Int(seed % 3)]
    var configuration = TCPConfiguration()
    configuration.congestionNotification = .accurate
    configuration.accurateOption = seed < 3 ? .whenever : .never
    let network = transfer(
      seed: seed, profile, up: 200_000, down: 0, client: configuration, server: configuration)
    guard let server = network.server else {
      Issue.record("no server")
      return
    }
    let (sender, receiver) = (network.client.connection.info, server.connection.info)
    let received = Int(sender.accurateFeedback.receivedPackets + receiver.accurateFeedback.receivedPackets)
    #expect(network.marked > 0 && received == network.marked)
    // What was marked last may not have been told.
    let told = Int(sender.markedSegments)
    #expect(abs(told - Int(receiver.accurateFeedback.receivedPackets)) <= 3)
    let bytes = receiver.accurateFeedback.receivedBytes
    #expect(Int(bytes.capable0 + bytes.experienced) >= 200_000)
    if seed < 3 { #expect(sender.accurateFeedback.deliveredBytes.experienced > 0) }
  }

  @Test(arguments: 200..<203 as Range<UInt64>) func bottleneck(seed: UInt64) {
    var profile = LinkProfile()
    profile.rate = 1_250_000
    profile.buffer = 40_000
    let network = transfer(seed: seed, profile, up: 3_000_000, down: 0)
    // 2.4 s at full rate; TIME-WAIT follows.
    #expect(network.now < Instant(milliseconds: 1000 + 60_000 + 4_500), "\(network.now)")
  }

  @Test(arguments: 300..<306 as Range<UInt64>) func slowReader(seed: UInt64) {
    var profile = LinkProfile()
    profile.loss = seed % 2 == 0 ? 0 : 0.02
    var configuration = TCPConfiguration()
    configuration.receiveBuffer = 20_000
    transfer(seed: seed, profile, up: 200_000, down: 0, server: configuration) { network in
      network.onServer = { $0.readStep = 700 + Int(seed) }
    }
  }

  @Test(arguments: 400..<412 as Range<UInt64>) func T4_sequenceNumbersWrap(seed: UInt64) {
    var profile = LinkProfile()
    profile.loss = 0.02
    profile.jitter = .milliseconds(3)
    let offset = UInt32(seed - 400) * 10_000
    transfer(
      seed: seed, profile, up: 130_000, down: 130_000, clientISS: 0 &- offset,
      serverISS: 0x8000_0000 &- offset)
  }

  @Test(arguments: 500..<520 as Range<UInt64>) func closingInEveryOrder(seed: UInt64) {
    var profile = LinkProfile()
    profile.loss = 0.2
    transfer(seed: seed, profile, up: Int(seed % 3) * 500, down: Int(seed % 2) * 700) { network in
      network.client.closesFirst = seed % 4 != 0
      network.onServer = { $0.closesFirst = seed % 4 != 1 }
    }
  }
}
