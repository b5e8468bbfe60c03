import CLinux
import Exclusion
import Glibc
import Sockets
import Wire

/// A connection of the host's that one of ours carries on, or the other way round. What one side says the other hears: bytes, the end of a
/// direction, and a reset; a side that takes nothing stops the other. The forwarder's thread only.
final class CarriedConnection {
  /// How far our side is.
  enum Phase {
    /// The guest asked for it, and has no answer: the host's socket connects.
    case dialing
    /// The host's peer has taken it, and a context makes our side. The ticket: whom it rouses.
    case admitting(Answer<Result<StreamSocket, SocketError>>, Waiter.Ticket?)
    /// A context makes the socket. The ticket: whom it rouses.
    case opening(Answer<Result<UnconnectedStream, SocketError>>, Waiter.Ticket?)
    case connecting(StreamSocket)
    case open(StreamSocket)
  }
  /// What is to be done with it now.
  enum Verdict {
    /// Nothing, until a side has news.
    case waits
    /// There is more, after the others' turn.
    case hasMore
    /// Both directions have ended, and both sides know.
    case isDone
    /// Our side failed, and the host's has to hear it.
    case guestFailed
    /// The host's side failed, and ours has to hear it.
    case hostFailed
    /// The host's side is connected, and ours may be.
    case hostConnected
  }

  let token: UInt64
  let descriptor: Int32
  let target: SocketAddress
  /// The guest asked for it.
  let isOutbound: Bool
  /// What the guest asked, while the host's socket connects.
  var request: ConnectionRequest?
  /// Why the host's side failed, an errno.
  private(set) var hostError: Int32 = 0
  var phase: Phase
  var toGuest = Leg()
  var toHost = Leg()
  /// It is among those that have something to do.
  var isQueued = false
  var hasHostFailed = false
  var hasGuestFailed = false

  init(
    token: UInt64, descriptor: Int32, target: SocketAddress,
    _ answer: Answer<Result<UnconnectedStream, SocketError>>
  ) {
    self.token = token
    self.descriptor = descriptor
    self.target = target
    isOutbound = false
    phase = .opening(answer, nil)
    toHost.isSinkReady = true
  }
  /// What the guest asked for, as the host's socket has begun to connect.
  init(token: UInt64, descriptor: Int32, target: SocketAddress, _ request: consuming ConnectionRequest) {
    self.token = token
    self.descriptor = descriptor
    self.target = target
    isOutbound = true
    phase = .dialing
    self.request = consume request
  }

  var stream: StreamSocket? {
    switch phase {
    case .dialing, .admitting, .opening: nil
    case .connecting(let stream), .open(let stream): stream
    }
  }

  // MARK: News

  /// The host's socket has changed.
  func hear(_ ready: sluice_ready) {
    if ready.readable != 0 { toGuest.isSourceReady = true }
    if ready.writable != 0 { toHost.isSinkReady = true }
    // Hung up without an error is the end of both directions, which is seen by reading.
    guard ready.failed != 0, !hasHostFailed else { return }
    hostError = sluice_tcp_error(descriptor)
    hasHostFailed = hostError != 0
  }
  /// Our socket has changed.
  func hear(_ event: SocketEvent) {
    if !event.events.isDisjoint(with: [.readable, .endOfStream]) { toHost.isSourceReady = true }
    if event.events.contains(.writable) { toGuest.isSinkReady = true }
    if event.events.contains(.error) { hasGuestFailed = true }
  }

  // MARK: Carrying

