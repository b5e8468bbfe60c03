import Timing
import Wire

/// When a receiver sends the counters of bytes as an option (`net.ipv4.tcp_ecn_option`; RFC 9768 section 3.2.3.3).
@frozen public enum AccurateOptionUse: UInt8, Sendable {
  /// Never.
  case never
  /// After a change, with every mark, and some times in a round trip (``TCPConfiguration/accurateOptionBeacon``).
  case sparing
  /// Whenever it has room, until it seems to get lost.
  case whenever
  /// Whenever it has room.
  case persistent
}

/// What a sender has learned of the peer's option.
@frozen public enum AccurateOptionSight: UInt8, Sendable {
  /// None came.
  case none
  /// One without counters came.
  case empty
  /// Counters came.
  case counters
  /// Counters came zeroed, or too late to be understood: they are not looked at.
  case failed
}

/// What was found to be in the way of accurate feedback, with Linux's numbers (`tcpi_accecn_fail_mode`).
@frozen public struct AccurateFailures: OptionSet, Hashable, Sendable {
  /// The bits.
  public var rawValue: UInt8
  /// Any bits.
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// Our SYN-ACK that agreed to it seems not to arrive.
  @inlinable public static var fieldSent: Self { .init(rawValue: 1) }
  /// The peer's count is zeroed, or its reflection of our SYN's mark is not what we sent.
  @inlinable public static var fieldReceived: Self { .init(rawValue: 2) }
  /// Segments with our option seem to get lost.
  @inlinable public static var optionSent: Self { .init(rawValue: 4) }
  /// The peer's option is zeroed, or never came.
  @inlinable public static var optionReceived: Self { .init(rawValue: 8) }
}

/// Bytes of payload by the mark with which they came. Wrapping.
@frozen public struct MarkedBytes: Hashable, Sendable {
  /// ECT(1).
  public var capable1: UInt32 = 0
  /// CE.
  public var experienced: UInt32 = 0
  /// ECT(0).
  public var capable0: UInt32 = 0
  /// None.
  @inlinable public init() {}
}

/// Accurate feedback of one connection, RFC 9768: what we count of what arrives, and what the peer says of what we sent.
struct AccurateFeedback {
  // MARK: The receiver's counters

  /// Acceptable packets that came marked: r.cep less its first value.
  private(set) var received: UInt32 = 0
  /// Bytes by mark: r.e1b, r.ceb and r.e0b less their first values.
  private(set) var receivedBytes = MarkedBytes()
  /// Marked packets since the last acknowledgment.
  private(set) var pending: UInt8 = 0
  /// The mark of the packet that came last.
  private(set) var last = CongestionNotification.notCapable
  /// Any packet came from a transport that is capable.
  private(set) var wasCapable = false
  /// Fields of the option, in the order that begins with ECT(1), up to the last one that has changed since it was sent.
  private(set) var changed: UInt8 = 0
  /// Options that are to be sent in any case.
  private(set) var demand: UInt8 = 0
  /// When an option was sent last.
  private(set) var optionSent = Instant.zero
  /// The mark of the SYN, or SYN-ACK, that the next ACK without text reflects instead of counting (section 3.2.2.1).
  var reflection: CongestionNotification?
  /// The mark of the peer's SYN that came last: what our SYN-ACK reflects.
  var synMark = CongestionNotification.notCapable
  /// SYN-ACKs that we sent.
  var answers: UInt8 = 0
  /// A marked SYN-ACK was counted: they count once (section 3.2.2.2).
  private var countedSynAck = false
  /// The next acknowledgment is for acknowledgments that came marked: it must not look like a duplicate.
  private(set) var answersAcknowledgments = false
  /// Where the text began that came again last, and whether an option was on the answer.
  private var repetition = SequenceNumber(0)
  private var answersRepetition = false

  // MARK: The sender's

  /// What a segment says that comes next.
  enum Expectation {
    /// If it has no text: how our SYN-ACK arrived.
    case reflection
    /// The count for the first time, which is not zero unless somebody made it so.
    case first
    /// The count.
    case count
  }
  var expects = Expectation.first
  /// The segment that is being taken has no count.
  var isWithoutCount = false
  /// Bytes by mark as the peer says: s.e1b, s.ceb and s.e0b less their first values.
  private(set) var deliveredBytes = MarkedBytes()
  /// What came of the peer's option.
  private(set) var sight = AccurateOptionSight.none
  /// What is in the way.
  var failures: AccurateFailures = []
  /// We answered, and a SYN or SYN-ACK without any of the three flags was part of it: the client may not have
  /// understood, and no packet of ours says that it is capable (section 3.1.5).
  var isPlain = false
  /// Marks change on their way in a manner that no router's may: no packet of ours says that it is capable.
  var isMangled = false
  /// The count was zero: it is not listened to.
  var isZeroed = false
  /// The peer saw our SYN marked.
  var synWasMarked = false
  /// The feedback before this had the counter of marked bytes.
  private var hadCounters = false
  /// Marks that were counted since then, and whether their number is certain.
  private var countedSince = 0
  private var isCertainSince = true
  /// The average number of segments that one feedback acknowledges, in 64ths.
  private var average: UInt16 = 0

