import CLinux
import Exclusion
import Glibc
import Sockets
import Wire

/// A connection of the host's that one of ours carries on, or the other way round. What one side says the other hears:
/// bytes, the end of a direction, and a reset; a side that takes nothing stops the other. The forwarder's thread only.
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
  /// The host's peer has said its end, or will not say anything any more: reading tells which.
  private var hasHostEnded = false
  /// How much the host's socket is expected to have.
  private var expected = StreamSocket.filledAtLeast
  /// Bytes that the last turn carried, both ways.
  private(set) var moved = 0

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
    if ready.ended != 0 { hasHostEnded = true }
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
  func advance(budget: Int, _ counters: ForwardCounters) -> Verdict {
    moved = 0
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
      return carry(stream, budget, counters)
    case .open(let stream): return carry(stream, budget, counters)
    }
  }

  private func carry(_ stream: StreamSocket, _ budget: Int, _ counters: ForwardCounters) -> Verdict {
    // Both ways even if one side has failed: what it said before is still told.
    let there = carryToGuest(stream, budget, counters.bytesToGuest)
    let back = carryToHost(stream, budget, counters.bytesToHost)
    for verdict in [there, back] where verdict == .hostFailed || verdict == .guestFailed { return verdict }
    if hasHostFailed { return .hostFailed }
    if hasGuestFailed { return .guestFailed }
    if there == .isDone, back == .isDone { return .isDone }
    return there == .hasMore || back == .hasMore ? .hasMore : .waits
  }

  /// From the host's socket into memory of the stack's.
  private func carryToGuest(_ stream: StreamSocket, _ budget: Int, _ counter: borrowing Counter) -> Verdict {
    var left = budget
    while true {
      if !toGuest.isEmpty {
        // What a SYN brought.
        guard toGuest.isSinkReady else { return .waits }
        switch unsafe toGuest.withBytes({ unsafe stream.tryWrite($0) }) {
        case .bytes(let count):
          toGuest.drop(count)
          self.count(counter, count)
        case .wouldBlock: toGuest.isSinkReady = false
        case .failed: return .guestFailed
        }
        continue
      }
      if toGuest.hasEnded {
        if !toGuest.isFinished { stream.shutdownSend() }
        toGuest.isFinished = true
        return .isDone
      }
      guard toGuest.isSourceReady, toGuest.isSinkReady else { return .waits }
      guard left > 0 else { return .hasMore }
      var (result, offered) = (0, 0)
      switch unsafe stream.tryWrite(
        filling: expected,
        { places in
          (result, offered) = unsafe HostPieces.receive(descriptor, places)
          return max(0, result)
        })
      {
      case .wouldBlock: toGuest.isSinkReady = false
      case .failed: return .guestFailed
      case .bytes(let count):
        left -= count
        self.count(counter, count)
        switch result {
        // The kernel tells a failure once, and an end from then on.
        case 0 where hasHostFailed: return .hostFailed
        case 0: toGuest.hasEnded = true
        case 1...:
          expect(count, offered)
          // It had no more, and says when it has (epoll(7)); but an end that was told already is still to be read.
          if count < offered, !hasHostEnded { toGuest.isSourceReady = false }
        case -Int(EAGAIN): toGuest.isSourceReady = false
        default: return .hostFailed
        }
      }
    }
  }

  /// From the memory that the guest's bytes lie in to the host's socket.
  private func carryToHost(_ stream: StreamSocket, _ budget: Int, _ counter: borrowing Counter) -> Verdict {
    var left = budget
    while true {
      if toHost.hasEnded {
        // It may have failed meanwhile, which the next look at it tells.
        if !toHost.isFinished { _ = sluice_tcp_finish(descriptor) }
        toHost.isFinished = true
        return .isDone
      }
      guard toHost.isSourceReady, toHost.isSinkReady else { return .waits }
      guard left > 0 else { return .hasMore }
      var (result, offered) = (0, 0)
      switch unsafe stream.tryConsumePieces(
        atMost: left,
        { pieces in
          (result, offered) = unsafe HostPieces.send(descriptor, pieces)
          return max(0, result)
        })
      {
      case .endOfStream: toHost.hasEnded = true
      case .wouldBlock: toHost.isSourceReady = false
      case .failed: return .guestFailed
      case .bytes(let count):
        if result < 0, result != -Int(EAGAIN) { return .hostFailed }
        left -= count
        self.count(counter, count)
        if count < offered { toHost.isSinkReady = false }
      }
    }
  }

  private func count(_ counter: borrowing Counter, _ bytes: Int) {
    counter.increment(by: UInt64(bytes))
    moved += bytes
  }
  /// The next read asks for what the last ones suggest: memory is taken for what is asked.
  private func expect(_ count: Int, _ offered: Int) {
    if count == offered {
      expected = min(expected * 4, StreamSocket.filledAtOnce)
    } else if count < expected / 4 {
      expected = max(expected / 2, StreamSocket.filledAtLeast)
    }
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
