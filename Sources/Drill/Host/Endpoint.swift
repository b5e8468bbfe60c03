// A TCP socket as the system calls know it: what the stack has for it, what was set, and what the kernels that it
// stands for would remember beside that.

import Sockets
import TCP
import Timing
import Wire

final class Endpoint: Pollable {
  /// What the stack has for it.
  enum Phase {
    case fresh(UnconnectedStream)
    case stream(StreamSocket)
    case listening(ListeningSocket)
    /// Closed, or the stack refused another.
    case gone
  }
  /// How far connect got, as the socket layer of a kernel sees it.
  enum Progress { case unconnected, connecting, connected }

  let isIPv4: Bool
  /// As of when the socket, or its listener, was made.
  var settings: HostSettings
  var options: EndpointOptions
  var phase: Phase
  var progress = Progress.unconnected
  /// Where the first write connects to: TCP_FASTOPEN_CONNECT put the connect off.
  var deferredTarget: SocketAddress?
  /// What bind gave it.
  var name: SocketAddress?
  var isNonblocking = false
  /// SO_ERROR.
  var pendingError: Errno?
  /// The application shut the receiving side down.
  var isReceiveShutdown = false
  var isSendShutdown = false
  /// Somebody met a full buffer, and is told of space.
  var wantsSpace = false
  /// Its backlog, while it listens.
  var backlog = 0
  /// Bytes that the application has written.
  var written: UInt64 = 0
  /// What MSG_ERRQUEUE reads; of time stamps, the time.
  var errors: [(error: ExtendedError, time: Instant?)] = []
  var copies = ZeroCopies()
  var stamps = TransmitStamps()
  /// The send buffer, as Linux counts it.
  var sendMemory: SendMemory

  /// Called when the peer's SYN has arrived, before anybody is told.
  var wasAnswered: ((Endpoint) -> Void)?
  /// What was true when it was last looked at.
  private var last: StreamCondition?
  private var lastWaiting = 0

  init(isIPv4: Bool, _ settings: HostSettings, _ options: EndpointOptions, _ phase: Phase) {
    self.isIPv4 = isIPv4
    self.settings = settings
    self.options = options
    self.phase = phase
    sendMemory = SendMemory(settings)
    super.init()
    if case .stream(let stream) = phase { last = stream.condition }
  }

  var stream: StreamSocket? {
    if case .stream(let stream) = phase { return stream }
    return nil
  }
  var listener: ListeningSocket? {
    if case .listening(let listener) = phase { return listener }
    return nil
  }
  var condition: StreamCondition? { stream?.condition }
  /// What the stack is to be set to.
  var streamOptions: StreamOptions { options.stream(settings, isIPv4: isIPv4) }

  // MARK: State

  /// The state of the protocol's own block; closed if it has none.
  var protocolState: TCPState {
    switch phase {
    case .fresh, .gone: .closed
    case .listening: .listen
    case .stream(let stream): stream.condition.state
    }
  }
  /// The state that the socket shows. TIME-WAIT is the protocol's alone: its socket is closed.
  var state: TCPState {
    switch phase {
    case .fresh, .gone: .closed
    case .listening: .listen
    case .stream(let stream):
      switch stream.condition.state {
      case .timeWait: .closed
      case .closed, .listen, .synSent, .synReceived, .established, .finWait1, .finWait2, .closeWait, .closing,
        .lastAck:
        stream.condition.state
      }
    }
  }
  /// Nothing more arrives: the peer's FIN, an end of any other kind, or shutdown.
  var isInputOver: Bool {
    isReceiveShutdown || condition.map { $0.isAtEnd || isOver($0) } ?? false
  }
  /// Nothing more can be sent.
  var isOutputOver: Bool {
    isSendShutdown || condition.map { $0.isSendShutdown || isOver($0) } ?? false
  }
  private func isOver(_ condition: StreamCondition) -> Bool {
    condition.hasEnded || condition.state == .timeWait
  }
  /// Bytes that a read would find.
  var available: Int {
    guard let condition else { return 0 }
    // BSD throws away what is there, and what comes, once the receiving side is shut down.
    return isReceiveShutdown && settings.personality == .bsd ? 0 : condition.available
  }
  /// What SO_ERROR says, and takes away.
  func takeError() -> Errno? {
    defer { pendingError = nil }
    return pendingError
  }

  /// Whether there is so much room that it is worth telling: a third of the buffer, and less unsent than half of
  /// what may be.
  var isWorthWriting: Bool {
    guard let condition, let stream else { return false }
    switch settings.personality {
    case .linux:
      let limit = options.unsentLimit(settings)
      return sendMemory.isWorthTelling(queued: condition.unacknowledged, stream.informationAtRest)
        && (limit == .max || condition.unsent * 2 < Int(limit))
    case .bsd: return condition.sendSpace > 0 && condition.sendSpace * 3 >= stream.limits.send
    }
  }

