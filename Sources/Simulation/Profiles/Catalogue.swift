import Chance
import Timing

extension Profile {
  /// All there are, in the order of the table.
  public static let all: [Profile] = plain + impaired + narrow + changing + mixed

  /// The profile of this name.
  public static func named(_ name: String) -> Profile? { all.first { $0.name == name } }

  /// 20 Mbit/s and a round trip of 20 ms, with room for a bandwidth-delay product: what impairments are added to.
  private static func path(
    rate: Int = 20_000_000, roundTrip: Nanoseconds = .milliseconds(20), queue: Int? = nil,
    _ adjust: (inout LinkParameters) -> Void = { _ in }
  ) -> LinkParameters {
    var link = LinkParameters(rate: rate, delay: roundTrip / 2)
    let product = Int(Double(rate) / 8 * Double(roundTrip.count) / 1e9)
    link.queueing = .dropTail(bytes: queue ?? max(32 << 10, product))
    adjust(&link)
    return link
  }

  // MARK: Links that lose nothing by themselves

  private static let plain = [
    Profile("lan", "a switch and a gigabit: what the engine does when nothing is in its way") { _ in
      (path(rate: 1_000_000_000, roundTrip: .microseconds(200), queue: 256 << 10), nil)
    } _: {
      $0.topology = .switched(hosts: 3)
    },
    Profile("delay-20", "20 ms there and back: slow start and one bandwidth-delay product of buffer") { _ in
      (path(), nil)
    },
    Profile("delay-100", "100 ms: windows above 64 KiB") { _ in
      (path(roundTrip: .milliseconds(100)), nil)
    } _: {
      $0.bytes = 1 << 20
    },
    Profile("delay-300", "300 ms: windows of most of a megabyte") { _ in
      (path(roundTrip: .milliseconds(300)), nil)
    } _: {
      $0.bytes = 2 << 20
    },
    Profile("jitter", "5 to 25 ms each way, in order: round trips that do not mean what they say") { _ in
      (path(roundTrip: .milliseconds(10)) { $0.jitter = .milliseconds(20) }, nil)
    },
  ]

  // MARK: Lines that lose, double, damage and disorder

  private static func lossy(_ name: String, _ share: Double, _ purpose: String) -> Profile {
    // A timeout that is lost again and again doubles up to two minutes.
    Profile(name, purpose) { _ in
      (path { $0.loss = .random(share) }, nil)
    } _: {
      $0.limit = .seconds(3600)
    }
  }

  private static let impaired = [
    lossy("loss-0.1", 0.001, "one frame in a thousand: recovery that hardly shows"),
    lossy("loss-1", 0.01, "one in a hundred: recovery several times in a transfer"),
    lossy("loss-3", 0.03, "three in a hundred: losses in most windows"),
    lossy("loss-10", 0.1, "one in ten, both ways: retransmissions that are lost themselves"),
    Profile("loss-burst", "half of what comes in bursts of ten frames (Gilbert-Elliott), 2 % in all") { _ in
      (path { $0.loss = .bursty(worsening: 0.004, recovery: 0.1, good: 0, bad: 0.5) }, nil)
    },
    Profile("reorder-mild", "one frame in a hundred 3 ms late: no loss must be seen in it") { _ in
      (
        path {
          $0.reordering = 0.01
          $0.reorderingDelay = .milliseconds(3)
        }, nil
      )
    },
    Profile("reorder-strong", "one in five 15 ms late: three duplicate acknowledgments mean nothing") { _ in
      (
        path {
          $0.reordering = 0.2
          $0.reorderingDelay = .milliseconds(15)
        }, nil
      )
    },
    Profile("duplicate", "one frame in ten comes twice") { _ in (path { $0.duplication = 0.1 }, nil) },
    Profile("corrupt", "a bit flipped in one packet of fifty: the checksums' work") { _ in
      (path { $0.corruption = 0.02 }, nil)
    },
  ]

  // MARK: Narrow links and their queues

  private static let marking = EarlyDetection(lower: 16 << 10, upper: 48 << 10, limit: 256 << 10)

