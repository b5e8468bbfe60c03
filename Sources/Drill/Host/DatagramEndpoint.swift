import Sockets
import Timing
import Wire

/// A datagram socket as programs know it. The stack's is made when it gets its name: by `bind`, by `connect`, or by the
/// first datagram that it sends.
final class DatagramEndpoint: Pollable {
  let isIPv4: Bool
  /// The stack's; nil: it has no name yet.
  private(set) var socket: DatagramSocket?
  var isNonblocking = false
  /// SO_REUSEADDR and the like, for its name.
  var bindOptions: BindOptions = []
  /// SO_RCVTIMEO; zero: none.
  var receiveTimeout = Nanoseconds.zero
  /// IP_RECVERR.
  var receivesErrors = false {
    didSet { socket?.setReceivesErrors(receivesErrors) }
  }
  private var wasReadable = false

  init(isIPv4: Bool) { self.isIPv4 = isIPv4 }

  /// Any address, any port.
  var anyName: SocketAddress { SocketAddress(isIPv4 ? .anyIPv4 : .anyIPv6, port: 0) }

  /// It has this name, or none any more.
  func become(_ socket: DatagramSocket?) {
    self.socket = socket
    if receivesErrors { socket?.setReceivesErrors(true) }
    wasReadable = false
  }

  /// Looks at what has changed since the last time, and tells whoever watches.
  func observe() {
    let isReadable = socket?.isReadable ?? false
    if isReadable, !wasReadable { notify(PollBits.input | PollBits.normalInput) }
    wasReadable = isReadable
  }

  override func mask() -> UInt32 {
    var mask = PollBits.output | PollBits.normalOutput
    if let socket {
      if !socket.isWritable { mask = 0 }
      if socket.isReadable { mask |= PollBits.input | PollBits.normalInput }
    }
    return mask
  }
}
