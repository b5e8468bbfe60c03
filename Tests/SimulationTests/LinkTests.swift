import Testing
import Timing

@testable import Simulation

/// Links alone, by the relay that puts one between other people's hosts.
@Suite("Links")
struct LinkTests {
  /// A link in virtual time, and what came out of it.
  final class Bench {
    struct Arrival: Equatable {
      var time: UInt64
      var side: Relay.Side
      var number: UInt32
      var ones: Int
    }
    private(set) var arrivals: [Arrival] = []
    private var relay: Relay?
    private var now: UInt64 = 0

    init(_ link: LinkParameters, seed: UInt64 = 1, steps: [(after: Nanoseconds, step: NetworkStep)] = []) {
      let profile = Profile("test", "a link alone", links: { _ in (link, nil) }) {
        $0.timeline = { _ in steps }
      }
      relay = Relay(profile, seed: seed) { [unowned self] side, frame in
        let ones = (14..<frame.byteCount).reduce(0) { $0 + frame.unsafeByte($1).nonzeroBitCount }
        arrivals.append(Arrival(time: now, side: side, number: frame.number, ones: ones))
      }
    }

    /// A frame that holds its number, as an IPv4 packet without a checksum.
    func send(_ number: UInt32, bytes: Int = 1000, from side: Relay.Side = .near) {
      var frame = [UInt8](repeating: 0, count: bytes)
      (frame[12], frame[14]) = (8, 0x45)
      (frame[16], frame[17]) = (UInt8((bytes - 14) >> 8), UInt8((bytes - 14) & 255))
      for place in 0..<4 { frame[34 + place] = UInt8(truncatingIfNeeded: number >> UInt32(24 - place * 8)) }
      unsafe relay?.receive(side, frame.span.bytes)
    }
    /// Lets time pass, in steps of what is due.
    func run(until end: UInt64) {
      while let next = relay?.nextTime, next <= end {
        now = next
        relay?.advance(to: next)
      }
      now = end
      relay?.advance(to: end)
    }
    func statistics(_ side: Relay.Side = .near) -> PipeStatistics {
      relay?.statistics(from: side) ?? PipeStatistics()
    }
    deinit { relay?.close() }
  }

  @Test("have a rate and a delay, to the nanosecond")
  func rateAndDelay() {
    let bench = Bench(LinkParameters(rate: 1_000_000, delay: .milliseconds(7)))
    for number in 0..<5 { bench.send(UInt32(number)) }
    bench.send(9, from: .far)
    bench.run(until: 100_000_000)
    let far = bench.arrivals.filter { $0.side == .far }
    #expect(far.map(\.number) == [0, 1, 2, 3, 4])
    let expected: [UInt64] = [15_000_000, 23_000_000, 31_000_000, 39_000_000, 47_000_000]
    #expect(far.map(\.time) == expected)
    #expect(bench.arrivals.filter { $0.side == .near }.map(\.time) == [15_000_000])
  }

  @Test("lose what the model says, alone and in bursts")
  func losses() {
    for loss in [LossModel.random(0.1), .bursty(worsening: 0.01, recovery: 0.1, good: 0.01, bad: 0.5)] {
      var link = LinkParameters()
      link.loss = loss
      let bench = Bench(link)
      for number in 0..<20_000 { bench.send(UInt32(number), bytes: 60) }
      bench.run(until: 1_000_000_000)
      let share = Double(bench.statistics().losses) / 20_000
      #expect(abs(share - loss.share) < 0.2 * loss.share, "\(loss): \(share)")
      #expect(bench.arrivals.count + bench.statistics().losses == 20_000)
    }
    #expect(LossModel.bursty(worsening: 0.01, recovery: 0.1, good: 0, bad: 0.5).share > 0.04)
  }