  private static let narrow = [
    Profile("narrow", "1 Mbit/s and 40 ms: twelve milliseconds for a segment") { _ in
      (path(rate: 1_000_000, roundTrip: .milliseconds(40), queue: 16 << 10), nil)
    } _: {
      $0.bytes = 256 << 10
    },
    Profile("bufferbloat", "5 Mbit/s before a second's worth of buffer: delay instead of loss") { _ in
      (path(rate: 5_000_000, roundTrip: .milliseconds(30), queue: 640 << 10), nil)
    } _: {
      $0.bytes = 2 << 20
      $0.topology = .routed
    },
    Profile("fq-codel", "the same link behind fq_codel: a fair share, and no delay") { _ in
      (path(rate: 5_000_000, roundTrip: .milliseconds(30)) { $0.queueing = .fqCodel(packets: 1000) }, nil)
    } _: {
      $0.bytes = 2 << 20
      $0.topology = .routed
    },
    Profile("red", "the same link with random early detection, which marks what may be marked") { _ in
      (path(rate: 5_000_000, roundTrip: .milliseconds(30)) { $0.queueing = .red(marking) }, nil)
    } _: {
      $0.bytes = 2 << 20
      $0.topology = .routed
    },
    Profile("ecn", "the same, and senders whose packets may be marked (RFC 3168): a word in a round trip") {
      _ in
      (path(rate: 5_000_000, roundTrip: .milliseconds(30)) { $0.queueing = .red(marking) }, nil)
    } _: {
      $0.bytes = 2 << 20
      $0.topology = .routed
      $0.notification = .request
    },
    Profile("accurate-ecn", "the same, and each mark is counted (RFC 9768)") { _ in
      (path(rate: 5_000_000, roundTrip: .milliseconds(30)) { $0.queueing = .red(marking) }, nil)
    } _: {
      $0.bytes = 2 << 20
      $0.topology = .routed
      $0.notification = .accurate
    },
    Profile("asymmetric", "20 Mbit/s one way, 512 kbit/s the other: acknowledgments that queue") { _ in
      (path(), path(rate: 512_000, queue: 16 << 10))
    } _: {
      $0.workloads = [.upload, .upload, .upload, .exchange, .halfClose]
    },
    Profile("satellite", "10 Mbit/s, 600 ms, one frame in two thousand lost") { _ in
      (path(rate: 10_000_000, roundTrip: .milliseconds(600)) { $0.loss = .random(0.0005) }, nil)
    } _: {
      $0.bytes = 2 << 20
    },
    Profile("many-flows", "16 transfers at once over 20 Mbit/s: whether they share it fairly") { _ in
      (path(roundTrip: .milliseconds(40)), nil)
    } _: {
      $0.workloads = [.parallel]
      $0.bytes = 8 << 20
    },
  ]

  // MARK: Networks that change

  private static let changing = [
    Profile("mtu-change", "the path narrows to 1280 or 1400 bytes under way; routers say so") { _ in
      (path(), nil)
    } _: {
      $0.topology = .routed
      $0.timeline = { random in
        [(.milliseconds(Int64(50 + random.below(250))), .mtu(random.chance(percent: 50) ? 1280 : 1400))]
      }
    },
    Profile("mtu-blackhole", "the path narrows and nobody says so, for 20 seconds") { _ in
      (path(), nil)
    } _: {
      $0.topology = .routed
      $0.workloads = [.upload, .download]
      $0.timeline = { random in
        let moment = Nanoseconds.milliseconds(Int64(50 + random.below(150)))
        return [(moment, .mute), (moment, .mtu(1280)), (moment + .seconds(20), .unmute)]
      }
    },
    Profile("flaps", "the link goes for up to two seconds, again and again") { _ in
      (path(), nil)
    } _: {
      $0.timeline = { random in
        var steps: [(after: Nanoseconds, step: NetworkStep)] = []
        var moment = Nanoseconds.milliseconds(Int64(20 + random.below(200)))
        for _ in 0..<6 {
          steps.append((moment, .cut))
          moment = moment + .milliseconds(Int64(20 + random.below(2000)))
          steps.append((moment, .mend))
          moment = moment + .milliseconds(Int64(100 + random.below(1500)))
        }
        return steps
      }
    },
    Profile("crash-restart", "a host is off without a word, and comes back knowing nothing") { _ in
      (path(), nil)
    } _: {
      $0.topology = .routed
      $0.workloads = Workload.restartable
      $0.retries = 20
      $0.timeline = { random in
        let host = random.below(2)
        let moment = Nanoseconds.milliseconds(Int64(10 + random.below(300)))
        return [
          (moment, .crash(host)), (moment + .milliseconds(Int64(50 + random.below(5000))), .start(host)),
        ]
      }
    },
  ]

