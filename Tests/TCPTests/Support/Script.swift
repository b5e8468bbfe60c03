import Buffers
import TCP
import Testing
import Timing
import Wire

/// A segment that the engine sent, with numbers relative to the two initial ones, as packetdrill prints them.
struct Sent: Equatable, CustomStringConvertible {
  var flags: TCPFlags
  var sequence: Int
  var count: Int
  var acknowledgment: Int?
  var window: Int
  var options: TCPOptions
  var isRetransmission: Bool
  var urgent = 0
  /// The IP header says ECT(0).
  var isCapable = false
  /// Of a super-segment.
  var size = 0

  var description: String {
    "\(flags) \(sequence):\(sequence + count)(\(count)) ack \(acknowledgment.map(String.init) ?? "-") win \(window)"
  }
}

/// One engine and a hand-made peer, in virtual time. Sequence numbers are relative: ours to `iss`, the peer's
/// to `irs`, so that each SYN is 0 and the first byte 1.
final class Script {
  var connection: TCPConnection
  var now: Instant
  let iss: SequenceNumber
  let irs: SequenceNumber
  let pool = TestPool()
  /// What the engine delivered.
  var delivered: [UInt8] = []
  /// All effects so far, merged.
  var effects = TCPEffects()
  /// The effects of the last call.
  var last = TCPEffects()
  /// What was sent since it was last looked at.
  private var sent: [Sent] = []
  /// The peer puts timestamps on its segments: its clock is that of the test, from 1000 on.
  var stamps = false
  /// Bytes of text that the environment takes as one.
  var joinedTextLimit = 0
  /// Whether there is memory for text; see `Recorder`.
  var admits: ((Int, Bool) -> Bool)?
  var releases: ((Int, TCPRelease) -> Void)?
  /// Segments that may be predicted are, and how many were.
  var predicts = false
  private(set) var predicted = 0
  /// Of those, acknowledgments of all that was out.
  private(set) var predictedAnswers = 0
  /// The states that a predicted segment led out of.
  private(set) var predictedTurns: [TCPState] = []
  /// Our newest timestamp, to be echoed by the peer.
  private(set) var echo: UInt32 = 0

  /// The settings that most scripts want: no timestamps, no window scale, no quick acknowledgments, every
  /// refusal answered.
  static var plain: TCPConfiguration {
    var configuration = TCPConfiguration()
    configuration.timestamps = false
    configuration.windowScaling = false
    configuration.receiveBuffer = 65535
    configuration.quickAcknowledgments = 0
    configuration.maximumSegment = 1000
    configuration.refusalInterval = .zero
    return configuration
  }

  init(
    active configuration: TCPConfiguration, fastOpen: TCPFastOpenAttempt? = nil, enqueue early: Int = 0,
    iss: UInt32 = 0x1000_0000, irs: UInt32 = 0x7000_0000, now: Instant = Instant(milliseconds: 5000)
  ) {
    self.iss = SequenceNumber(iss)
    self.irs = SequenceNumber(irs)
    self.now = now
    connection = .active(iss: self.iss, configuration: configuration, fastOpen: fastOpen, now: now)
    if early > 0 { enqueue(early) }
    run { script, sink in
      script.connection.start(now: script.now, sink: &sink)
      return TCPEffects()
    }
  }

  init(
    passive configuration: TCPConfiguration, syn options: TCPOptions = TCPOptions(), flags: TCPFlags = .syn,
    window: UInt16 = 65535, mark: CongestionNotification = .notCapable, iss: UInt32 = 0x1000_0000,
    irs: UInt32 = 0x7000_0000, now: Instant = Instant(milliseconds: 5000)
  ) {
    self.iss = SequenceNumber(iss)
    self.irs = SequenceNumber(irs)
    self.now = now
    let syn = TCPSegment(
      sequence: self.irs, flags: flags, window: window, options: options, arrival: now,
      notification: mark)
    connection = .passive(syn: syn, iss: self.iss, configuration: configuration, now: now)
    run { script, sink in
      script.connection.start(now: script.now, sink: &sink)
      return TCPEffects()
    }
  }

  /// A passive connection that a SYN with text opens fast.
  init(
    fast configuration: TCPConfiguration, syn options: TCPOptions, _ payload: [UInt8],
    answer: TCPFastOpenAttempt? = nil, admits: ((Int, Bool) -> Bool)? = nil,
    now: Instant = Instant(milliseconds: 5000)
  ) {
    iss = SequenceNumber(0x1000_0000)
    irs = SequenceNumber(0x7000_0000)
    self.now = now
    self.admits = admits
    let syn = TCPSegment(sequence: irs, flags: .syn, window: 65535, options: options, arrival: now)
    connection = .passive(syn: syn, iss: iss, configuration: configuration, now: now)
    run { script, sink in
      script.connection.startFast(script.pool.packet(payload), answer: answer, now: script.now, sink: &sink)
    }
  }

