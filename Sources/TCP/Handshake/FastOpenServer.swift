import Buffers
import Timing
import Wire

// Fast Open, the accepting side: RFC 7413 section 4.2.2. A SYN whose cookie is good makes the connection, which
// delivers and sends text while it is in SYN-RECEIVED.
extension TCPConnection {
  /// Whether text may come and go now: in SYN-RECEIVED it may if the SYN's cookie was good.
  var exchangesText: Bool { state == .synReceived && isFastOpened }

  /// As `start`, for a passive connection whose SYN may bring text: takes the text, and sends the SYN-ACK, which
  /// acknowledges it. To be called once.
  ///
  /// - Parameters:
  ///   - payload: the text of the SYN; nil or empty if there is none.
  ///   - answer: the option of the SYN-ACK; nil: there is none.
  ///   - now: the time.
  ///   - sink: where the SYN-ACK and the text go.
  /// - Returns: `connected`: the connection may be accepted, read and written.
  public mutating func startFast(
    _ payload: consuming Packet?, answer: TCPFastOpenAttempt?, now: Instant,
    sink: inout some TCPSink & ~Copyable
  ) -> TCPEffects {
    var effects = TCPEffects()
    guard send.maximum == send.initial, state == .synReceived, isPassive else { return effects }
    isFastOpened = true
    fastOpen = answer.map { FastOpenClient(attempt: $0) }
    beginSending(isCautious: false, now: now)
    effects.events.insert(.connected)
    let count = byteCount(payload)
    if let text = payload, count > 0 {
      // What the SYN-ACK's window will offer, the text was sent into.
      _ = receive.offerUnscaled()
      var text = text
      let excess = count - receive.window
      if excess > 0 { text.trimBack(excess) }
      if text.totalCount > 0, sink.admit(text, isAhead: false) {
        receive.lastAcknowledgment = receive.next
        let bytes = text.totalCount
        receive.next += bytes
        receive.free -= bytes
        counters.bytesReceived &+= UInt64(bytes)
        effects.deliveredBytes += bytes
        synDataTaken = true
        sink.deliver(text)
      }
    }
    transmitSyn(now: now, sink: &sink)
    return effects
  }

  /// The SYN-ACK's Fast Open option.
  func addFastOpenAnswer(to options: inout TCPOptions) {
    guard isFastOpened, let answer = fastOpen?.attempt else { return }
    options.fastOpenCookie = answer.cookie
    options.fastOpenIsExperimental = answer.form == .experimental
  }
}
