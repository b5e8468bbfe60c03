/// What came of one run.
public struct RunResult: Sendable {
  /// The profile, the seed, and what applications did.
  public var profile: String
  /// The seed.
  public var seed: UInt64
  /// What applications did.
  public var workload: Workload
  /// What went wrong first; nil: nothing.
  public var failure: String?
  /// The last events before that, oldest first.
  public var trace: [TraceEntry] = []
  /// Where the applications stood when it went wrong.
  public var states: [String] = []
  /// Payload that arrived, in bytes.
  public var bytes = 0
  /// Nanoseconds of virtual time until all was transferred, and until everything had ended.
  public var transferTime: UInt64 = 0
  /// Until everything had ended.
  public var wholeTime: UInt64 = 0
  /// Bits of payload per second, of measured runs.
  public var goodput: Double?
  /// The most that the link allows: its rate, less headers, less what it loses.
  public var limit: Double?
  /// Segments sent again, retransmission timeouts, and segments dropped for their checksums.
  public var retransmissions = 0
  /// Retransmission timeouts.
  public var timeouts = 0
  /// Segments with a wrong checksum.
  public var checksumErrors = 0
  /// The most bytes in the narrow link's queue, and their average over the transfer.
  public var largestQueue = 0
  /// The average over the transfer.
  public var averageQueue = 0.0
  /// Frames dropped by queues, lost on lines, and what mutations were made.
  public var queueDrops = 0
  /// Frames lost on lines.
  public var losses = 0
  /// Frames changed by structured fuzzing.
  public var mutations = 0
  /// Jain's index of the shares of parallel transfers, 0...1.
  public var fairness: Double?
  /// Goodput of reference senders in the same link, bits per second.
  public var reference: (newReno: Double, cubic: Double, bbr: Double)?
  /// Frames sent and received, and the word that everything that happened was folded into.
  public var frameEvents = 0
  /// Equal for equal runs.
  public var fingerprint: UInt64 = 0

  init(profile: String, seed: UInt64, workload: Workload) {
    self.profile = profile
    self.seed = seed
    self.workload = workload
  }
}
