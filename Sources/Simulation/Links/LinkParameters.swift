public import Timing

/// How frames get lost on their way, beyond what queues drop.
public enum LossModel: Sendable, Hashable {
  /// None does.
  case none
  /// Each by itself, with this probability, 0...1.
  case random(Double)
  /// In bursts: the two states of Gilbert and Elliott. Before each frame the line goes from good to bad with
  /// probability `worsening`, or from bad to good with `recovery`; then the frame is lost with `good` or `bad`.
  case bursty(worsening: Double, recovery: Double, good: Double, bad: Double)

  /// The share of frames that is lost in the long run.
  public var share: Double {
    switch self {
    case .none: return 0
    case .random(let probability): return probability
    case .bursty(let worsening, let recovery, let good, let bad):
      let isBad = worsening + recovery > 0 ? worsening / (worsening + recovery) : 0
      return isBad * bad + (1 - isBad) * good
    }
  }
}

/// When random early detection acts (Floyd and Jacobson, 1993), with the gentle slope above the upper threshold.
public struct EarlyDetection: Sendable, Hashable {
  /// Bytes of the average queue below which nothing happens.
  public var lower: Int
  /// Bytes of the average queue at which a frame is marked or dropped with `probability`; at twice as many, always.
  public var upper: Int
  /// At the upper threshold, 0...1.
  public var probability: Double
  /// Bytes that fit in all.
  public var limit: Int
  /// Marks packets of ECN-capable transports instead of dropping them.
  public var marks: Bool

  /// Thresholds in bytes.
  public init(lower: Int, upper: Int, limit: Int, probability: Double = 0.1, marks: Bool = true) {
    self.lower = lower
    self.upper = upper
    self.limit = limit
    self.probability = probability
    self.marks = marks
  }
}

/// How frames wait for a line.
public enum LinkQueueing: Sendable, Hashable {
  /// First in, first out; what finds so many bytes waiting is dropped.
  case dropTail(bytes: Int)
  /// fq_codel with its usual parameters, and so many packets at most.
  case fqCodel(packets: Int)
  /// First in, first out, with random early detection.
  case red(EarlyDetection)
}

/// One direction of a link.
public struct LinkParameters: Sendable, Hashable {
  /// Bits per second; nil: frames take no time to send, and never wait.
  public var rate: Int?
  /// Propagation, the same for every frame.
  public var delay: Nanoseconds
  /// Up to so much more, uniformly distributed.
  public var jitter = Nanoseconds.zero
  /// Whether jitter leaves frames in their order, as a queue does that varies.
  public var keepsOrder = true
  /// Losses on the line.
  public var loss = LossModel.none
  /// The share of frames that come twice, 0...1.
  public var duplication = 0.0
  /// The share of IP packets in which a bit is flipped, 0...1. Where nothing covers a frame's bytes, as in ARP, it is
  /// lost instead, as Ethernet's own check would have it.
  public var corruption = 0.0
  /// The share of frames that are held back, 0...1.
  public var reordering = 0.0
  /// For how long those are.
  public var reorderingDelay = Nanoseconds.milliseconds(5)
  /// How frames wait.
  public var queueing = LinkQueueing.dropTail(bytes: 1 << 20)
  /// The largest packet, without the link's header, in bytes.
  public var mtu = 1500

  /// A perfect link of `rate` bits per second, or of any rate.
  public init(rate: Int? = nil, delay: Nanoseconds = .zero) {
    self.rate = rate
    self.delay = delay
  }

  /// How long `bytes` take to send.
  func sendingTime(bytes: Int) -> UInt64 {
    guard let rate, rate > 0 else { return 0 }
    return UInt64(bytes) * 8 * 1_000_000_000 / UInt64(rate)
  }
}
