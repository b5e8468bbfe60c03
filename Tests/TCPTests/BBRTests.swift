import TCP
import Testing
import Timing
import Wire

/// BBR on paths of one bottleneck: the cases of draft-ietf-ccwg-bbr appendix A, seen from outside by what TCP_CC_INFO
/// tells. Rates are in bytes a second.
@Suite struct BBRTests {
  /// What was seen of the sender, each time that it sent.
  private struct Seen {
    var time: Instant
    var info: TCPInfo
    var isNew: Bool
    var bandwidth: TCPBandwidthInfo
  }

  private static var configuration: TCPConfiguration {
    var configuration = TCPConfiguration()
    configuration.congestionControl = .bbr
    return configuration
  }

  /// An upload of `bytes` over 2.5 Mbit/s and 100 ms, or else; `watch` is called with each segment of text.
  private func upload(
    _ bytes: Int, rate: Int = 312_500, delay: Nanoseconds = .milliseconds(50), buffer: Int = .max,
    loss: Double = 0, seed: UInt64 = 1,
    _ configuration: TCPConfiguration = BBRTests.configuration
  ) -> (seen: [Seen], seconds: Double, losses: Int) {
    var profile = LinkProfile(delay: delay)
    profile.rate = rate
    profile.buffer = buffer
    profile.loss = loss
    let network = SimulatedNetwork(
      seed: seed, profile: profile, clientWrites: bytes, serverWrites: 0, client: configuration)
    var seen: [Seen] = []
    let began = network.now
    network.client.sendBuffer = 4 << 20
    network.shouldDrop = { [unowned network] toServer, segment in
      if toServer, segment.payloadCount > 0 {
        let info = network.client.connection.info
        if let bandwidth = info.bandwidth {
          seen.append(
            Seen(time: network.now, info: info, isNew: !segment.isRetransmission, bandwidth: bandwidth))
        }
      }
      return false
    }
    network.run(limit: .seconds(600))
    #expect(network.server?.received == bytes && network.server?.wrong == 0)
    let end = network.server?.sawEndAt ?? began
    return (seen, Double((end - began).count) / 1e9, network.losses)
  }

  /// The gains that pace had, one after the other.
  private func gains(_ seen: [Seen]) -> [Double] {
    var gains: [Double] = []
    for one in seen where gains.last != one.bandwidth.pacingGain { gains.append(one.bandwidth.pacingGain) }
    return gains
  }

  @Test func startupFindsTheBandwidthThenDrains() throws {
    let (seen, seconds, losses) = upload(1_500_000)
    let gains = gains(seen)
    #expect(Array(gains.prefix(2)) == [2.77, 0.5])
    #expect(gains.dropFirst(2).allSatisfy { [0.9, 1, 1.25].contains($0) })
    let end = try #require(seen.last)
    // Payload is 1448 of 1500 bytes, less what acknowledgments take on average.
    let share = Double(end.bandwidth.bandwidth) / (312_500 * 1448 / 1500)
    #expect((0.97...1.03).contains(share), "\(share)")
    #expect((100...110).contains(end.bandwidth.minimumRoundTrip.milliseconds))
    #expect(losses == 0)
    #expect(seconds < 1_500_000 / 312_500 * 1.12 + 0.5, "\(seconds)")
  }

  @Test func theBandwidthIsProbedAgainAndAgain() {
    let (seen, _, _) = upload(3_000_000)
    let gains = gains(seen)
    // Up is followed by down, and comes from a pace that matches the path.
    var probes = 0
    for index in 1..<(gains.count - 1) where gains[index] == 1.25 {
      probes += 1
      #expect(gains[index - 1] == 1 && gains[index + 1] == 0.9)
    }
    #expect((2...6).contains(probes), "\(gains)")
  }

  @Test func segmentsArePaced() throws {
    let (seen, _, _) = upload(1_000_000)
    let steady = seen.filter { $0.bandwidth.pacingGain == 1 && $0.isNew }
    #expect(steady.count > 200)
    // In no forty milliseconds leaves more than the rate allows, and what is late by a clock of one.
    for (index, first) in steady.enumerated() {
      let last = steady[index...].prefix { $0.time - first.time < .milliseconds(40) }
      #expect(last.count <= 12, "\(first.time.nanoseconds)")
    }
    let rate = try #require(steady.last?.info.pacingRate)
    #expect((287_000...325_000).contains(rate))
  }

  @Test func theRoundTripIsProbedEveryFiveSeconds() throws {
    // A queue that stands: another round trip than the first is never seen without a probe.
    let (seen, _, _) = upload(4_000_000)
    let probing = seen.filter { $0.bandwidth.windowGain == 0.5 }
    let first = try #require(probing.first)
    // 312.5 KB/s × 100 ms is 21 segments, half of which are 11.
    let least = probing.map(\.info.congestionWindow).min() ?? 0
    #expect((4...12).contains(least), "\(least)")
    // 200 ms, and the round trip in which that began.
    let firstLast = try #require(probing.prefix { $0.time - first.time < .seconds(2) }.last)
    #expect((150...450).contains((firstLast.time - first.time).milliseconds))
    let starts = zip(probing, probing.dropFirst()).filter { $1.time - $0.time > .seconds(1) }.map(\.1)
    #expect(starts.allSatisfy { $0.time - first.time > .milliseconds(4900) })
    // Afterwards the window is what it was.
    let after = try #require(seen.first { $0.time > firstLast.time + .milliseconds(300) })
    #expect(after.info.congestionWindow > 25)
  }