  // MARK: Mixes

  private static let mixed = [
    Profile("wifi", "rates that change, jitter, loss in bursts, frames late and twice, a queue of 100 ms") {
      random in
      (
        path(rate: 10_000_000 + random.below(40) * 1_000_000, roundTrip: .milliseconds(10), queue: 256 << 10)
        {
          $0.jitter = .milliseconds(8)
          $0.loss = .bursty(worsening: 0.002, recovery: 0.2, good: 0.001, bad: 0.3)
          $0.reordering = 0.002
          $0.reorderingDelay = .milliseconds(4)
          $0.duplication = 0.002
          $0.queueing = .fqCodel(packets: 1000)
        }, nil
      )
    } _: {
      $0.timeline = { random in
        (1...20).map { number in
          (.milliseconds(Int64(number * 150)), .rate(2_000_000 + random.below(58) * 1_000_000))
        }
      }
    },
    Profile("chaos", "the seed chooses everything", links: chaoticLinks) {
      $0.topology = .routed
      $0.timeline = chaoticTimeline
      $0.retries = 40
      $0.workloads = Workload.restartable
      $0.bytes = 256 << 10
      $0.limit = .seconds(7200)
    },
    Profile(
      "fuzz", "frames of running connections are changed, repeated, cut and disordered, checksums repaired"
    ) { _ in
      (path(roundTrip: .milliseconds(4)), nil)
    } _: {
      $0.isFuzzing = true
      $0.bytes = 128 << 10
    },
  ]

  @Sendable private static func chaoticLinks(
    _ random: inout SeededGenerator
  ) -> (LinkParameters, LinkParameters?) {
    (chaoticLink(&random), random.chance(percent: 50) ? chaoticLink(&random) : nil)
  }
  private static func chaoticLink(_ random: inout SeededGenerator) -> LinkParameters {
    let rates = [256_000, 1_000_000, 5_000_000, 20_000_000, 100_000_000, 1_000_000_000]
    let roundTrip = Nanoseconds.microseconds(Int64([100, 2000, 20_000, 100_000, 300_000][random.below(5)]))
    return path(rate: rates[random.below(rates.count)], roundTrip: roundTrip) {
      if random.chance(percent: 30) { $0.jitter = roundTrip }
      $0.keepsOrder = random.chance(percent: 70)
      switch random.below(4) {
      case 0: $0.loss = .random(Double(random.below(80)) / 1000)
      case 1: $0.loss = .bursty(worsening: 0.01, recovery: 0.2, good: 0, bad: 0.6)
      default: break
      }
      if random.chance(percent: 30) { $0.reordering = Double(random.below(100)) / 500 }
      if random.chance(percent: 30) { $0.duplication = Double(random.below(100)) / 500 }
      if random.chance(percent: 30) { $0.corruption = Double(random.below(100)) / 2000 }
      switch random.below(4) {
      case 0: $0.queueing = .fqCodel(packets: 200)
      case 1: $0.queueing = .red(EarlyDetection(lower: 8 << 10, upper: 64 << 10, limit: 256 << 10))
      default: $0.queueing = .dropTail(bytes: 8192 << random.below(7))
      }
      $0.mtu = [1500, 1500, 1400, 1280][random.below(4)]
    }
  }
  @Sendable private static func chaoticTimeline(
    _ random: inout SeededGenerator
  ) -> [(after: Nanoseconds, step: NetworkStep)] {
    var steps: [(after: Nanoseconds, step: NetworkStep)] = []
    for _ in 0..<random.below(6) {
      let moment = Nanoseconds.milliseconds(Int64(random.below(5000)))
      let later = moment + .milliseconds(Int64(20 + random.below(3000)))
      switch random.below(5) {
      case 0: steps += [(moment, .cut), (later, .mend)]
      case 1: steps.append((moment, .mtu([1500, 1400, 1280][random.below(3)])))
      case 2: steps += [(moment, .mute), (later, .unmute)]
      case 3:
        let host = random.below(2)
        steps += [(moment, .crash(host)), (later, .start(host))]
      default: steps.append((moment, .delay(.milliseconds(Int64(random.below(100))))))
      }
    }
    // One crash ends before the next begins, whatever the order in which they were chosen.
    return steps.sorted { $0.after < $1.after } + [(.seconds(9), .start(0)), (.seconds(9), .start(1))]
  }
}
