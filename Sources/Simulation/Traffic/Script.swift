import Sockets
import Timing

/// What one end of a connection does.
struct Script {
  /// Bytes that are written once so much has arrived.
  struct Burst {
    var bytes: Int
    var afterReceived = 0
    /// The peer's end of stream is waited for as well.
    var afterEnd = false
  }
  enum Ending {
    /// The sending side is shut down after the last burst.
    case shutdown
    /// The connection is aborted once so many bytes have arrived.
    case abort(afterReceived: Int)
  }
  var bursts: [Burst] = []
  var ending = Ending.shutdown
  /// What the peer sends in all; its end of stream comes after exactly so many bytes.
  var expects = 0
  /// The connection may fail or end early: what arrives is still checked.
  var toleratesFailure = false
  /// A reader that pauses for `time` after each `bytes`.
  var pause: (bytes: Int, time: Nanoseconds)?
  /// Without progress for so long the application gives up.
  var patience: Nanoseconds?

  var sends: Int { bursts.reduce(0) { $0 + $1.bytes } }
}

/// One or more connections of the same kind between two hosts.
struct SessionPlan {
  var name: String
  var client = 0
  var server = 1
  var isIPv4 = true
  var clientScript = Script()
  var serverScript = Script()
  /// Connections, and how many of them at once.
  var connections = 1
  var concurrency = 1
  /// How often a connection that fails is begun anew; 0: a failure is a failure.
  var retries = 0
  /// When the first begins.
  var start = Nanoseconds.zero
  var limits = BufferLimits(send: 1 << 20, receive: 1 << 20)
  /// Goodput is measured.
  var isMeasured = false
}
