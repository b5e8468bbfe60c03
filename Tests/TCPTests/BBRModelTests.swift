import Testing
import Timing
import Wire

@testable import TCP

/// The parts of BBR's model by themselves.
@Suite struct BBRModelTests {
  private let start = Instant(milliseconds: 1000)
  private func at(_ milliseconds: Int64) -> Instant { start + .milliseconds(milliseconds) }
  private func segment(_ number: Int, sent: Instant, delivered: UInt32) -> SentSegment {
    SentSegment(
      start: SequenceNumber(UInt32(number * 1000)), end: SequenceNumber(UInt32(number * 1000 + 1000)),
      sent: sent, delivered: delivered)
  }

  @Test func aMaximumIsForgottenAfterItsWindow() {
    var maximum = WindowedMaximum()
    maximum.take(50, time: 0, length: 10)
    for time in 1...10 {
      maximum.take(20 - time, time: time, length: 10)
      #expect(maximum.value == 50)
    }
    maximum.take(5, time: 11, length: 10)
    // The best of those that are still within the window, as far as three are kept.
    #expect((10...19).contains(maximum.value), "\(maximum.value)")
    maximum.take(70, time: 12, length: 10)
    #expect(maximum.value == 70)
    maximum.take(1, time: 40, length: 10)
    #expect(maximum.value == 1)
  }

  @Test func theRateIsOverTheLongerOfSendingAndArriving() {
    var rate = DeliveryRate()
    // Ten segments in 9 ms; acknowledgments in one lump after 30 ms: they arrived no faster than they were sent.
    var out: [(SentSegment, DeliverySnapshot)] = []
    for number in 0..<10 {
      let now = at(Int64(number))
      out.append(
        (
          segment(number, sent: now, delivered: 0),
          rate.sent(flight: number + 1, isAlone: number == 0, lost: 0, now: now)
        ))
    }
    #expect(out[9].1.flight == 10 && !out[9].1.isApplicationLimited)
    for (index, one) in out.enumerated() {
      rate.delivered(one.0, one.1, total: UInt32(index + 1), now: at(30))
    }
    let sample = rate.finish(DeliveryCount(delivered: 10, lost: 0), minimum: .milliseconds(20))
    #expect(sample.hasData && sample.delivered == 10 && sample.flight == 10)
    #expect(sample.interval == .milliseconds(30))
    // The next ten leave within 40 ms, from the last acknowledgment on, and arrive within one.
    out = []
    for number in 10..<20 {
      let now = at(30 + Int64(number - 10) * 4)
      out.append(
        (
          segment(number, sent: now, delivered: 10),
          rate.sent(flight: number - 9, isAlone: false, lost: 0, now: now)
        ))
    }
    for (index, one) in out.enumerated() {
      rate.delivered(one.0, one.1, total: UInt32(11 + index), now: at(70))
    }
    let second = rate.finish(DeliveryCount(delivered: 20, lost: 0), minimum: .milliseconds(20))
    // Sent from 9 ms, when the last that had arrived was sent, to 66 ms.
    #expect(second.interval == .milliseconds(57))
    #expect(second.delivered == 10)
    #expect(abs(second.rate - 10 / 0.057) < 0.01)
  }

  @Test func aSampleOfLessThanARoundTripIsNone() {
    var rate = DeliveryRate()
    let snapshot = rate.sent(flight: 1, isAlone: true, lost: 0, now: at(0))
    rate.delivered(segment(0, sent: at(0), delivered: 0), snapshot, total: 1, now: at(5))
    let sample = rate.finish(DeliveryCount(delivered: 1, lost: 0), minimum: .milliseconds(20))
    #expect(sample.hasData && sample.rate == 0)
  }