  @Test func randomLossIsNoReasonToSlowDown() {
    let bbr = upload(1_500_000, rate: 1_250_000, buffer: 125_000, loss: 0.02, seed: 4)
    let cubic = upload(1_500_000, rate: 1_250_000, buffer: 125_000, loss: 0.02, seed: 4, TCPConfiguration())
    #expect(bbr.seconds < 3, "\(bbr.seconds)")
    #expect(bbr.seconds < cubic.seconds * 0.7, "\(bbr.seconds) and \(cubic.seconds)")
  }

  @Test func aShallowBufferBoundsWhatIsInFlight() {
    // A fifth of a bandwidth-delay product.
    let (seen, seconds, losses) = upload(2_000_000, buffer: 6_000)
    #expect(seconds < 2_000_000 / 312_500 * 1.45, "\(seconds)")
    let late = seen.dropFirst(seen.count / 2)
    let resent = late.filter { !$0.isNew }.count
    #expect(losses > 0)
    #expect(Double(resent) / Double(late.count) < 0.06, "\(resent) of \(late.count)")
  }

  @Test func aPauseIsNoLossOfWhatIsKnown() throws {
    let script = established(Self.plain)
    drive(script, segments: 400)
    let before = try #require(script.info.bandwidth)
    _ = script.take()
    script.wait(.seconds(30))
    script.enqueue(20_000)
    // Neither a window of the beginning nor a probe of the round trip: nothing was in flight, which is as good.
    let after = try #require(script.info.bandwidth)
    #expect(after.bandwidth == before.bandwidth)
    #expect(after.windowGain == 2)
    #expect(script.info.congestionWindow > 10)
    script.wait(milliseconds: 20)
    script.inject(.ack, 1, ack: acknowledged + 1000)
    #expect(script.info.bandwidth?.windowGain != 0.5)
  }

  @Test func whatTheApplicationLimitsIsNoMeasureOfThePath() throws {
    let script = established(Self.plain)
    drive(script, segments: 400)
    let before = try #require(script.info.bandwidth)
    #expect(!script.info.isDeliveryApplicationLimited)
    let rate = try #require(script.info.deliveryRate)
    #expect(rate > 0)
    // One segment in a second, for a while.
    for _ in 0..<5 {
      script.wait(.seconds(1))
      script.enqueue(1000)
      script.wait(milliseconds: 20)
      acknowledged += 1000
      script.inject(.ack, 1, ack: acknowledged)
    }
    #expect(script.info.bandwidth?.bandwidth == before.bandwidth)
    #expect(script.info.deliveryRate == rate)
  }

  @Test func theControlMayBeChangedUnderWay() {
    let script = established(Script.plain)
    script.enqueue(100_000)
    #expect(script.info.bandwidth == nil && script.info.pacingRate == nil && script.info.deliveryRate == nil)
    #expect(script.take().count == 10)
    script.reconfigure { $0.congestionControl = .bbr }
    #expect(script.info.congestionControl == .bbr && script.info.pacingRate != nil)
    for count in 1...10 {
      script.wait(milliseconds: 10)
      script.inject(.ack, 1, ack: 1 + count * 1000)
    }
    #expect(script.take().count > 10)
    script.reconfigure { $0.congestionControl = .newReno }
    #expect(script.info.congestionControl == .newReno && script.info.bandwidth == nil)
    #expect(script.info.pacingRate == nil)
    script.inject(.ack, 1, ack: 12_001)
    #expect(!script.take().isEmpty)
  }

  @Test func aTimeoutLeavesOneSegmentAndThenWhatWasKnown() {
    let script = established(Self.plain)
    drive(script, segments: 400)
    let window = script.info.congestionWindow
    script.enqueue(60_000)
    script.wait(milliseconds: 10)
    _ = script.take()
    while script.info.counters.timeouts == 0, script.fire() != nil {}
    #expect(script.info.congestionWindow == 1)
    #expect(script.take().last?.sequence == acknowledged)
    script.wait(milliseconds: 20)
    acknowledged += script.info.outstandingBytes
    script.inject(.ack, 1, ack: acknowledged)
    #expect(script.info.phase == .open)
    #expect(script.info.congestionWindow > window / 2, "\(script.info.congestionWindow) of \(window)")
  }

  // MARK: A peer by hand

  private static var plain: TCPConfiguration {
    var configuration = Script.plain
    configuration.congestionControl = .bbr
    return configuration
  }
  /// What the peer has acknowledged.
  private final class Place { var acknowledged = 1 }
  private let place = Place()
  private var acknowledged: Int {
    get { place.acknowledged }
    nonmutating set { place.acknowledged = newValue }
  }

  /// Open, after a handshake of 20 ms.
  private func established(_ configuration: TCPConfiguration) -> Script {
    var options = TCPOptions()
    options.mss = 1000
    options.sackPermitted = true
    let script = Script(passive: configuration, syn: options)
    script.wait(milliseconds: 20)
    script.inject(.ack, 1, ack: 1)
    #expect(script.state == .established)
    _ = script.take()
    return script
  }

  /// So many segments, each acknowledged 20 ms after it left, one in a millisecond.
  private func drive(_ script: Script, segments: Int) {
    script.enqueue(segments * 1000)
    var due: [(time: Instant, end: Int)] = []
    var free = script.now
    func note() {
      for sent in script.take() where sent.count > 0 {
        free = max(free, script.now) + .milliseconds(1)
        due.append((free + .milliseconds(20), sent.sequence + sent.count))
      }
    }
    note()
    while !due.isEmpty {
      let next = due.removeFirst()
      // Whatever timers want comes first.
      while let deadline = script.nextDeadline, deadline < next.time {
        script.fire()
        note()
      }
      script.wait(next.time - script.now)
      acknowledged = next.end
      script.inject(.ack, 1, ack: next.end)
      note()
    }
    #expect(script.info.outstandingBytes == 0)
  }
}
