import Timing
import Wire

extension TCPConnection {
  /// No peer makes us send less than this in a segment, options included, whatever it announces: a maximum of
  /// a few bytes would multiply our work (CVE-2019-11479). Linux's number.
  static var smallestSegment: UInt16 { 48 }

  /// Payload of a full segment: what the segment size leaves after the options that every segment carries
  /// (RFC 9293 section 3.7.1, RFC 6691).
  var fullSegment: Int { Int(send.segment) - (timestamps.isEnabled ? 12 : 0) }

  /// The peer's SYN, alone or with an ACK: sequence numbers, options and the window, which a SYN does not scale.
  mutating func takeSyn(_ segment: TCPSegment, now: Instant) {
    receive.synchronize(segment.sequence)
    let options = segment.options
    let announced = options.mss ?? configuration.peerSegmentDefault
    send.segment = min(max(announced, Self.smallestSegment), configuration.maximumSegment)

    // RFC 7323 section 2.2: in use only if both SYNs carry it.
    if configuration.windowScaling, let shift = options.windowScale {
      isScaled = true
      send.scale = min(shift, 14)
    } else {
      isScaled = false
      send.scale = 0
      receive.scale = 0
    }
    if configuration.timestamps, let stamps = options.timestamps {
      timestamps.isEnabled = true
      timestamps.set(stamps.value, now: now)
    } else {
      timestamps.isEnabled = false
    }
    isSelective = configuration.selectiveAcknowledgments && options.sackPermitted
    send.setWindow(
      UInt32(segment.window), sequence: segment.sequence, acknowledgment: segment.acknowledgment)
  }

  /// The options of our SYN, or of the SYN-ACK, where only what the peer offered is answered.
  func synOptions(isAnswer: Bool, now: Instant) -> TCPOptions {
    var options = TCPOptions()
    options.mss = configuration.maximumSegment
    if isAnswer ? isScaled : configuration.windowScaling { options.windowScale = receive.scale }
    if isAnswer ? timestamps.isEnabled : configuration.timestamps {
      options.timestamps = timestamps.option(now: now, acknowledges: isAnswer)
    }
    options.sackPermitted = isAnswer ? isSelective : configuration.selectiveAcknowledgments
    return options
  }

  /// IW: RFC 6928 equation 1, for the configured number of segments; one segment if the handshake needed
  /// several attempts (RFC 5681 section 3.1).
  var initialWindow: Int {
    let count = Int(configuration.initialWindowSegments)
    return max(fullSegment, min(count * fullSegment, max(2 * fullSegment, count * 1460)))
  }
}
