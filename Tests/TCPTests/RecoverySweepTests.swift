import TCP
import Testing
import Timing
import Wire

/// P8: what loss recovery costs, in virtual time, over loss, delay and reordering.
@Suite struct RecoverySweepTests {
  /// A link, as far as recovery is concerned.
  struct Case: CustomTestStringConvertible, Sendable {
    var loss: Double
    var delay: Int64
    /// Most extra delay of a segment, in milliseconds.
    var jitter: Int64
    var testDescription: String { "loss \(loss), delay \(delay) ms, jitter \(jitter) ms" }
  }

  /// What a transfer over a link came to, over all seeds.
  struct Outcome {
    /// From the first segment to the end of the stream, in seconds.
    var seconds = 0.0
    var timeouts = 0
    var retransmissions = 0
    var losses = 0
    /// The least time that the model grants, in seconds.
    var model = 0.0

    /// How much of the model's rate was reached.
    var fraction: Double { model / seconds }
  }

  private static let bytes = 600_000
  private static let segment = 1448.0
  private static let window = 256.0 * 1024

  private func measure(_ link: Case, seeds: Range<UInt64>) -> Outcome {
    var outcome = Outcome()
    for seed in seeds {
      var profile = LinkProfile()
      profile.loss = link.loss
      profile.delay = .milliseconds(link.delay)
      profile.jitter = .milliseconds(link.jitter)
      var configuration = TCPConfiguration()
      configuration.receiveBuffer = UInt32(Self.window)
      let network = SimulatedNetwork(
        seed: seed, profile: profile, clientWrites: Self.bytes, serverWrites: 0, client: configuration,
        server: configuration)
      network.run(limit: .seconds(3600))
      guard let server = network.server, let end = server.sawEndAt else {
        Issue.record("seed \(seed): the transfer does not end")
        continue
      }
      #expect(server.received == Self.bytes && server.wrong == 0, "seed \(seed)")
      #expect(network.client.effects.error == nil && network.pool.inUse == 0, "seed \(seed)")
      let counters = network.client.connection.info.counters
      outcome.seconds += Double((end - Instant(milliseconds: 1000)).count) / 1e9
      outcome.timeouts += Int(counters.timeouts)
      outcome.retransmissions += Int(counters.retransmissions)
      outcome.losses += network.losses
      outcome.model += Self.model(link)
    }
    return outcome
  }

  /// The least time for the bytes: the handshake, slow start from ten segments, then what the window (RFC 9293)
  /// or random loss (Mathis et al. 1997: MSS/RTT · sqrt(3/2p)) allow.
  private static func model(_ link: Case) -> Double {
    let roundTrip = Double(2 * link.delay + link.jitter) / 1000
    var limit = window
    if link.loss > 0 { limit = min(limit, segment * (1.5 / link.loss).squareRoot()) }
    var (time, sent, flight) = (roundTrip, 0.0, 10 * segment)
    while sent + min(flight, limit) < Double(bytes) {
      sent += min(flight, limit)
      flight *= 2
      time += roundTrip
    }
    return time + roundTrip / 2
  }

  private static let paths: [(delay: Int64, jitter: [Int64])] = [(5, [2]), (25, [2, 12]), (100, [10, 50])]
  static let losses = [0.001, 0.005, 0.01, 0.02, 0.05]
  /// Loss alone, over short and long paths.
  static let losing = losses.flatMap { loss in paths.map { Case(loss: loss, delay: $0.delay, jitter: 0) } }
  /// Segments that overtake each other, with and without loss.
  static let reordering = ([0] + losses).flatMap { loss in
    paths.flatMap { path in path.jitter.map { Case(loss: loss, delay: path.delay, jitter: $0) } }
  }

  /// Without loss nothing is repeated, and the model's time is met.
  @Test(arguments: paths.map(\.delay)) func P8_withoutLossNothingIsRepeated(delay: Int64) {
    let outcome = measure(Case(loss: 0, delay: delay, jitter: 0), seeds: 0..<2)
    #expect(outcome.fraction > 0.95 && outcome.retransmissions == 0 && outcome.timeouts == 0)
  }

  /// Loss alone: a third of what the model grants at least, and seldom a timeout; most losses are repaired by fast
  /// retransmission.
  @Test(arguments: losing) func P8_lossIsRepairedAtTheModelsPace(_ link: Case) {
    let outcome = measure(link, seeds: 0..<4)
    #expect(outcome.fraction > 1.0 / 3, "\(outcome)")
    #expect(outcome.timeouts <= 1 + outcome.losses / 4, "\(outcome)")
    #expect(outcome.retransmissions <= outcome.losses * 2, "\(outcome)")
  }

  /// Reordering is taken for loss, as RFC 6582 has it: a tenth of the model's rate is kept, and a timeout is still
  /// no more than every other loss's.
  @Test(arguments: reordering) func P8_reorderingSlowsDownAndDoesNotStop(_ link: Case) {
    let outcome = measure(link, seeds: 0..<4)
    #expect(outcome.fraction > 0.1, "\(outcome)")
    #expect(outcome.timeouts <= 1 + outcome.losses / 2, "\(outcome)")
  }
}
