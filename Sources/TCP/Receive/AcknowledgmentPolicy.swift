import Timing

/// When to acknowledge what arrived in order: RFC 9293 section 3.8.6.3 and RFC 5681 section 4.2.
///
/// With BSD's habits every second segment is acknowledged at once, and one alone after a fixed time. With Linux's the
/// wait, *ATO*, follows the gaps between segments; at the beginning, and whenever the peer may have little in flight,
/// a number of acknowledgments go at once (*quick* mode); and once answers with data follow what arrives the exchange
/// is *interactive*, and an acknowledgment waits for the next answer.
///
/// What takes the configuration is inlined: else the whole of it would be copied for each call.
struct AcknowledgmentPolicy {
  /// Something arrived that is not acknowledged.
  private(set) var isScheduled = false
  /// An acknowledgment is due now.
  var now = false
  /// Acknowledgments still to be sent at once.
  private(set) var quick: UInt8 = 0
  /// ATO; zero until the first text arrives.
  private(set) var timeout = Nanoseconds.zero
  /// What a full segment of the peer's seems to hold, in bytes.
  private(set) var segment: Int
  /// Answers in a row.
  private var answers: UInt8 = 0
  /// A segment came that was not full, or pushed: nothing may follow it. And so did a second one.
  private var wasPushed = false
  private var wasPushedTwice = false
  /// Segments that arrived since the last acknowledgment.
  private var segments: UInt8 = 0
  /// What the last segment held that was not full, in bytes.
  private var lastSegment = 0
  /// When text arrived last.
  private(set) var lastArrival: Instant

  /// What is taken for a peer's full segment before one was seen: RFC 9293's default, or less if a full one cannot be
  /// larger.
  init(announced: UInt16, buffer: UInt32, now: Instant) {
    segment = max(88, min(536, Int(announced), Int(buffer / 2)))
    lastArrival = now
  }

  /// The peer's SYN has arrived.
  mutating func begin(now: Instant) { lastArrival = now }

  /// Waits are ended by data soon.
  @inline(__always) func isInteractive(_ configuration: TCPConfiguration) -> Bool {
    answers >= max(1, configuration.pingPongThreshold)
  }

  /// Text of `bytes` arrived in order.
  ///
  /// - Parameters:
  ///   - bytes: how much, at least 1.
  ///   - options: bytes of the segment's options.
  ///   - isLast: PSH, URG or FIN: nothing need follow it.
  ///   - state: what the rest of the connection says.
  @inline(__always) mutating func arrived(
    _ bytes: Int, options: Int, isLast: Bool, _ state: AcknowledgmentState,
    _ configuration: TCPConfiguration
  ) {
    isScheduled = true
    segments &+= 1
    let wasLarge = bytes > segment
    measure(bytes, options: options, isLast: isLast, fixedOptions: state.fixedOptions, configuration)
    switch configuration.personality {
    case .bsd:
      if segments >= 2 || wasLarge && bytes > Int(configuration.maximumSegment) { now = true }
    case .linux:
      if timeout == .zero {
        enterQuick(configuration.quickAcknowledgments, window: state.window)
        timeout = configuration.delayedAcknowledgment
      } else {
        adapt(to: state.now - lastArrival, state, configuration)
      }
    }
    lastArrival = state.now
  }

  /// The same, with Linux's habits, for text that came at the same instant as text before it: the gap is none.
  mutating func arrivedTogether(
    _ bytes: Int, options: Int, isLast: Bool, fixedOptions: Int, _ configuration: TCPConfiguration
  ) {
    isScheduled = true
    segments &+= 1
    measure(bytes, options: options, isLast: isLast, fixedOptions: fixedOptions, configuration)
    timeout = timeout / 2 + configuration.delayedAcknowledgment / 2
  }

  /// ATO tends to the gap between segments.
  @inline(__always) private mutating func adapt(
    to gap: Nanoseconds, _ state: AcknowledgmentState, _ configuration: TCPConfiguration
  ) {
    let least = configuration.delayedAcknowledgment
    if gap <= least / 2 {
      timeout = timeout / 2 + least / 2
    } else if gap < timeout {
      timeout = min(timeout / 2 + gap, state.retransmissionTimeout)
    } else if gap > state.retransmissionTimeout {
      // The peer's window begins anew, or it has timed out: it needs acknowledgments to grow.
      enterQuick(configuration.quickAcknowledgments, window: state.window)
    }
  }

  /// Learns what a full segment of the peer's is. SACK blocks make it shorter now and then: only what comes twice in a
  /// row, and is not the end of a write, is believed.
  @inline(__always) private mutating func measure(
    _ bytes: Int, options: Int, isLast: Bool, fixedOptions: Int, _ configuration: TCPConfiguration
  ) {
    let previous = lastSegment
    lastSegment = 0
    if bytes >= segment {
      segment = min(bytes, Int(configuration.maximumSegment))
      if isLast { wasPushed = true }
      return
    }
    if bytes + options >= 536 || bytes + options >= 88 && !isLast {
      lastSegment = bytes + options - fixedOptions
      if lastSegment == previous {
        segment = lastSegment
        return
      }
    }
    wasPushedTwice = wasPushed
    wasPushed = true
  }

