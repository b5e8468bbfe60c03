import Exclusion

/// What is true of a subject at one moment.
struct Readiness {
  var events: SocketEvents = []
  var available = 0
  var space = 0
  var error: SocketError?
}

/// The memory behind a registration. Whoever looks at it is inside a grace section, and has seen since it began
/// that the registration was not detached.
enum Watched {
  case stream(ConnectionRef)
  case listener(ListenerRef)
  case datagram(DatagramRef)
  /// Somebody triggers it; the count is in the registration.
  case user
  /// On the wheel of this context; the count is in the registration.
  case timer(home: Int)

  /// Where the subject's registrations hang; nil for what has no socket.
  var observers: UnsafePointer<ObserverList>? {
    switch self {
    case .stream(let connection): unsafe connection.observers
    case .listener(let listener): unsafe listener.observers
    case .datagram(let datagram): unsafe datagram.observers
    case .user, .timer: nil
    }
  }

  /// What is true now. If somebody asks for space and there is none, whoever frees some will tell: what a buffer
  /// was met full is noted, fenced, and looked at again (SB-FENCE; DESIGN section 3 rule 3).
  func readiness(asking interest: SocketEvents) -> Readiness {
    var found = look()
    if interest.contains(.writable), !found.events.contains(.writable) {
      wantSpace()
      found = look()
    }
    return found
  }

  private func wantSpace() {
    switch self {
    case .stream(let connection): connection.wantSpace()
    case .datagram(let datagram): datagram.wantSpace()
    case .listener, .user, .timer: break
    }
  }

  private func look() -> Readiness {
    switch self {
    case .stream(let connection): connection.readiness
    case .listener(let listener): listener.readiness
    case .datagram(let datagram): datagram.readiness
    case .user, .timer: Readiness()
    }
  }
}

extension ConnectionRef {
  fileprivate var readiness: Readiness {
    let status = status
    var found = Readiness()
    if isReadable(need: 1) { found.events.insert(.readable) }
    if isWritable(need: sendLowWater) { found.events.insert(.writable) }
    if !status.isDisjoint(with: [.endOfStream, .receiveShutdown, .failed, .ended]) {
      found.events.insert(.endOfStream)
    }
    if status.contains(.failed) {
      found.events.insert(.error)
      found.error = failure
    }
    found.available = available
    if status.contains(.connected) { found.space = sendSpace }
    return found
  }
}

extension ListenerRef {
  fileprivate var readiness: Readiness {
    Readiness(events: isAcceptable ? .readable : [], available: waitingForAccept)
  }
}

extension DatagramRef {
  fileprivate var readiness: Readiness {
    var found = Readiness(available: waitingToBeRead, space: sendSpace)
    if isReadable() { found.events.insert(.readable) }
    if isWritable() { found.events.insert(.writable) }
    found.error = pendingError
    if found.error != nil { found.events.insert(.error) }
    return found
  }
}
