import Buffers
import Timing
import Wire

// The text and the FIN: RFC 9293 section 3.10.7.4, seventh and eighth.
extension TCPConnection {
  /// Takes the text and the FIN of a segment whose ACK field was taken.
  mutating func receiveText(
    _ segment: TCPSegment, at sequence: SequenceNumber, count: Int, _ payload: consuming Packet?,
    now: Instant, sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    let fin = segment.flags.contains(.fin)
    guard state.mayReceiveText, count > 0 || fin else { return }
    let end = sequence + count
    if isOrphan, end > receive.next, count > 0 {
      // No one will read it: the peer must know that it does not arrive (RFC 2525 section 2.17).
      transmit(TCPResetRule.reply(to: segment, payloadCount: count), sink: &sink)
      self.end(nil, &effects)
      return
    }
    // A FIN ahead of a hole is remembered and taken when its turn comes. It needs no room, so it may stand on
    // the right edge, also when the window is closed; text beyond it there is none.
    if fin, receive.finSequence == nil, end >= receive.next,
      end <= receive.next + acceptedWindow || takesBeyond(sequence)
    {
      receive.finSequence = end
    }
    if let packet = payload, count > 0 { takeText(packet, segment, at: sequence, now, sink: &sink, &effects) }
    if receive.finSequence == receive.next {
      takeFin(isArriving: fin, now: now, &effects)
    } else if fin {
      policy.now = true
    }
  }

  /// Trims the text to what is new and in the window, and delivers it or keeps it.
  private mutating func takeText(
    _ text: consuming Packet, _ segment: TCPSegment, at sequence: SequenceNumber, _ now: Instant,
    sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    var right = receive.next + acceptedWindow
    if takesBeyond(sequence) { right = SequenceNumber.later(right, sequence + text.totalCount) }
    let edge = receive.finSequence.map { SequenceNumber.earlier($0, right) } ?? right
    let excess = sequence + text.totalCount - edge
    let old = receive.next - sequence
    // BSD tells at once what came twice.
    if old > 0, configuration.personality == .bsd { policy.now = true }
    if old > 0 { selective.repeated(sequence, sequence + min(old, text.totalCount)) }
    if configuration.countsMemory, isNotOfferedNow(from: -old, to: text.totalCount - old) {
      sink.refused(old < 0 ? .beyondWindow : .closedWindow)
      policy.hurry(window: receive.offered, configuration)
      policy.now = true
      return
    }
    guard max(excess, 0) + max(old, 0) < text.totalCount else {
      // Nothing of it is both new and in the window: a repetition, or a probe of a closed window.
      if excess > 0 { sink.refused(.closedWindow) }
      policy.hurry(window: receive.offered, configuration)
      policy.now = true
      return
    }
    if excess > 0 {
      text.trimBack(excess)
      policy.now = true
    }
    guard old >= 0 else {
      // Ahead of a hole: the duplicate acknowledgment is what tells the peer (RFC 5681 section 4.2).
      counters.outOfOrder &+= 1
      policy.now = true
      guard makeRoom(for: text, at: sequence, isAhead: true, sink: &sink) else { return }
      if configuration.countsMemory { learn(ahead: text.totalCount, segment.segmentSize) }
      openWindow(text.totalCount)
      let (bytes, isFirst) = (text.totalCount, reassembly.isEmpty)
      selective.arrived(sequence, sequence + text.totalCount)
      let inserted = reassembly.insert(text, at: sequence, &selective)
      if configuration.countsMemory, inserted != .refused { receive.memory.kept(bytes, isFirst: isFirst) }
      switch inserted {
      case .inserted, .refused: break
      case .collapsed(let packets):
        counters.collapsed &+= UInt32(packets)
        sink.released(packets, bytes: packets * Packet.occupied, .collapsed)
      }
      if configuration.countsMemory, !isPassive || sink.isTaken { tuneForHole() }
      return
    }
    if old > 0 { text.trimFront(old) }
    if configuration.countsMemory, !receive.takesByMemory(text.totalCount) {
      // Only who finds nothing before it is taken all the same.
      receive.closeForMemory(twoSegments: 2 * Int(configuration.maximumSegment))
      policy.now = true
      if receive.hasUnread {
        counters.refused &+= 1
        sink.refused(.noRoom)
        return
      }
    }
    guard makeRoom(for: text, at: receive.next, isAhead: false, sink: &sink) else { return }
    let bytes = text.totalCount
    let fillsHole = !reassembly.isEmpty
    deliver(text, sink: &sink, &effects)
    if fillsHole {
      let arrived = receive.next
      while let next = reassembly.popFirst(at: receive.next, arrived: arrived, &selective) {
        receive.memory.filled(next.totalCount, isLast: reassembly.isEmpty)
        deliver(next, sink: &sink, &effects)
      }
      selective.delivered(to: receive.next)
      policy.now = true
    }
    noteArrival(
      ArrivedText(
        count: bytes, segmentSize: segment.segmentSize,
        isLast: !segment.flags.isDisjoint(with: [.psh, .urg, .fin]), timestamps: segment.options.timestamps,
        optionBytes: segment.options.byteCount, arrival: segment.arrival),
      now)
  }