  @Test func aGapMarksWhatFollowsUntilItHasPassed() {
    var rate = DeliveryRate()
    let first = rate.sent(flight: 1, isAlone: true, lost: 0, now: at(0))
    #expect(!first.isApplicationLimited)
    rate.leaveGap(delivered: 0, flight: 1)
    let second = rate.sent(flight: 2, isAlone: false, lost: 0, now: at(1))
    #expect(second.isApplicationLimited && second.flight == 2)
    rate.delivered(segment(0, sent: at(0), delivered: 0), first, total: 1, now: at(20))
    _ = rate.finish(DeliveryCount(delivered: 1, lost: 0), minimum: .zero)
    #expect(rate.bubbleEnd != nil)
    rate.delivered(segment(1, sent: at(1), delivered: 0), second, total: 2, now: at(21))
    let sample = rate.finish(DeliveryCount(delivered: 2, lost: 0), minimum: .zero)
    #expect(sample.isApplicationLimited)
    #expect(rate.bubbleEnd == nil)
  }

  @Test func lossesCrossTheThresholdSomewhereWithinTheFlight() {
    var sample = DeliverySample()
    sample.flight = 101
    sample.lost = 3
    // Two of the hundred before were lost already: that was where it was crossed.
    #expect(BBRModel.flightAtLoss(sample) == 100)
    sample.lost = 1
    // None was: two percent of a hundred come to two more.
    #expect(BBRModel.flightAtLoss(sample) == 102)
  }

  // MARK: A sender that is told what happens

  /// A model that has found a path of 1000 segments a second and 100 ms, and cruises.
  private final class Path {
    var model: BBRModel
    var window = CongestionWindow(initial: 10, next: SequenceNumber(0), now: Instant(milliseconds: 1000))
    var pacer = Pacer()
    var count = DeliveryCount()
    var now: Instant
    private var number = 0
    private var out: [(SentSegment, DeliverySnapshot)] = []

    init(_ start: Instant) {
      now = start
      model = BBRModel(seed: 5, delivered: 0, now: start)
      pacer.isOn = true
    }

    func send(_ segments: Int) {
      for _ in 0..<segments {
        let snapshot = model.rate.sent(
          flight: out.count + 1, isAlone: out.isEmpty, lost: count.lost, now: now)
        out.append(
          (
            SentSegment(
              start: SequenceNumber(UInt32(number)), end: SequenceNumber(UInt32(number + 1)), sent: now,
              delivered: count.delivered), snapshot
          ))
        number += 1
      }
    }
    /// The oldest are lost.
    func lose(_ segments: Int) {
      for _ in 0..<segments where !out.isEmpty {
        count.lost += 1
        let (segment, snapshot) = out.removeFirst()
        model.lost(segment, snapshot, count, window: window.segments, isSelective: true)
      }
    }
    func acknowledge(_ segments: Int, isRepairing: Bool = false) {
      let segments = min(segments, out.count)
      guard segments > 0 else { return }
      var trip = Nanoseconds.zero
      for _ in 0..<segments {
        count.delivered += 1
        let (segment, snapshot) = out.removeFirst()
        trip = now - segment.sent
        model.rate.delivered(segment, snapshot, total: count.delivered, now: now)
      }
      model.steer(
        AcknowledgmentSample(
          delivered: segments, marked: 0, roundTrip: trip, smoothed: trip, minimum: .milliseconds(100),
          unacknowledged: SequenceNumber(0), next: SequenceNumber(0), isLimiting: true, isPaced: true,
          count: count, inFlight: out.count, isRepairing: isRepairing, isSelective: true,
          isWindowFull: out.count >= window.segments, segment: 1460, initialWindow: 10, now: now),
        &window, &pacer)
    }
    /// Round trips in which 100 segments go, as long as `condition` holds; `share` of them are lost.
    func run(
      _ rounds: Int, losing: Int = 0, isRepairing: Bool = false,
      while condition: (BBRModel) -> Bool = { _ in true }
    ) {
      for _ in 0..<rounds where condition(model) {
        send(max(0, min(100, window.segments) - out.count))
        for step in 1...20 where condition(model) {
          now = now + .milliseconds(5)
          if step == 10, losing > 0 { lose(losing) }
          // Five have passed the bottleneck; each takes 100 ms at least.
          acknowledge(out.prefix(5).count { now - $0.0.sent >= .milliseconds(100) }, isRepairing: isRepairing)
          send(max(0, min(5, window.segments - out.count)))
        }
      }
    }
  }