  /// What packets may say: that they are capable.
  var mayMark: Bool { !isPlain && !isMangled && !isZeroed }

  // MARK: Receiving

  /// An acceptable packet came with so many bytes of text. True: it is marked, and the one before was not.
  mutating func arrived(_ mark: CongestionNotification, bytes: Int, packets: Int = 1) -> Bool {
    let begins = mark == .experienced && last != .experienced
    if mark != .notCapable { wasCapable = true }
    if mark != last || mark == .experienced { demand = 2 }
    last = mark
    if mark == .experienced {
      received &+= .init(truncatingIfNeeded: packets)
      pending += min(.max - pending, .init(clamping: packets))
    }
    guard bytes > 0 else { return begins }
    // The fields in the order that begins with ECT(1).
    let isLarge: Bool
    let fieldsNeeded: UInt8
    switch mark {
    case .notCapable: return begins
    case .capable1: (isLarge, fieldsNeeded) = (Self.count(bytes, &receivedBytes.capable1), 1)
    case .experienced: (isLarge, fieldsNeeded) = (Self.count(bytes, &receivedBytes.experienced), 2)
    case .capable0: (isLarge, fieldsNeeded) = (Self.count(bytes, &receivedBytes.capable0), 3)
    }
    changed = max(changed, fieldsNeeded)
    if isLarge { demand = max(demand, 1) }
    return begins
  }

  /// Counts, and says whether a multiple of 2²² was passed: a counter is told so often at least, lest it wraps unseen
  /// (section 3.2.3.3).
  private static func count(_ bytes: Int, _ counter: inout UInt32) -> Bool {
    let before = counter
    counter &+= UInt32(truncatingIfNeeded: bytes)
    return (before ^ counter) >> 22 != 0
  }

  /// Section 3.2.2.5.1: whether so many marks are an acknowledgment of their own. `isWaiting`: text waits for one.
  func isDue(isWaiting: Bool) -> Bool { pending >= (isWaiting ? 2 : 3) }

  /// Only acknowledgments came, and so many marked that they are acknowledged.
  mutating func answerAcknowledgments() { answersAcknowledgments = true }

  /// The peer's SYN-ACK came: with this mark, as the next ACK says. It counts if it met congestion, once.
  mutating func synAckArrived(_ mark: CongestionNotification) {
    reflection = mark
    last = mark
    guard mark == .experienced, !countedSynAck else { return }
    countedSynAck = true
    received &+= 1
    pending = 1
  }

  /// Where the first option of a connection is due.
  mutating func demandOptions(_ count: UInt8) { demand = max(demand, count) }

  /// Text from `start` on came that was here already. True: the answer to the same repetition had an option before, so
  /// that segments with options seem to get lost (section 3.2.3.2.2).
  mutating func repeated(_ start: SequenceNumber) -> Bool {
    if answersRepetition, repetition == start { return true }
    repetition = start
    answersRepetition = false
    return false
  }

  // MARK: Telling

  /// ACE: r.cep (section 3.2.2.2).
  var field: TCPFlags { TCPFlags(marks: received &+ 5) }

  /// The option with so many fields.
  func option(fields: Int) -> TCPAccurateECN {
    TCPAccurateECN(
      order: .capable1First, count: fields, capable0: receivedBytes.capable0 &+ 1,
      experienced: receivedBytes.experienced, capable1: receivedBytes.capable1 &+ 1)
  }

  /// The option of a SYN-ACK: counters at their first values.
  static func first(fields: Int) -> TCPAccurateECN { AccurateFeedback().option(fields: fields) }

  /// Fields of a SYN-ACK's option that find room in so many bytes; nil: not even the empty one.
  static func fieldsOfFirst(room: Int) -> Int? {
    (0...3).last { TCPAccurateECN.room(fields: $0, beforeSACK: false) <= room }
  }

  /// An acknowledgment left, with an option or without.
  mutating func told(withOption: Bool, isRepetition: Bool, now: Instant) {
    pending = 0
    answersAcknowledgments = false
    guard withOption else { return }
    changed = 0
    optionSent = now
    if demand > 0 { demand -= 1 }
    if isRepetition { answersRepetition = true }
  }

  // MARK: Learning

  /// Looks at an option as such: whether the peer's come through. `sent`: bytes that we have sent in all.
  mutating func look(at option: TCPAccurateECN?, sent: UInt64) {
    switch sight {
    case .failed, .counters: return
    case .none, .empty: break
    }
    guard let option else {
      // Too late: a counter might have wrapped.
      if sight == .none, sent >= 1 << 23 { fail() }
      return
    }
    if option.isZeroed {
      fail()
    } else {
      sight = option.count == 0 ? .empty : .counters
    }
  }