  /// Runs a call of the engine, writes down what it did, and checks what must hold after every call.
  private func run(_ call: (Script, inout Recorder) -> TCPEffects) {
    var recorder = Recorder()
    recorder.admits = admits
    recorder.releases = releases
    recorder.joinedTextLimit = joinedTextLimit
    last = call(self, &recorder)
    effects.merge(last)
    #expect(recorder.delivered.count == last.deliveredBytes)
    delivered += recorder.delivered
    for segment in recorder.segments {
      if let stamps = segment.options.timestamps { echo = stamps.value }
      sent.append(
        Sent(
          flags: segment.flags, sequence: segment.sequence - iss, count: segment.payloadCount,
          acknowledgment: segment.flags.contains(.ack) ? segment.acknowledgment - irs : nil,
          window: Int(segment.window), options: segment.options,
          isRetransmission: segment.isRetransmission, urgent: Int(segment.urgentPointer),
          isCapable: segment.isCapable, size: segment.segmentSize))
    }
    if connection.state == .closed { #expect(connection.nextDeadline == nil) }
  }

  var state: TCPState { connection.state }
  var info: TCPInfo { connection.info }
  /// With what depends on the time.
  var infoNow: TCPInfo { connection.info(now: now) }
  var nextDeadline: Instant? { connection.nextDeadline }
  var canEnqueue: Bool { connection.canEnqueue }
  var queuedBytes: Int { connection.queuedBytes }
  var userTimeout: Nanoseconds { connection.configuration.userTimeout }
  var fastOpenOutcome: TCPFastOpenOutcome? { connection.fastOpenOutcome }
  var acknowledgesWhenRead: Bool { connection.acknowledgesWhenRead }
  var usefulSendBuffer: Int { connection.usefulSendBuffer }
  var softError: TCPError? { connection.softError }

  /// What was sent since the last look.
  func take() -> [Sent] {
    defer { sent = [] }
    return sent
  }

  /// The peer sends a segment.
  func inject(
    _ flags: TCPFlags, _ sequence: Int, _ payload: [UInt8] = [], ack: Int? = nil, window: UInt16 = 65535,
    options: TCPOptions = TCPOptions(), urgent: UInt16 = 0, mark: CongestionNotification = .notCapable,
    isFollowed: Bool = false, size: UInt16 = 0
  ) {
    var options = options
    if stamps, options.timestamps == nil, !flags.contains(.rst) {
      options.timestamps = TCPTimestamps(
        value: 1000 + UInt32(now.nanoseconds / 1_000_000), echo: ack == nil ? 0 : echo)
    }
    var segment = TCPSegment(
      sequence: irs + sequence, acknowledgment: ack.map { iss + $0 } ?? SequenceNumber(0), flags: flags,
      window: window, urgentPointer: urgent, options: options, arrival: now, notification: mark)
    segment.segmentSize = size
    if predicts, mark != .experienced, predict(segment, payload, isFollowed: isFollowed) { return }
    run { script, sink in
      script.connection.arrive(
        segment, script.pool.packet(payload), holdsAnswer: isFollowed, now: script.now, sink: &sink)
    }
  }

  /// As whoever receives a run does it.
  private func predict(_ segment: TCPSegment, _ payload: [UInt8], isFollowed: Bool) -> Bool {
    let header = TCPHeader(
      sourcePort: 1, destinationPort: 2, sequence: segment.sequence, acknowledgment: segment.acknowledgment,
      flags: segment.flags, window: segment.window, options: segment.options)
    var bytes = [UInt8](repeating: 0, count: header.byteCount)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    header.emit(into: &raw)
    guard let glance = TCPGlance(raw.bytes) else { return false }
    let foresight = isFollowed ? .nothing : connection.foresees(glance, count: payload.count)
    if foresight != .nothing {
      take(foresight, glance, segment, payload)
      return true
    }
    guard isFollowed, connection.isPredictable, connection.predicts(glance, count: payload.count) else {
      return isFollowed ? false : turn(glance, segment, payload)
    }
    predicted += 1
    run { script, sink in
      var effects = TCPEffects()
      if let packet = script.pool.packet(payload) {
        let isAdmitted = sink.admit(packet, isAhead: false)
        script.connection.takePredicted(
          glance, count: isAdmitted ? payload.count : 0, segmentSize: 0, arrival: segment.arrival,
          now: script.now)
        if isAdmitted { sink.deliver(packet) }
        effects.deliveredBytes = isAdmitted ? payload.count : 0
      }
      script.connection.answerPredicted(holdsAnswer: true, now: script.now, sink: &sink)
      return effects
    }
    return true
  }

  /// As whoever receives a segment alone does it.
  private func take(
    _ foresight: TCPForesight, _ glance: TCPGlance, _ segment: TCPSegment, _ payload: [UInt8]
  ) {
    predicted += 1
    if foresight == .answer { predictedAnswers += 1 }
    run { script, sink in
      var effects = TCPEffects()
      var packet: Packet? = payload.isEmpty ? nil : script.pool.packet(payload)
      var isAdmitted = true
      switch packet {
      case .some(let text): isAdmitted = sink.admit(text, isAhead: false)
      case .none: break
      }
      let taken = script.connection.takeForeseen(
        foresight, glance, count: payload.count, isAdmitted: isAdmitted, segmentSize: 0, space: nil,
        arrival: segment.arrival, now: script.now)
      effects.acknowledgedBytes = taken.acknowledgedBytes
      if isAdmitted, let text = packet.take() {
        effects.deliveredBytes = payload.count
        sink.deliver(text)
      }
      if taken.isAcknowledgmentDue { script.connection.acknowledgeForeseen(now: script.now, sink: &sink) }
      #expect(taken.acknowledgesWhenRead == script.connection.acknowledgesWhenRead)
      if !taken.isAcknowledgmentDue { #expect(taken.deadline == script.connection.earliestDeadline) }
      return effects
    }
  }

  /// As whoever receives one with which the connection goes on to its next state.
  private func turn(_ glance: TCPGlance, _ segment: TCPSegment, _ payload: [UInt8]) -> Bool {
    guard connection.predictsTurn(glance, count: payload.count) else { return false }
    predictedTurns.append(connection.state)
    run { script, sink in
      let opens = script.connection.state == .synReceived
      var effects = script.connection.takePredictedTurn(glance, arrival: segment.arrival, now: script.now)
      if let packet = payload.isEmpty ? nil : script.pool.packet(payload) {
        script.connection.takePredicted(
          glance, count: payload.count, segmentSize: 0, arrival: segment.arrival, now: script.now)
        sink.deliver(packet)
        effects.deliveredBytes = payload.count
      } else if opens {
        script.connection.takePredictedHeader(glance, now: script.now)
      }
      script.connection.answerPredicted(holdsAnswer: false, now: script.now, sink: &sink)
      return effects
    }
    return true
  }

  /// The peer sends `count` segments of `size` bytes, and one of `rest`, that come together and are predicted.
  func injectRow(_ count: Int, of size: Int, rest: Int, _ sequence: Int, isPushed: Bool, ack: Int) {
    var stamps: TCPTimestamps?
    if self.stamps {
      stamps = TCPTimestamps(value: 1000 + UInt32(now.nanoseconds / 1_000_000), echo: echo)
    }
    func glance(_ at: Int, isLast: Bool) -> TCPGlance {
      TCPGlance(
        sequence: irs + (sequence + at), acknowledgment: iss + ack,
        flags: isLast && isPushed ? [.ack, .psh] : .ack, window: 65535, timestamps: stamps)
    }
    run { script, sink in
      var row = TCPPredictedRow()
      row.add(glance(0, isLast: false), count: size)
      let isFirst = script.connection.isPredictable && script.connection.predicts(row.first, count: size)
      #expect(isFirst)
      for index in 1...count {
        #expect(row.isOpen)
        let bytes = index < count ? size : rest
        let isNext = script.connection.predictsMore(row, count: bytes)
        #expect(isNext)
        row.add(glance(index * size, isLast: index == count), count: bytes)
      }
      #expect(row.isOpen == (rest == size && !isPushed))
      if let packet = script.pool.packet(stream(row.count, from: sequence)) { sink.deliver(packet) }
      script.connection.takePredicted(row, arrival: script.now, now: script.now)
      script.connection.answerPredicted(holdsAnswer: false, now: script.now, sink: &sink)
      var effects = TCPEffects()
      effects.deliveredBytes = row.count
      return effects
    }
  }

  func finish() {
    run { script, sink in
      script.connection.answerHeld(now: script.now, sink: &sink)
      return TCPEffects()
    }
  }

  func enqueue(_ count: Int, push: Bool = true, urgent: Bool = false, edge: TCPTextEdge = .none) {
    run { $0.connection.enqueue(count, push: push, urgent: urgent, edge: edge, now: $0.now, sink: &$1) }
  }
  func change(_ body: (inout TCPConnection) -> Void) { body(&connection) }
  func space(_ free: Int) { run { $0.connection.receiveSpace(free, now: $0.now, sink: &$1) } }
  func quick(_ isOn: Bool) {
    run { $0.connection.setQuickAcknowledgments(isOn, unread: 0, now: $0.now, sink: &$1) }
  }
  func shutdown() { run { $0.connection.shutdownSend(now: $0.now, sink: &$1) } }
  func close(unread: Bool = false) {
    run { $0.connection.close(hasUnread: unread, now: $0.now, sink: &$1) }
  }
  func abort() { run { $0.connection.abort(now: $0.now, sink: &$1) } }
  func icmp(_ error: TCPNetworkError, _ sequence: Int) {
    let quoted = iss + sequence
    run { script, _ in script.connection.icmpError(error, sequence: quoted) }
  }
  func path(_ segment: Int, _ sequence: Int? = nil) {
    let quoted = sequence.map { iss + $0 }
    run { $0.connection.pathSegment(segment, sequence: quoted, now: $0.now, sink: &$1) }
  }
  func reconfigure(_ change: (inout TCPConfiguration) -> Void) {
    var configuration = connection.configuration
    change(&configuration)
    run { $0.connection.reconfigure(configuration, now: $0.now, sink: &$1) }
  }

  /// Lets time pass; what falls due on the way is done when it falls due.
  func wait(_ span: Nanoseconds) {
    let end = now + span
    while let deadline = connection.nextDeadline, deadline <= end {
      now = max(now, deadline)
      run { $0.connection.timeout(now: $0.now, sink: &$1) }
    }
    now = end
  }
  func wait(milliseconds: Int64) { wait(.milliseconds(milliseconds)) }

  /// Lets time pass up to the next deadline and does what is due; nil if there is none.
  @discardableResult func fire() -> Nanoseconds? {
    guard let deadline = connection.nextDeadline else { return nil }
    let waited = deadline - now
    now = max(now, deadline)
    run { $0.connection.timeout(now: $0.now, sink: &$1) }
    return waited
  }

  /// A passive connection that is open, with nothing written down yet.
  static func established(
    _ configuration: TCPConfiguration = Script.plain, syn: TCPOptions? = nil, window: UInt16 = 65535,
    iss: UInt32 = 0x1000_0000, irs: UInt32 = 0x7000_0000
  ) -> Script {
    var options = syn ?? TCPOptions()
    if syn == nil { options.mss = 1000 }
    let script = Script(passive: configuration, syn: options, window: window, iss: iss, irs: irs)
    script.stamps = options.timestamps != nil
    script.inject(.ack, 1, ack: 1, window: window)
    #expect(script.state == .established)
    _ = script.take()
    script.effects = TCPEffects()
    return script
  }

  /// A connection in the given state, with nothing written down yet. Our stream has reached the returned
  /// number (1, or 2 after our FIN), the peer's stands at `Script.peerNext(state)`.
  static func inState(_ state: TCPState, _ configuration: TCPConfiguration = Script.plain) -> Script {
    if state == .synSent {
      let script = Script(active: configuration)
      _ = script.take()
      return script
    }
    if state == .synReceived {
      var options = TCPOptions()
      options.mss = 1000
      let script = Script(passive: configuration, syn: options)
      _ = script.take()
      return script
    }
    let script = established(configuration)
    switch state {
    case .established: break
    case .finWait1: script.shutdown()
    case .finWait2:
      script.shutdown()
      script.inject(.ack, 1, ack: 2)
    case .closeWait: script.inject([.fin, .ack], 1, ack: 1)
    case .closing:
      script.shutdown()
      script.inject([.fin, .ack], 1, ack: 1)
    case .lastAck:
      script.inject([.fin, .ack], 1, ack: 1)
      script.shutdown()
    case .timeWait:
      script.shutdown()
      script.inject([.fin, .ack], 1, ack: 2)
    case .closed, .listen, .synSent, .synReceived: Issue.record("no such script")
    }
    #expect(script.state == state)
    _ = script.take()
    script.effects = TCPEffects()
    script.last = TCPEffects()
    return script
  }

  /// RCV.NXT in a connection made by `inState`.
  static func peerNext(_ state: TCPState) -> Int {
    switch state {
    case .closeWait, .closing, .lastAck, .timeWait: 2
    default: 1
    }
  }
  /// SND.NXT in a connection made by `inState`.
  static func ownNext(_ state: TCPState) -> Int {
    switch state {
    case .finWait1, .finWait2, .closing, .lastAck, .timeWait: 2
    default: 1
    }
  }
}
