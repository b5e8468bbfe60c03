/// Why a connection ended, or could not begin. Each corresponds to an errno of sockets.
@frozen public enum TCPError: UInt8, Error, Hashable, Sendable {
  /// The peer answered our SYN with a reset, or a port or protocol was reported unreachable (ECONNREFUSED).
  case refused = 1
  /// The peer reset the connection (ECONNRESET).
  case reset
  /// No answer within the limits (ETIMEDOUT).
  case timedOut
  /// ICMP: host unreachable (EHOSTUNREACH).
  case hostUnreachable
  /// ICMP: network unreachable (ENETUNREACH).
  case networkUnreachable
  /// Ended from this side by `abort` (ECONNABORTED).
  case aborted
  /// Nothing can be sent after the sending side was shut down (EPIPE).
  case sendClosed
}

/// What a call of the engine leaves for its environment to do. Fixed size, no references.
@frozen public struct TCPEffects: Sendable {
  /// What happened, as a set.
  @frozen public struct Events: OptionSet, Sendable {
    /// The bits.
    public let rawValue: UInt16
    /// Any bits.
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The connection is open both ways: ESTABLISHED was entered (perhaps left again by a FIN in the same
    /// segment).
    @inlinable public static var connected: Events { Events(rawValue: 1 << 0) }
    /// The peer's FIN is in order: nothing more will be delivered.
    @inlinable public static var endOfStream: Events { Events(rawValue: 1 << 1) }
    /// Our FIN is acknowledged: all that was queued has arrived.
    @inlinable public static var sendFinished: Events { Events(rawValue: 1 << 2) }
    /// TIME-WAIT was entered: the block may be exchanged for a small one.
    @inlinable public static var enteredTimeWait: Events { Events(rawValue: 1 << 3) }
    /// The state is CLOSED: the block may be dropped.
    @inlinable public static var closed: Events { Events(rawValue: 1 << 4) }
    /// The segment is a SYN that may open a new connection in the place of this one, which was in TIME-WAIT
    /// and is CLOSED now: give the segment to the listener (RFC 9293 section 3.6.1, RFC 6191).
    @inlinable public static var reopen: Events { Events(rawValue: 1 << 5) }
  }

  /// What happened.
  public var events: Events = []
  /// Why the connection ended, if not by an orderly close.
  public var error: TCPError?
  /// Bytes to drop from the front of the send queue after the call: they have arrived.
  public var acknowledgedBytes: Int = 0
  /// Bytes given to the sink in this call.
  public var deliveredBytes: Int = 0

  /// Nothing to do.
  @inlinable public init() {}

  /// `events` has `connected`.
  @inlinable public var connected: Bool { events.contains(.connected) }
  /// `events` has `endOfStream`.
  @inlinable public var endOfStream: Bool { events.contains(.endOfStream) }
  /// `events` has `sendFinished`.
  @inlinable public var sendFinished: Bool { events.contains(.sendFinished) }
  /// `events` has `enteredTimeWait`.
  @inlinable public var enteredTimeWait: Bool { events.contains(.enteredTimeWait) }
  /// `events` has `closed`.
  @inlinable public var closed: Bool { events.contains(.closed) }
  /// `events` has `reopen`.
  @inlinable public var reopen: Bool { events.contains(.reopen) }
  /// Nothing happened that anyone above must know.
  @inlinable public var isEmpty: Bool {
    events.isEmpty && error == nil && acknowledgedBytes == 0 && deliveredBytes == 0
  }

  /// Adds the effects of a later call.
  @inlinable public mutating func merge(_ later: TCPEffects) {
    events.formUnion(later.events)
    error = error ?? later.error
    acknowledgedBytes += later.acknowledgedBytes
    deliveredBytes += later.deliveredBytes
  }
}