  @Test("double frames, damage one bit, and hold frames back")
  func otherImpairments() {
    var link = LinkParameters(delay: .milliseconds(1))
    link.duplication = 0.2
    let doubling = Bench(link)
    for number in 0..<1000 { doubling.send(UInt32(number)) }
    doubling.run(until: 1_000_000_000)
    #expect((1150...1250).contains(doubling.arrivals.count))

    (link.duplication, link.corruption) = (0, 0.5)
    let damaging = Bench(link)
    let whole = Bench(LinkParameters())
    for number in 0..<1000 {
      damaging.send(UInt32(number))
      whole.send(UInt32(number))
    }
    damaging.run(until: 1_000_000_000)
    whole.run(until: 1_000_000_000)
    let changed = zip(damaging.arrivals, whole.arrivals).filter { abs($0.ones - $1.ones) == 1 }.count
    #expect(changed == damaging.statistics().damaged && (400...600).contains(changed))

    (link.corruption, link.reordering) = (0, 0.1)
    let late = Bench(link)
    for number in 0..<200 {
      late.send(UInt32(number))
      late.run(until: UInt64(number) * 1_000_000)
    }
    late.run(until: 1_000_000_000)
    #expect(late.arrivals.count == 200)
    #expect(late.arrivals.map(\.number) != (0..<200).map { UInt32($0) })
  }

  @Test("keep order under jitter where they should, and only there")
  func jitter() {
    for keepsOrder in [true, false] {
      var link = LinkParameters(delay: .milliseconds(1))
      link.jitter = .milliseconds(10)
      link.keepsOrder = keepsOrder
      let bench = Bench(link)
      for number in 0..<100 {
        bench.send(UInt32(number))
        bench.run(until: UInt64(number) * 500_000)
      }
      bench.run(until: 1_000_000_000)
      #expect((bench.arrivals.map(\.number) == (0..<100).map { UInt32($0) }) == keepsOrder)
    }
  }

  @Test("drop what finds the queue full, what is too long, and what finds them cut")
  func drops() {
    var link = LinkParameters(rate: 1_000_000)
    link.queueing = .dropTail(bytes: 5000)
    link.mtu = 1200
    let steps: [(after: Nanoseconds, step: NetworkStep)] = [
      (.milliseconds(100), .cut), (.milliseconds(200), .mend),
    ]
    let bench = Bench(link, steps: steps)
    for number in 0..<20 { bench.send(UInt32(number)) }
    bench.send(20, bytes: 1300)
    bench.run(until: 150_000_000)
    #expect(bench.arrivals.count == 6 && bench.statistics().queueDrops == 14)
    #expect(bench.statistics().tooLong == 1 && bench.statistics().largestQueue == 5000)
    bench.send(21)
    bench.run(until: 250_000_000)
    #expect(bench.statistics().downDrops == 1)
    bench.send(22)
    bench.run(until: 300_000_000)
    #expect(bench.arrivals.last?.number == 22)
  }

  @Test("mark or drop early, and keep queues short, where they have a discipline")
  func disciplines() {
    var link = LinkParameters(rate: 1_000_000)
    let early = EarlyDetection(lower: 2000, upper: 10_000, limit: 100_000)
    for queueing in [LinkQueueing.red(early), .fqCodel(packets: 1000)] {
      link.queueing = queueing
      let bench = Bench(link)
      // Twice what the link carries, for ten seconds.
      for number in 0..<2500 {
        bench.send(UInt32(number))
        bench.run(until: UInt64(number) * 4_000_000)
      }
      let statistics = bench.statistics()
      #expect(statistics.queueDrops > 100, "\(queueing)")
      #expect(bench.arrivals.count > 1100, "\(queueing): the line stays busy")
    }
  }
}

extension RawSpan {
  fileprivate func unsafeByte(_ place: Int) -> UInt8 {
    unsafe unsafeLoad(fromByteOffset: place, as: UInt8.self)
  }
  fileprivate var number: UInt32 { (0..<4).reduce(0) { $0 << 8 | UInt32(unsafeByte(34 + $1)) } }
}