  /// Carries at most about `budget` bytes each way.
  func advance(_ scratch: UnsafeMutableRawBufferPointer, budget: Int, _ counters: ForwardCounters) -> Verdict
  {
    switch phase {
    case .dialing:
      if hasHostFailed { return .hostFailed }
      return toHost.isSinkReady ? .hostConnected : .waits
    // The guest has to hear of it: by what a context is making.
    case .admitting: return .waits
    case .opening: return hasHostFailed ? .hostFailed : .waits
    case .connecting(let stream):
      if hasHostFailed { return .hostFailed }
      if hasGuestFailed { return .guestFailed }
      guard stream.isConnected else { return .waits }
      phase = .open(stream)
      counters.connected.increment()
      toGuest.isSinkReady = true
      toHost.isSourceReady = true
      return unsafe carry(stream, scratch, budget, counters)
    case .open(let stream): return unsafe carry(stream, scratch, budget, counters)
    }
  }

  private func carry(
    _ stream: StreamSocket, _ scratch: UnsafeMutableRawBufferPointer, _ budget: Int,
    _ counters: ForwardCounters
  ) -> Verdict {
    // Both ways even if one side has failed: what it said before is still told.
    let there = unsafe carryToGuest(stream, scratch, budget, counters)
    let back = unsafe carryToHost(stream, scratch, budget, counters)
    for verdict in [there, back] where verdict == .hostFailed || verdict == .guestFailed { return verdict }
    if hasHostFailed { return .hostFailed }
    if hasGuestFailed { return .guestFailed }
    if there == .isDone, back == .isDone { return .isDone }
    return there == .hasMore || back == .hasMore ? .hasMore : .waits
  }

  private func carryToGuest(
    _ stream: StreamSocket, _ scratch: UnsafeMutableRawBufferPointer, _ budget: Int,
    _ counters: ForwardCounters
  ) -> Verdict {
    unsafe toGuest.carry(
      scratch, budget: budget, counters.bytesToGuest,
      read: {
        let count = unsafe sluice_tcp_receive(descriptor, scratch.baseAddress, scratch.count)
        return switch count {
        // The kernel tells a failure once, and an end from then on.
        case 0: hasHostFailed ? .failed : .end
        case 1...: .bytes(count)
        case -Int(EAGAIN): .nothing
        default: .failed
        }
      }, write: { Self.taken(unsafe stream.tryWrite($0)) }, finish: { stream.shutdownSend() },
      failures: (source: .hostFailed, sink: .guestFailed))
  }

  private func carryToHost(
    _ stream: StreamSocket, _ scratch: UnsafeMutableRawBufferPointer, _ budget: Int,
    _ counters: ForwardCounters
  ) -> Verdict {
    unsafe toHost.carry(
      scratch, budget: budget, counters.bytesToHost,
      read: {
        switch unsafe stream.tryRead(into: scratch) {
        case .bytes(let count): .bytes(count)
        case .endOfStream: .end
        case .wouldBlock: .nothing
        case .failed: .failed
        }
      }, write: { Self.taken(unsafe sluice_tcp_send(descriptor, $0.baseAddress, $0.count)) },
      // It may have failed meanwhile, which the next look at it tells.
      finish: { _ = sluice_tcp_finish(descriptor) }, failures: (source: .guestFailed, sink: .hostFailed))
  }

  /// Bytes that our side took; nil: it takes no more.
  private static func taken(_ outcome: WriteOutcome) -> Int? {
    switch outcome {
    case .bytes(let count): count
    case .wouldBlock: 0
    case .failed: nil
    }
  }
  /// Bytes that the host's side took; nil: it takes no more.
  private static func taken(_ sent: Int) -> Int? {
    sent >= 0 ? sent : sent == -Int(EAGAIN) ? 0 : nil
  }

  // MARK: Ending

  /// Gives both sides back, as the verdict has it. Last.
  func end(_ verdict: Verdict) {
    switch verdict {
    case .isDone:
      stream?.close()
      sluice_tcp_close(descriptor)
    case .hostFailed:
      if let request = request.take() { request.refuse(ConnectionVerdict(errno: hostError)) }
      stream?.abort()
      sluice_tcp_close(descriptor)
    case .guestFailed, .waits, .hasMore, .hostConnected:
      if let request = request.take() { request.refuse(.reset) }
      stream?.abort()
      sluice_tcp_reset(descriptor)
    }
  }
}