  private mutating func fail() {
    sight = .failed
    failures.insert(.optionReceived)
  }

  /// Takes the feedback of an acknowledgment that was not overtaken by another.
  ///
  /// - Parameters:
  ///   - field: ACE.
  ///   - option: the counters, if it has some.
  ///   - counted: marks that are counted already: s.cep less its first value.
  ///   - segments: how many it newly says to have arrived, about.
  ///   - size: text of a full segment, in bytes.
  /// - Returns: marks that are new.
  mutating func take(
    _ field: UInt8, _ option: TCPAccurateECN?, counted: UInt32, segments: Int, size: Int
  ) -> Int {
    let least = Int((UInt32(field) &- 5 &- counted) & 7)
    if segments > 0 {
      let sample = min(segments, 1023) << 6
      average = average == 0 ? UInt16(sample) : UInt16(Int(average) + (sample - Int(average)) >> 6)
    }
    let bytes = takeCounters(option)
    var new = least
    let mayHaveWrapped = segments > 7
    if mayHaveWrapped, average <= 4 << 6 {
      new = Self.marks(
        atLeast: least, of: segments, bytes: hadCounters ? bytes.map(Int.init) : nil, size: size)
    }
    countedSince += new
    if mayHaveWrapped { isCertainSince = false }
    if let bytes {
      // Section 3.2.3.2.5: marked bytes in packets that were not marked.
      if bytes > 0, countedSince == 0, isCertainSince { isMangled = true }
      countedSince = 0
      isCertainSince = true
    }
    hadCounters = bytes != nil
    return new
  }

  /// How many marks there are, where ACE says how many modulo 8 and may have wrapped: the safest likely number (section
  /// 3.2.2.5.2, Appendix A.2). `bytes`: how many bytes came marked, if that is known.
  static func marks(atLeast least: Int, of segments: Int, bytes: Int?, size: Int) -> Int {
    guard segments > least else { return least }
    let safest = segments - (segments - least) & 7
    guard let bytes, size > 0 else { return safest }
    if bytes == 0 { return least }
    if segments >= 16 {
      // Several wraps may be: as few as could have carried so many bytes.
      let missing = (bytes + size - 1) / size - least
      return missing <= 0 ? least : min(safest, least + (missing + 7) & ~7)
    }
    return bytes <= size * least && bytes * 2 < size * safest ? least : safest
  }

  /// Takes the counters of an option. Returns by how much that of marked bytes has grown; nil: it is not there.
  private mutating func takeCounters(_ option: TCPAccurateECN?) -> UInt32? {
    guard let option, sight == .counters else { return nil }
    _ = Self.grow(&deliveredBytes.capable1, to: option.capable1, first: 1)
    _ = Self.grow(&deliveredBytes.capable0, to: option.capable0, first: 1)
    return Self.grow(&deliveredBytes.experienced, to: option.experienced, first: 0)
  }

  /// Section 3.2.3.1: the least that the counter may have grown by. What would be more than half of 2²⁴ is an older one.
  private static func grow(_ counter: inout UInt32, to field: UInt32?, first: UInt32) -> UInt32? {
    guard let field else { return nil }
    let growth = (field &- first &- counter) & 0xFF_FFFF
    guard growth < 1 << 23 else { return 0 }
    counter &+= growth
    return growth
  }
}

/// What accurate feedback has counted, as `TCP_INFO` tells it. Wrapping.
@frozen public struct TCPAccurateInfo: Sendable {
  /// Packets that arrived marked (`tcpi_received_ce`).
  public var receivedPackets: UInt32 = 0
  /// Bytes that arrived, by mark (`tcpi_received_ce_bytes` and its like).
  public var receivedBytes = MarkedBytes()
  /// Bytes that arrived at the peer, by mark, as its option says (`tcpi_delivered_ce_bytes` and its like).
  public var deliveredBytes = MarkedBytes()
  /// What came of the peer's option (`tcpi_accecn_opt_seen`).
  public var optionSight = AccurateOptionSight.none
  /// What was found to be in the way (`tcpi_accecn_fail_mode`).
  public var failures: AccurateFailures = []
  /// Our packets say that they are capable.
  public var marksPackets = false
  /// A packet came that says so (`TCPI_OPT_ECN_SEEN`).
  public var wasCapable = false
  /// All zero.
  public init() {}
}

extension AccurateFeedback {
  /// For statistics.
  var info: TCPAccurateInfo {
    var info = TCPAccurateInfo()
    info.receivedPackets = received
    info.receivedBytes = receivedBytes
    info.deliveredBytes = deliveredBytes
    info.optionSight = sight
    info.failures = failures
    info.marksPackets = mayMark
    info.wasCapable = wasCapable
    return info
  }
}
