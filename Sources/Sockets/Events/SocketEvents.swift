/// What can be true of a socket, and what an event queue is asked to tell.
public struct SocketEvents: OptionSet, Hashable, Sendable {
  /// Five bits are used.
  public let rawValue: UInt8
  /// Any bits.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// A read, an accept or a receive would not wait: there is something, or the end, or an error (AQ-WAKE).
  public static let readable = SocketEvents(rawValue: 1 << 0)
  /// A write or a send would not wait: there is room for a third of the buffer, or nothing can be sent any more.
  /// While connect is under way it is not true; that it has ended is told by this.
  public static let writable = SocketEvents(rawValue: 1 << 1)
  /// No more data will come: the peer has closed its side, the connection has ended, or reading was shut down.
  public static let endOfStream = SocketEvents(rawValue: 1 << 2)
  /// The connection failed, or the network reported an error that nobody has read.
  public static let error = SocketEvents(rawValue: 1 << 3)
  /// A user event was triggered, a timer expired.
  public static let triggered = SocketEvents(rawValue: 1 << 4)

  /// What a socket can be asked for.
  public static let all: SocketEvents = [.readable, .writable, .endOfStream, .error]
}

/// When an event queue tells what is true.
public enum EventTrigger: Hashable, Sendable, CaseIterable {
  /// At each harvest, as long as it is true (kqueue's and epoll's default).
  case level
  /// At the first harvest after it became true, or more true: more data arrived, space came back after a writer
  /// had met a full buffer (EV_CLEAR, EPOLLET).
  case edge
  /// Like `level`, once; then not until the registration is modified (EV_DISPATCH, EPOLLONESHOT).
  case oneShot
}

/// What an event queue tells about one registration.
public struct SocketEvent: Hashable, Sendable {
  /// What the registration was made with.
  public var token: UInt64
  /// What is true, of what was asked for.
  public var events: SocketEvents
  /// Bytes to read from a stream, datagrams that wait, connections to accept; how often a user event was
  /// triggered, or a timer expired, since that was told last.
  public var available: Int
  /// Bytes that a stream takes, datagrams that a socket takes, without waiting.
  public var space: Int
  /// Why the connection failed, or what the network reported; it stays for who reads it.
  public var error: SocketError?
}

/// What an event queue can watch: any kind of socket. Watching does not keep it open.
public enum EventSubject: Sendable {
  /// A connection.
  case stream(StreamSocket)
  /// A listener: readable when a connection waits to be accepted.
  case listener(ListeningSocket)
  /// A datagram socket.
  case datagram(DatagramSocket)

  /// What a queue of `layer` watches. Throws `.otherStack`: there other grace periods count.
  func watched(by layer: SocketLayer) throws(SocketError) -> Watched {
    let (watched, owner): (Watched, SocketLayer) =
      switch self {
      case .stream(let socket): (.stream(socket.connection), socket.layer)
      case .listener(let socket): (.listener(socket.listener), socket.layer)
      case .datagram(let socket): (.datagram(socket.datagram), socket.layer)
      }
    guard owner === layer else { throw .otherStack }
    return watched
  }
}