  override func mask() -> UInt32 {
    if let listener {
      return listener.isAcceptable ? PollBits.input | PollBits.normalInput : 0
    }
    var mask: UInt32 = 0
    let state = state
    if isInputOver && isOutputOver || state == .closed { mask |= PollBits.hangUp }
    if isInputOver { mask |= PollBits.input | PollBits.normalInput | PollBits.readHangUp }
    if deferredTarget != nil { return PollBits.output | PollBits.normalOutput }
    // What was opened fast is read and written before its handshake is complete.
    if state != .synSent && (state != .synReceived || condition?.isConnected ?? false) {
      if available > 0, available >= Int(options.receiveLowWater) {
        mask |= PollBits.input | PollBits.normalInput
      }
      if isOutputOver || stream == nil {
        mask |= PollBits.output | PollBits.normalOutput
      } else if isWorthWriting {
        mask |= PollBits.output | PollBits.normalOutput
      } else {
        wantsSpace = true
      }
    }
    if pendingError != nil || !errors.isEmpty { mask |= PollBits.error }
    return mask
  }

  // MARK: What happened

  /// Looks at what has changed since the last time, and tells whoever watches. `time`: now.
  func observe(_ time: Instant) {
    if let listener {
      let waiting = listener.waiting
      if waiting > lastWaiting { notify(PollBits.input | PollBits.normalInput) }
      lastWaiting = waiting
    }
    guard let now = condition, let before = last else { return }
    last = now
    if let failure = now.failure, before.failure == nil { fail(failure, before) }
    if now.received != before.received { notify(PollBits.input | PollBits.normalInput) }
    if now.state != before.state, before.state == .synSent, !isOver(now) { wasAnswered?(self) }
    if now.isConnected, !before.isConnected { growSendMemory() }
    if wantsSpace, now.unacknowledged < before.unacknowledged { growSendMemory() }
    if now.isConnected != before.isConnected || now.isAtEnd != before.isAtEnd
      || isOver(now) != isOver(before)
    {
      notify(0)
    }
    if wantsSpace, now.isConnected, isWorthWriting {
      wantsSpace = false
      if settings.personality == .linux { stream?.setWriterWaits(false) }
      notify(PollBits.output | PollBits.normalOutput | PollBits.bandOutput)
    }
    let acknowledged = written - UInt64(clamping: unacknowledged(now))
    let told = stamps.take(sent: written - UInt64(clamping: now.unsent), acknowledged: acknowledged)
    for (kind, number) in told where !isOver(now) {
      errors.append(
        (
          ExtendedError(errno: Errno.ENOMSG.rawValue, origin: 4, info: kind.rawValue, data: number),
          stamps.flags.contains(.software) ? time : nil
        ))
    }
    if !told.isEmpty { notify(PollBits.error) }
    let ended = copies.take(acknowledged: isOver(now) ? .max : acknowledged)
    if !ended.isEmpty {
      for range in ended { enqueue(range) }
      notify(PollBits.error)
    }
  }

  func growSendMemory() {
    guard let stream, settings.personality == .linux else { return }
    sendMemory.grow(stream.informationAtRest, upTo: settings.sendMemory.most)
  }

  private func unacknowledged(_ condition: StreamCondition) -> Int { condition.unacknowledged }

  private func fail(_ failure: SocketError, _ before: StreamCondition) {
    var errno = Errno(rawValue: failure.errno) ?? .EIO
    // The peer has closed in order, and then reset: there was nothing to lose but what we write (Linux).
    if settings.personality == .linux, errno == .ECONNRESET, before.isAtEnd, !before.isSendShutdown {
      errno = .EPIPE
    }
    pendingError = errno
    notify(PollBits.error)
  }

  /// The end of zero-copy sends; one that follows the last one is added to it.
  private func enqueue(_ range: ClosedRange<UInt32>) {
    if let entry = errors.last?.error, entry.origin == 5, entry.data &+ 1 == range.lowerBound {
      errors[errors.count - 1].error.data = range.upperBound
      return
    }
    // The device's copy is what left: nothing was sent from the caller's own memory (code 1).
    errors.append(
      (ExtendedError(errno: 0, origin: 5, code: 1, info: range.lowerBound, data: range.upperBound), nil))
  }

  /// Another stack socket takes the place of the one before.
  func become(_ phase: Phase) {
    self.phase = phase
    last = condition
    lastWaiting = 0
    wantsSpace = false
  }
}

/// Zero-copy sends whose bytes are not all acknowledged yet.
struct ZeroCopies {
  private var pending: [(end: UInt64, number: UInt32)] = []
  private var next: UInt32 = 0

  /// A send ends at `end`, counted from the first byte of the connection.
  mutating func add(endingAt end: UInt64) {
    pending.append((end, next))
    next &+= 1
  }
  /// Those that are over, in one range as they are numbered one after the other.
  mutating func take(acknowledged: UInt64) -> [ClosedRange<UInt32>] {
    let over = pending.prefix { $0.end <= acknowledged }
    guard let first = over.first, let last = over.last else { return [] }
    pending.removeFirst(over.count)
    return [first.number...last.number]
  }
}