  /// Text came with the peer's SYN, and there is no connection yet.
  mutating func keepSynText(_ text: consuming Packet, sink: inout some TCPSink & ~Copyable) {
    guard makeRoom(for: text, at: receive.next, isAhead: true, sink: &sink) else { return }
    _ = reassembly.insert(text, at: receive.next, &selective)
  }

  /// The connection is there, and so is the text.
  mutating func deliverSynText(sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects) {
    let arrived = receive.next
    while let next = reassembly.popFirst(at: receive.next, arrived: arrived, &selective) {
      deliver(next, sink: &sink, &effects)
    }
    policy.hurry(window: receive.offered, configuration)
  }

  /// What in-order text says of the peer's rhythm, and of the round trip.
  mutating func noteArrival(_ text: ArrivedText, _ now: Instant) {
    // What stands for several says what one of them holds.
    let isJoined = text.segmentSize > 0 && Int(text.segmentSize) < text.count
    let size = isJoined ? Int(text.segmentSize) : text.count
    if configuration.countsMemory, size > policy.segment { receive.memory.measure(text.count) }
    openWindow(text.count)
    if isJoined, configuration.personality == .bsd { policy.now = true }
    if now == policy.lastArrival, policy.timeout > .zero, configuration.personality == .linux {
      policy.arrivedTogether(
        size, options: text.optionBytes, isLast: text.isLast, fixedOptions: fixedOptions, configuration)
    } else {
      // The timeout is of interest only after a pause.
      let isSoon = now - policy.lastArrival <= configuration.delayedAcknowledgment / 2
      let state = AcknowledgmentState(
        now: now, window: receive.offered,
        retransmissionTimeout: isSoon ? .zero : roundTrip.timeout(configuration), fixedOptions: fixedOptions)
      policy.arrived(size, options: text.optionBytes, isLast: text.isLast, state, configuration)
    }
    guard isTuned else { return }
    if timestamps.isEnabled, let stamps = text.timestamps {
      guard text.count >= policy.segment, tuning.isNews(stamps.echo),
        let sample = echoedRoundTrip(stamps, arrival: text.arrival)
      else { return }
      tuning.echoed(stamps.echo, sample)
    } else {
      tuning.windowAdvanced(to: receive.next, edge: receive.visibleEdge, now: now)
    }
  }

  /// Text of so many bytes was taken: the window that is offered grows towards the buffer. Linux does not believe small
  /// segments, whose memory is mostly empty.
  private mutating func openWindow(_ bytes: Int) {
    guard bytes >= 128 else { return }
    let step = 2 * max(bytes, Int(configuration.maximumSegment))
    if configuration.countsMemory {
      let ceiling = receive.ceiling
      receive.raiseCeilingByMemory(by: step)
      if receive.ceiling > ceiling { policy.quicken() }
    } else {
      receive.raiseCeiling(by: step)
    }
  }

  /// Whether text there, counted from RCV.NXT, is in no window that the peer sees now, though it was offered once.
  private func isNotOfferedNow(from begin: Int, to end: Int) -> Bool {
    let seen = max(0, receive.visibleEdge - receive.next)
    return end > 0 && (begin > 0 ? begin >= seen : seen == 0)
  }