  @Test func aPlateauEndsStartup() {
    let path = Path(start)
    path.run(4)
    #expect(path.model.state == .startup)
    path.run(30, while: { $0.state == .startup })
    #expect(path.model.isFull)
    #expect(path.model.state != .startup)
    path.run(60, while: { $0.state != .probeCruise })
    #expect(path.model.state == .probeCruise)
    #expect((900...1100).contains(path.model.maximumBandwidth), "\(path.model.maximumBandwidth)")
  }

  @Test func lossWhileCruisingMakesTheShortTermModelSmallerAndOnlyThat() {
    let path = Path(start)
    path.run(100, while: { $0.state != .probeCruise })
    let before = path.model.maximumBandwidth
    #expect(path.model.shortBandwidth == .infinity)
    path.run(6, losing: 20, while: { $0.state == .probeCruise })
    #expect(path.model.state == .probeCruise)
    #expect(path.model.shortBandwidth <= before)
    #expect(path.model.shortVolume < .max)
    #expect(path.model.maximumBandwidth == before)
    #expect(path.model.bandwidth == min(before, path.model.shortBandwidth))
    // Refilling the pipe forgets it.
    path.run(200, while: { $0.state != .probeRefill })
    #expect(path.model.shortBandwidth == .infinity && path.model.shortVolume == .max)
  }

  @Test func lossWhileProbingBoundsTheVolume() {
    let path = Path(start)
    path.run(300, while: { $0.state != .probeUp })
    #expect(path.model.state == .probeUp)
    #expect(path.model.longVolume == .max)
    path.run(1, losing: 20)
    #expect(path.model.wasProbeTooHigh)
    #expect(path.model.longVolume < .max)
    #expect(!path.model.isProbeSample)
    #expect(path.model.state != .probeUp)
    #expect(path.model.undoState == .probeUp || path.model.undoState == nil)
  }

  @Test func whatWasNoLossIsUndone() {
    let path = Path(start)
    path.run(300, while: { $0.state != .probeUp })
    path.lose(20)
    #expect(path.model.state == .probeDown && path.model.undoState == .probeUp)
    path.model.undone()
    #expect(path.model.state == .probeRefill)
    #expect(path.model.longVolume == .max)
    #expect(path.model.undoState == nil)
  }

  @Test func aNoticeOfCongestionCountsAsLoss() {
    let probing = Path(start)
    probing.run(300, while: { $0.state != .probeUp })
    probing.model.noteLoss(probing.window.segments)
    probing.model.wasNotified = true
    probing.run(1, while: { $0.state == .probeUp })
    #expect(probing.model.state == .probeDown)
    #expect(probing.model.longVolume < .max)

    let starting = Path(start)
    starting.run(2)
    #expect(starting.model.state == .startup)
    starting.model.noteLoss(starting.window.segments)
    starting.model.wasNotified = true
    starting.run(3)
    #expect(starting.model.isFull && starting.model.state != .startup)
  }

  @Test func manyLossesEndStartupAndFewDoNot() {
    let few = Path(start)
    few.run(2)
    few.lose(1)
    few.run(2, isRepairing: true)
    #expect(few.model.state == .startup)

    let many = Path(start)
    many.run(3)
    // Six places: every other segment.
    for _ in 0..<8 {
      many.lose(1)
      many.acknowledge(1, isRepairing: true)
    }
    many.run(2, losing: 2, isRepairing: true)
    #expect(many.model.isFull)
    #expect(many.model.longVolume < .max)
  }
}
