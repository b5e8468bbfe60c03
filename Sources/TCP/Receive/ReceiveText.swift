import Buffers
import Timing
import Wire

// The text and the FIN: RFC 9293 section 3.10.7.4, seventh and eighth.
extension TCPConnection {
  /// Takes the text and the FIN of a segment whose ACK field was taken.
  mutating func receiveText(
    at sequence: SequenceNumber, count: Int, _ payload: consuming Packet?, fin: Bool, now: Instant,
    sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    guard state.mayReceiveText, count > 0 || fin else { return }
    let end = sequence + count
    if isOrphan, end > receive.next, count > 0 {
      // No one will read it: the peer must know that it does not arrive (RFC 2525 section 2.17).
      transmitReset(now: now, sink: &sink)
      self.end(nil, &effects)
      return
    }
    // A FIN ahead of a hole is remembered and taken when its turn comes. It needs no room, so it may stand on
    // the right edge, also when the window is closed; text beyond it there is none.
    if fin, receive.finSequence == nil, end >= receive.next, end <= receive.edge {
      receive.finSequence = end
    }
    if let packet = payload, count > 0 { takeText(packet, at: sequence, sink: &sink, &effects) }
    if fin { policy.now = true }
    if receive.finSequence == receive.next { takeFin(now: now, &effects) }
  }

  /// Trims the text to what is new and in the window, and delivers it or keeps it.
  private mutating func takeText(
    _ text: consuming Packet, at sequence: SequenceNumber, sink: inout some TCPSink & ~Copyable,
    _ effects: inout TCPEffects
  ) {
    let edge = receive.finSequence.map { SequenceNumber.earlier($0, receive.edge) } ?? receive.edge
    let excess = sequence + text.totalCount - edge
    let old = receive.next - sequence
    guard max(excess, 0) + max(old, 0) < text.totalCount else {
      // Nothing of it is both new and in the window: a repetition, or a probe of a closed window.
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
      switch reassembly.insert(text, at: sequence) {
      case .inserted, .refused: break
      case .collapsed(let packets):
        counters.collapsed &+= UInt32(packets)
        sink.released(packets, bytes: packets * Packet.occupied, .collapsed)
      }
      return
    }
    if old > 0 { text.trimFront(old) }
    guard makeRoom(for: text, at: receive.next, isAhead: false, sink: &sink) else { return }
    let bytes = text.totalCount
    let fillsHole = !reassembly.isEmpty
    deliver(text, sink: &sink, &effects)
    while let next = reassembly.popFirst(at: receive.next) { deliver(next, sink: &sink, &effects) }
    if fillsHole { policy.now = true }
    _ = policy.arrived(bytes: bytes, segment: Int(configuration.maximumSegment))
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
    receive.free -= count
    counters.bytesReceived &+= UInt64(count)
    effects.deliveredBytes += count
    sink.deliver(text)
  }

  /// The peer's FIN is in order.
  private mutating func takeFin(now: Instant, _ effects: inout TCPEffects) {
    receive.next += 1
    receive.edge = SequenceNumber.later(receive.edge, receive.next)
    reassembly.removeAll()
    policy.now = true
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