  /// What text ahead of a hole says of the peer's segments, and of the memory that they occupy.
  private mutating func learn(ahead bytes: Int, _ segmentSize: UInt16) {
    let size = segmentSize > 0 ? min(Int(segmentSize), bytes) : bytes
    if size > policy.segment { receive.memory.measure(bytes) }
    policy.measureAhead(size, configuration)
  }

  /// The receive buffer grows by itself.
  private var isTuned: Bool { receive.buffer < configuration.receiveBufferMaximum }

  /// The application has `unread` bytes before it: what it took since the last look may ask for a larger buffer.
  mutating func tuneReceiveBuffer(unread: Int, now: Instant) {
    guard isTuned, state.mayReceiveText else { return }
    let read = counters.bytesReceived &- UInt64(max(0, unread))
    guard let wanted = tuning.read(read, segment: Int(configuration.maximumSegment), now: now),
      wanted > Int(receive.buffer)
    else { return }
    growReceiveBuffer(to: wanted)
  }

  /// What waits behind a hole takes no room from what a round trip brings, as Linux has it since 6.18: else the hole would
  /// close the window.
  private mutating func tuneForHole() {
    guard isTuned, let end = reassembly.end else { return }
    let wanted = tuning.wanted(ahead: end - receive.next)
    if wanted > Int(receive.buffer) { growReceiveBuffer(to: wanted) }
  }

  private mutating func growReceiveBuffer(to wanted: Int) {
    let grown = UInt32(clamping: min(wanted, Int(configuration.receiveBufferMaximum)))
    receive.free += max(0, Int(grown) - Int(receive.buffer))
    receive.setBuffer(grown)
    reassembly.limit = Self.reassemblyLimit(buffer: grown)
  }

  /// Whether there is memory for `text`. When it is short, what lies farthest ahead gives way to what is needed
  /// before it; nothing that was acknowledged in order does.
  private mutating func makeRoom(
    for text: borrowing Packet, at sequence: SequenceNumber, isAhead: Bool,
    sink: inout some TCPSink & ~Copyable
  ) -> Bool {
    while isAhead && reassembly.isFull || !sink.admit(text, isAhead: isAhead) {
      // A repetition makes nobody give way.
      let isNew = !isAhead || !reassembly.covers(sequence, text.totalCount)
      let (packets, bytes) = isNew ? reassembly.prune(beyond: sequence) : (0, 0)
      guard packets > 0 else {
        counters.refused &+= 1
        return false
      }
      selective.discarded(from: reassembly.end ?? receive.next)
      counters.pruned &+= UInt32(packets)
      sink.released(packets, bytes: bytes, .pruned)
    }
    return true
  }

  /// The next bytes of the stream.
  private mutating func deliver(
    _ text: consuming Packet, sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    let count = text.totalCount
    receive.next += count
    receive.edge = SequenceNumber.later(receive.edge, receive.next)
    receive.free -= count
    receive.hasUnread = true
    if configuration.countsMemory {
      receive.memory.delivered(count)
      receive.unread &+= UInt32(count)
    }
    counters.bytesReceived &+= UInt64(count)
    effects.deliveredBytes += count
    sink.deliver(text)
  }

  /// The peer's FIN is in order. `isArriving`: it was not here before.
  mutating func takeFin(isArriving: Bool, now: Instant, _ effects: inout TCPEffects) {
    receive.next += 1
    receive.edge = SequenceNumber.later(receive.edge, receive.next)
    reassembly.removeAll()
    selective.clear()
    if configuration.personality == .linux { selective.forgetDuplicate() }
    // Linux takes it that an answer comes soon, most often a FIN, and that who closes first does not wait.
    let mayWait = isArriving && state == .established && receive.window > 0
    if !mayWait || !policy.ended(configuration) { policy.now = true }
    effects.events.insert(.endOfStream)
    switch state {
    case .established:
      state = .closeWait
    case .finWait1:
      // Had our FIN been acknowledged by this segment, the state would be FIN-WAIT-2 already.
      state = .closing
    case .finWait2:
      enterTimeWait(now: now, &effects)
    case .closed, .listen, .synSent, .synReceived, .closeWait, .closing, .lastAck, .timeWait:
      break
    }
  }
}
