import Chance
import TCP
import Testing
import Timing
import Wire

/// Whatever arrives, and whenever: no trap, no leak, nothing held beyond its bounds, and an end.
@Suite struct FuzzTests {
  /// A number near one that matters, or any.
  private func near(_ points: [Int], _ random: inout SeededGenerator) -> Int {
    if random.chance(0.05) { return Int(Int32(truncatingIfNeeded: random.next())) }
    let point = points.randomElement(using: &random)!
    return point + (random.chance(0.6) ? 0 : Int.random(in: -1500...1500, using: &random))
  }

  @Test(arguments: 0..<80 as Range<UInt64>) func anySegmentAtAnyTime(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var configuration = TCPConfiguration()
    configuration.timestamps = random.chance(0.5)
    configuration.requiresTimestamps = random.chance(0.5)
    configuration.windowScaling = random.chance(0.5)
    configuration.receiveBuffer = [0, 1, 100, 5000, 65535, 1 << 20, .max].randomElement(using: &random)!
    configuration.maximumSegment = [0, 48, 536, 1460, .max].randomElement(using: &random)!
    configuration.noDelay = random.chance(0.5)
    if random.chance(0.3) { configuration.keepaliveIdle = .seconds(5) }
    configuration.congestionNotification = random.chance(0.5) ? .accurate : .accept
    if random.chance(0.3) { configuration.userTimeout = .seconds(20) }
    let iss = UInt32(truncatingIfNeeded: random.next())
    let irs = UInt32(truncatingIfNeeded: random.next())
    var options = TCPOptions()
    if random.chance(0.7) { options.mss = UInt16(truncatingIfNeeded: random.next() >> random.next() % 16) }
    if random.chance(0.5) { options.windowScale = UInt8(random.next() % 16) }
    if random.chance(0.5) { options.timestamps = TCPTimestamps(value: 1, echo: 0) }

    let script: Script
    if random.chance(0.5) {
      script = Script(active: configuration, iss: iss, irs: irs)
      if random.chance(0.9) { script.inject([.syn, .ack, .cwr], 0, ack: 1, options: options) }
    } else {
      let asked: TCPFlags = random.chance(0.8) ? [.syn, .ae, .cwr, .ece] : .syn
      script = Script(passive: configuration, syn: options, flags: asked, iss: iss, irs: irs)
      if random.chance(0.9) {
        script.inject(.ack, 1, ack: 1, window: UInt16(truncatingIfNeeded: random.next()), options: options)
      }
    }
    var acknowledged = 1
    var sentEnd = 1
    for _ in 0..<400 {
      for segment in script.take() {
        sentEnd = max(sentEnd, segment.sequence + segment.count + (segment.flags.contains(.fin) ? 1 : 0))
        acknowledged = segment.acknowledgment ?? acknowledged
        #expect(segment.count >= 0 && segment.count <= max(48, Int(configuration.maximumSegment)))
      }
      switch random.next() % 20 {
      case 0..<12:
        var flags: TCPFlags = random.chance(0.95) ? .ack : []
        // AE, CWR and ECE: the counter ACE.
        flags.formUnion(TCPFlags(rawValue: UInt16(random.next() % 8) << 6))
        if random.chance(0.03) { flags.insert(.syn) }
        if random.chance(0.03) { flags.insert(.fin) }
        if random.chance(0.01) { flags.insert(.rst) }
        if random.chance(0.02) { flags = TCPFlags(rawValue: UInt16(truncatingIfNeeded: random.next())) }
        var options = TCPOptions()
        if random.chance(0.8) {
          options.timestamps = TCPTimestamps(
            value: UInt32(truncatingIfNeeded: near([1, 1000, 100_000], &random)),
            echo: random.chance(0.7) ? script.echo : UInt32(truncatingIfNeeded: random.next()))
        }
        if random.chance(0.5) {
          options.accurateECN = TCPAccurateECN(
            order: random.chance(0.5) ? .capable0First : .capable1First, count: Int(random.next() % 4),
            capable0: UInt32(truncatingIfNeeded: random.next()),
            experienced: UInt32(truncatingIfNeeded: random.next()),
            capable1: UInt32(truncatingIfNeeded: random.next()))
        }
        let count = random.chance(0.5) ? 0 : Int.random(in: 1...1460, using: &random)
        script.inject(
          flags,
          near([acknowledged, acknowledged + 1460, acknowledged + script.info.receiveWindow], &random),
          stream(count), ack: near([1, sentEnd, sentEnd - script.info.outstandingBytes], &random),
          window: random.chance(0.3) ? 0 : UInt16(truncatingIfNeeded: random.next()), options: options,
          urgent: UInt16(truncatingIfNeeded: random.next()),
          mark: CongestionNotification(rawValue: UInt8(random.next() % 4)) ?? .notCapable)
      case 12, 13: script.enqueue(Int.random(in: 0...20_000, using: &random), push: random.chance(0.8))
      case 14: script.space(Int.random(in: 0...Int(configuration.receiveBuffer), using: &random))
      case 15: script.fire()
      case 16: script.wait(milliseconds: Int64(random.next() % 100))
      case 17:
        if random.chance(0.1) { script.path(Int(random.next() % 2000), near([1, sentEnd], &random)) }
        if random.chance(0.1) { script.icmp(.hostUnreachable, near([0, 1, sentEnd], &random)) }
      case 18:
        if random.chance(0.1) { script.shutdown() }
        if random.chance(0.02) { script.close(unread: random.chance(0.3)) }
      default:
        if random.chance(0.01) { script.abort() }
        if random.chance(0.1) { script.reconfigure { $0.noDelay.toggle() } }
      }
      #expect(script.pool.inUse <= Int(max(32, configuration.receiveBuffer / 512)))
      if script.state == .closed { break }
    }
    // Left alone it comes to rest, one way or the other.
    if script.state != .closed {
      script.close()
      var steps = 0
      while script.nextDeadline != nil, steps < 500 {
        script.fire()
        steps += 1
      }
      #expect(steps < 500 || script.info.counters.probes > 0, "seed \(seed): \(script.state)")
    }
    #expect(script.state == .closed || script.nextDeadline == nil)
    if script.state == .closed { #expect(script.pool.inUse == 0) }
  }

  /// Segments of a live transfer, changed on the way: whatever is delivered is the stream, as long as the bytes
  /// themselves are not changed.
  @Test(arguments: 0..<16 as Range<UInt64>) func mutatedHeadersOfALiveConnection(seed: UInt64) {
    var random = SeededGenerator(seed: seed &+ 1000)
    var profile = LinkProfile()
    profile.loss = 0.01
    profile.jitter = .milliseconds(2)
    let network = SimulatedNetwork(seed: seed, profile: profile, clientWrites: 60_000, serverWrites: 60_000)
    network.mutate = { segment in
      guard random.chance(0.05) else { return }
      switch random.next() % 6 {
      case 0: segment.acknowledgment += Int.random(in: -3000...3000, using: &random)
      case 1: segment.window = UInt16(truncatingIfNeeded: random.next())
      case 2: segment.flags.insert([.syn, .urg, .psh, .ece].randomElement(using: &random)!)
      case 3: segment.options.timestamps?.value &-= UInt32(random.next() % 5000)
      case 4: segment.options.timestamps?.echo = UInt32(truncatingIfNeeded: random.next())
      default: segment.urgentPointer = UInt16(truncatingIfNeeded: random.next())
      }
    }
    network.run(limit: .seconds(4000))
    #expect(network.client.wrong == 0)
    #expect(network.server?.wrong ?? 0 == 0)
  }
}
