/// The states of RFC 9293 section 3.3.2.
///
/// `listen` exists for those who report on sockets; a `TCPConnection` is never in it, since a listener answers
/// by a pure rule (`TCPListenRule`) and holds no connection.
@frozen public enum TCPState: UInt8, Hashable, Sendable, CaseIterable {
  /// No connection.
  case closed
  /// Waiting for a SYN (never the state of a `TCPConnection`).
  case listen
  /// Our SYN is out.
  case synSent
  /// Both SYNs have been seen, ours is not acknowledged.
  case synReceived
  /// Open both ways.
  case established
  /// We have closed; our FIN is queued or out, not acknowledged.
  case finWait1
  /// Our FIN is acknowledged; the peer may still send.
  case finWait2
  /// The peer has closed; we may still send.
  case closeWait
  /// Both have closed at once; our FIN is not acknowledged.
  case closing
  /// The peer closed first, then we; our FIN is queued or out, not acknowledged.
  case lastAck
  /// Both have closed; waiting until old segments have left the network.
  case timeWait

  /// Whether both SYNs have been acknowledged: ESTABLISHED and everything after it, TIME-WAIT included.
  public var isSynchronized: Bool {
    switch self {
    case .closed, .listen, .synSent, .synReceived: false
    case .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck, .timeWait: true
    }
  }

  /// Whether queued data or our FIN may go out or be outstanding.
  var maySendText: Bool {
    switch self {
    case .established, .closeWait, .finWait1, .closing, .lastAck: true
    case .closed, .listen, .synSent, .synReceived, .finWait2, .timeWait: false
    }
  }

  /// Whether the peer may still send data: it has not sent a FIN that we have taken.
  var mayReceiveText: Bool {
    switch self {
    case .established, .finWait1, .finWait2: true
    case .closed, .listen, .synSent, .synReceived, .closeWait, .closing, .lastAck, .timeWait: false
    }
  }
}