  private mutating func enterQuick(_ most: UInt8, window: Int) {
    let worthwhile = max(2, window / (2 * segment))
    quick = max(quick, UInt8(clamping: min(worthwhile, Int(most))))
  }

  /// The peer has answered our SYN, and text goes with the acknowledgment of its own.
  @inline(__always) mutating func opened(window: Int, now: Instant, _ configuration: TCPConfiguration) {
    isScheduled = true
    enterQuick(configuration.quickAcknowledgments, window: window)
    timeout = configuration.delayedAcknowledgment
    lastArrival = now
  }

  /// The peer has sent all that it will. True: its FIN is acknowledged as an interactive exchange's text is, with the next
  /// answer or after ATO. False: at once.
  @inline(__always) mutating func ended(_ configuration: TCPConfiguration) -> Bool {
    guard configuration.personality == .linux, timeout > .zero else { return false }
    isScheduled = true
    answers = max(1, configuration.pingPongThreshold)
    return true
  }

  /// Something came that says a loss, or a peer that knows less than it should: the next acknowledgments go at once.
  @inline(__always) mutating func hurry(window: Int, _ configuration: TCPConfiguration, most: UInt8 = 16) {
    isScheduled = true
    guard configuration.personality == .linux else { return }
    enterQuick(min(most, configuration.quickAcknowledgments), window: window)
    answers = 0
    timeout = configuration.delayedAcknowledgment
  }

  /// Whether the acknowledgment goes now. `unacknowledged`: bytes that arrived in order and were not acknowledged.
  /// `offersLess`: it could not offer what the one before did, and one that is sent when something was read can.
  @inline(__always) func isDue(
    _ unacknowledged: Int, offersLess: Bool = false, _ configuration: TCPConfiguration
  ) -> Bool {
    if now { return true }
    guard isScheduled, configuration.personality == .linux else { return false }
    return unacknowledged > segment && !offersLess || quick > 0 && !isInteractive(configuration)
  }

  /// Acknowledgments that go at once have no sense any more: there is no room to tell of.
  mutating func endQuick() { quick = 0 }

  /// The window has opened further, which the peer should know.
  mutating func quicken() { quick |= 1 }

  /// Text of so many bytes arrived ahead of a hole: what a full segment of the peer's is.
  mutating func measureAhead(_ bytes: Int, _ configuration: TCPConfiguration) {
    if bytes >= segment { segment = min(bytes, Int(configuration.maximumSegment)) }
  }

  /// How long an acknowledgment waits that does not go now.
  @inline(__always) func delay(smoothed: Nanoseconds, _ configuration: TCPConfiguration) -> Nanoseconds {
    let least = configuration.delayedAcknowledgment
    let most = min(configuration.delayedAcknowledgmentMaximum, .milliseconds(500))
    guard configuration.personality == .linux, timeout > least else { return least }
    // Company that takes longer than a round trip is no company.
    let bound = smoothed > .zero ? min(most, max(smoothed, least)) : most
    return max(min(timeout, bound), min(least, most))
  }

  /// The wait was in vain.
  @inline(__always) mutating func timedOut(
    retransmissionTimeout: Nanoseconds, _ configuration: TCPConfiguration
  ) {
    if isInteractive(configuration) {
      answers = 0
      timeout = configuration.delayedAcknowledgment
    } else {
      timeout = min(timeout * 2, retransmissionTimeout)
    }
  }

  /// A segment left that acknowledges everything.
  @inline(__always) mutating func sent(withText: Bool, now: Instant, _ configuration: TCPConfiguration) {
    if withText, timeout > .zero, now - lastArrival < timeout, answers < .max { answers += 1 }
    if isScheduled, quick > 0 {
      quick -= 1
      if quick == 0 { timeout = configuration.delayedAcknowledgment }
    }
    isScheduled = false
    self.now = false
    segments = 0
    wasPushed = false
    wasPushedTwice = false
  }

  /// The application has taken everything there was: whether that is a moment to acknowledge, since nothing more may
  /// come that an acknowledgment could wait for.
  @inline(__always) func isDueWhenRead(_ unacknowledged: Int, _ configuration: TCPConfiguration) -> Bool {
    guard isScheduled, configuration.personality == .linux else { return false }
    return unacknowledged > segment || wasPushedTwice || wasPushed && !isInteractive(configuration)
  }

  /// TCP_QUICKACK: on, acknowledgments do not wait for answers, until the exchange is interactive again; off, they do.
  @inline(__always) mutating func setQuick(_ isOn: Bool, _ configuration: TCPConfiguration) {
    answers = isOn ? 0 : max(1, configuration.pingPongThreshold)
    if isOn, isScheduled { wasPushed = true }
  }
}

/// What decides about acknowledgments from the rest of the connection.
struct AcknowledgmentState {
  var now: Instant
  /// What is offered to the peer, in bytes.
  var window: Int
  /// RTO; anything within half of the least wait for an acknowledgment since the last text.
  var retransmissionTimeout: Nanoseconds
  /// Bytes of options that every segment has.
  var fixedOptions: Int
}
