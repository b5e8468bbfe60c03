import Chance
import TCP
import Testing
import Timing
import Wire

/// A predicted segment leaves a connection as the general way would have left it.
@Suite struct PredictionTests {
  /// Text in order and not, acknowledgments, windows, marks, pauses, answers, memory that is short: the same is said to
  /// two connections, one of which predicts what may be predicted.
  @Test(arguments: [true, false], [TCPPersonality.linux, .bsd])
  func predictedIsAsTaken(hasTimestamps: Bool, personality: TCPPersonality) {
    for seed in 1...4 as ClosedRange<UInt64> { compare(hasTimestamps, personality, seed) }
  }

  private func compare(_ hasTimestamps: Bool, _ personality: TCPPersonality, _ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var configuration = Script.plain
    configuration.timestamps = hasTimestamps
    configuration.quickAcknowledgments = 4
    configuration.personality = personality
    configuration.receiveBufferMaximum = 1 << 20
    var options = TCPOptions()
    options.mss = 1000
    options.sackPermitted = true
    if hasTimestamps { options.timestamps = TCPTimestamps(value: 5, echo: 0) }
    let pair = [
      Script.established(configuration, syn: options), Script.established(configuration, syn: options),
    ]
    pair[1].predicts = true
    var isShort = false
    for script in pair { script.admits = { _, _ in !isShort } }
    var (next, ours, acknowledged) = (1, 1, 1)
    for round in 0..<600 {
      let count = [1000, 1000, 1000, 1000, 300, 1][random.below(6)]
      let isPushed = random.below(4) == 0
      let window: UInt16 = random.below(12) == 0 ? UInt16(random.below(3) * 30_000) : 65_535
      let isFollowed = random.below(3) == 0
      let mark: CongestionNotification = random.below(20) == 0 ? .experienced : .notCapable
      let what = random.below(16)
      // All that was sent is acknowledged, with text or without.
      let answers = what == 3 || what > 5 && random.below(3) == 0
      let said = answers ? ours : acknowledged
      isShort = random.below(25) == 0
      for script in pair {
        let flags: TCPFlags = isPushed ? [.ack, .psh] : .ack
        switch what {
        case 0: script.inject(flags, next + 1000, stream(count), ack: acknowledged)
        case 1: script.inject(flags, max(1, next - 500), stream(count), ack: acknowledged)
        case 2: script.enqueue(700)
        case 3: script.inject(.ack, next, ack: said, window: window)
        case 4: script.wait(milliseconds: [1, 30, 300][Int(seed + UInt64(next)) % 3])
        case 5: script.space(script.info.receiveBuffer)
        default:
          script.inject(
            flags, next, stream(count, from: next), ack: said, window: window, mark: mark,
            isFollowed: isFollowed)
          if !isFollowed { script.finish() }
        }
      }
      if answers { acknowledged = ours }
      next = 1 + pair[0].delivered.count
      let sent = pair[0].take()
      #expect(sent == pair[1].take())
      ours = sent.reduce(ours) { max($0, $1.sequence + $1.count) }
      #expect(pair[0].nextDeadline == pair[1].nextDeadline)
      #expect(pair[0].delivered.count == pair[1].delivered.count)
      if round % 20 == 0 { #expect("\(pair[0].info)" == "\(pair[1].info)") }
    }
    #expect(pair[1].predicted > 50 && pair[1].predictedAnswers > 5, "it has predicted something")
    #expect(pair[0].delivered == pair[1].delivered)
  }

  /// Segments in a row that were predicted leave a connection as the one does that GRO would have made of them.
  @Test(arguments: [true, false], [TCPPersonality.linux, .bsd])
  func aPredictedRowIsAsOneSegment(hasTimestamps: Bool, personality: TCPPersonality) {
    var random = SeededGenerator(seed: 11)
    var configuration = Script.plain
    configuration.timestamps = hasTimestamps
    configuration.personality = personality
    configuration.receiveBufferMaximum = 1 << 20
    var options = TCPOptions()
    options.mss = 1000
    if hasTimestamps { options.timestamps = TCPTimestamps(value: 5, echo: 0) }
    let (row, one) = (
      Script.established(configuration, syn: options), Script.established(configuration, syn: options)
    )
    var (next, more) = (1, 0)
    for round in 0..<300 {
      let (count, rest) = (1 + random.below(7), [200, 200, 199, 1][random.below(4)])
      let isPushed = random.below(3) == 0
      let bytes = count * 200 + rest
      row.injectRow(count, of: 200, rest: rest, next, isPushed: isPushed, ack: 1)
      one.inject(isPushed ? [.ack, .psh] : .ack, next, stream(bytes, from: next), ack: 1, size: 200)
      next += bytes
      let pause = Int64([0, 0, 3, 50][random.below(4)])
      for script in [row, one] {
        script.wait(milliseconds: pause)
        if round % 4 == 3 { script.space(script.info.receiveBuffer) }
      }
      #expect(row.take() == one.take())
      #expect(row.nextDeadline == one.nextDeadline)
      // They are counted as what they were.
      more += count
      var info = one.info
      info.counters.segmentsReceived += UInt32(more)
      #expect("\(row.info)" == "\(info)")
    }
    #expect(row.delivered == one.delivered && row.delivered.count == next - 1)
  }

  /// What is written while nothing is out leaves as it would with others around it. A connection that has once had a mark in
  /// its text looks for more, and so sends everything in the general way.
  @Test(arguments: [true, false], [TCPPersonality.linux, .bsd])
  func aLoneSegmentLeavesAsOthersDo(hasTimestamps: Bool, personality: TCPPersonality) {
    for seed in 1...4 as ClosedRange<UInt64> { exchange(hasTimestamps, personality, seed) }
  }

  private func exchange(_ hasTimestamps: Bool, _ personality: TCPPersonality, _ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var configuration = Script.plain
    configuration.timestamps = hasTimestamps
    configuration.personality = personality
    configuration.userTimeout = seed == 1 ? .seconds(60) : .zero
    configuration.tailLossProbe = seed != 2
    configuration.restartsAfterIdle = seed != 3
    var options = TCPOptions()
    options.mss = 1000
    options.sackPermitted = true
    if hasTimestamps { options.timestamps = TCPTimestamps(value: 5, echo: 0) }
    let pair = [
      Script.established(configuration, syn: options), Script.established(configuration, syn: options),
    ]
    pair[0].enqueue(1, edge: .burst)
    pair[1].enqueue(1)
    var (next, ours) = (1, 2)
    for round in 0..<400 {
      let count = [1, 1, 300, 988, 1000, 2500][random.below(6)]
      let pause: Int64 = [0, 1, 30, 300, 3000][random.below(5)]
      let window: UInt16 = random.below(8) == 0 ? UInt16(random.below(2000)) : 65_535
      let hasText = random.below(3) > 0
      let isPushed = random.below(10) > 0
      let what = random.below(10)
      for script in pair {
        switch what {
        case 0...4: script.enqueue(count, push: isPushed)
        case 5: script.wait(milliseconds: pause)
        default:
          let text = hasText ? stream(100, from: next) : []
          script.inject([.ack, .psh], next, text, ack: ours, window: window)
        }
      }
      next = 1 + pair[0].delivered.count
      let sent = pair[0].take()
      #expect(sent == pair[1].take())
      ours = sent.reduce(ours) { max($0, $1.sequence + $1.count) }
      #expect(pair[0].nextDeadline == pair[1].nextDeadline)
      #expect("\(pair[0].info)" == "\(pair[1].info)", "round \(round)")
    }
    #expect(ours > 10_000, "an exchange has gone on")
  }

  /// Short lives of connections, with ends of all kinds: where a connection goes on to another state by a segment that was
  /// predicted it is left as the general way leaves it, and a FIN that is all there is to send leaves as behind others.
  @Test(arguments: [true, false], [TCPPersonality.linux, .bsd])
  func aPredictedTurnIsAsTaken(hasTimestamps: Bool, personality: TCPPersonality) {
    var turns: [TCPState: Int] = [:]
    for seed in 1...150 as ClosedRange<UInt64> {
      for state in live(hasTimestamps, personality, seed) { turns[state, default: 0] += 1 }
    }
    for state in [TCPState.synReceived, .established, .finWait1, .finWait2, .lastAck] {
      #expect(turns[state] ?? 0 > 5, "turns were predicted out of \(state)")
    }
  }

  private func live(_ hasTimestamps: Bool, _ personality: TCPPersonality, _ seed: UInt64) -> [TCPState] {
    var random = SeededGenerator(seed: seed)
    var configuration = Script.plain
    configuration.timestamps = hasTimestamps
    configuration.personality = personality
    configuration.userTimeout = random.below(4) == 0 ? .seconds(60) : .zero
    configuration.tailLossProbe = random.below(3) > 0
    configuration.finWait2 = random.below(6) == 0 ? Nanoseconds(-1) : .seconds(60)
    configuration.keepaliveIdle = random.below(4) == 0 ? .seconds(100) : .zero
    var options = TCPOptions()
    options.mss = 1000
    options.sackPermitted = random.below(8) > 0
    if hasTimestamps { options.timestamps = TCPTimestamps(value: 5, echo: 0) }
    let pair = [Script(passive: configuration, syn: options), Script(passive: configuration, syn: options)]
    pair[1].predicts = true
    for script in pair { script.stamps = hasTimestamps }
    var (next, ours, isOver) = (1, 1, false)
    func compare(_ what: String) {
      let sent = pair[0].take()
      #expect(sent == pair[1].take(), "seed \(seed), \(what)")
      ours = sent.reduce(ours) { max($0, $1.sequence + $1.count + ($1.flags.contains(.fin) ? 1 : 0)) }
      #expect(pair[0].state == pair[1].state, "seed \(seed), \(what)")
      #expect(pair[0].nextDeadline == pair[1].nextDeadline, "seed \(seed), \(what)")
      #expect("\(pair[0].last)" == "\(pair[1].last)", "seed \(seed), \(what)")
      #expect("\(pair[0].infoNow)" == "\(pair[1].infoNow)", "seed \(seed), \(what)")
    }
    _ = (pair[0].take(), pair[1].take())
    for script in pair { script.wait(milliseconds: 20) }
    // Text may come with the end of the handshake.
    let first = random.below(3) == 0 ? 100 : 0
    for script in pair { script.inject(.ack, 1, stream(first), ack: 1) }
    next += first
    compare("handshake")
    // What had a mark once leaves in the general way.
    if random.below(2) == 0 {
      pair[0].enqueue(1, edge: .burst)
      pair[1].enqueue(1)
      compare("mark")
    }
    for _ in 0..<12 {
      let what = random.below(12)
      let count = 1 + random.below(300)
      let pause = [Int64(1), 30, 300, 3000][random.below(4)]
      let window: UInt16 = random.below(10) == 0 ? [0, 1, 500][random.below(3)] : 65_535
      let isPushed = random.below(5) == 0
      let said = random.below(6) == 0 ? max(1, ours - 1) : ours
      for script in pair {
        let flags: TCPFlags = isPushed ? [.ack, .psh] : .ack
        switch what {
        case 0: script.close()
        case 1: script.shutdown()
        case 2: script.enqueue(count)
        case 3: script.wait(milliseconds: pause)
        case 4 where !isOver:
          script.inject(flags, next, stream(count, from: next), ack: said, window: window)
        case 5, 6: script.inject(flags.union(.fin), isOver ? next - 1 : next, ack: said, window: window)
        case 7 where count < 100: script.inject(flags.union(.fin), next + 3, ack: said, window: window)
        case 7 where count < 200: script.inject(flags, next - 1, ack: said, window: window)
        case 7 where count < 220: script.inject(.rst, next)
        default: script.inject(flags, next, ack: said, window: window)
        }
      }
      if what == 4, !isOver { next += count }
      if what == 5 || what == 6, !isOver { (next, isOver) = (next + 1, true) }
      compare("\(what)")
    }
    return pair[1].predictedTurns
  }
}
