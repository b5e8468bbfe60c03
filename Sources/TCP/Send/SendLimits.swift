import Timing

/// How long text was on its way, and what kept it from leaving meanwhile: Linux's `tcpi_busy_time`, `tcpi_rwnd_limited`
/// and `tcpi_sndbuf_limited`. Of two reasons the later one here counts.
struct SendLimits {
  enum Reason: UInt8 {
    /// There is nothing to send, and nothing out.
    case idle
    /// The network, or the congestion window.
    case network
    /// The peer's window.
    case window
    /// A writer waits for room in the send buffer.
    case buffer
  }

  private(set) var reason = Reason.idle
  /// A writer waits for room in the send buffer.
  var isBufferFull = false
  private var since = Instant.zero
  private var network = Nanoseconds.zero
  private var window = Nanoseconds.zero
  private var buffer = Nanoseconds.zero

  /// From `now` on this is the reason.
  @inline(__always) mutating func become(_ new: Reason, now: Instant) {
    if new != reason { change(to: new, now: now) }
  }
  @inline(__always) private mutating func change(to new: Reason, now: Instant) {
    let span = now - since
    switch reason {
    case .idle: break
    case .network: network = network + span
    case .window: window = window + span
    case .buffer: buffer = buffer + span
    }
    reason = new
    since = now
  }

  /// Time with something to send, or out, up to `now`; of it, held up by the peer's window, and by the send buffer.
  func spans(now: Instant) -> (busy: Nanoseconds, window: Nanoseconds, buffer: Nanoseconds) {
    var whole = self
    whole.become(.idle, now: now)
    return (whole.network + whole.window + whole.buffer, whole.window, whole.buffer)
  }
}
