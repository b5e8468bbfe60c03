import CLinux
import Exclusion
import Glibc
import Sockets
import Wire

/// A connection of the host's that one of ours carries on. What one side says the other hears: bytes, the end of a
/// direction, and a reset; a side that takes nothing stops the other. The forwarder's thread only.
final class CarriedConnection {
  /// How far our side is.
  enum Phase {
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
  }

  let token: UInt64
  let descriptor: Int32
  let target: SocketAddress
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
    phase = .opening(answer, nil)
    toHost.isSinkReady = true
  }

  var stream: StreamSocket? {
    switch phase {
    case .opening: nil
    case .connecting(let stream), .open(let stream): stream
    }
  }

  // MARK: News

  /// The host's socket has changed.
  func hear(_ ready: sluice_ready) {
    if ready.readable != 0 { toGuest.isSourceReady = true }
    if ready.writable != 0 { toHost.isSinkReady = true }
    // Hung up without an error is the end of both directions, which is seen by reading.
    if ready.failed != 0, sluice_tcp_error(descriptor) != 0 { hasHostFailed = true }
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
    var left = budget
    while true {
      if !toGuest.isEmpty {
        guard toGuest.isSinkReady else { return .waits }
        let outcome = unsafe toGuest.withBytes { unsafe stream.tryWrite($0) }
        guard let taken = Self.taken(outcome) else { return .guestFailed }
        toGuest.drop(taken)
        counters.bytesToGuest.increment(by: UInt64(taken))
        if !toGuest.isEmpty { toGuest.isSinkReady = false }
        continue
      }
      if toGuest.hasEnded {
        if !toGuest.isFinished { stream.shutdownSend() }
        toGuest.isFinished = true
        return .isDone
      }
      guard toGuest.isSourceReady, toGuest.isSinkReady else { return .waits }
      guard left > 0 else { return .hasMore }
      let count = unsafe sluice_tcp_receive(descriptor, scratch.baseAddress, scratch.count)
      switch count {
      case 0:
        // The kernel tells a failure once, and an end from then on.
        if hasHostFailed { return .hostFailed }
        toGuest.hasEnded = true
      case 1...:
        left -= count
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: scratch[..<count])
        guard let taken = Self.taken(unsafe stream.tryWrite(bytes)) else { return .guestFailed }
        counters.bytesToGuest.increment(by: UInt64(taken))
        if taken < count {
          unsafe toGuest.hold(UnsafeRawBufferPointer(rebasing: bytes[taken...]))
          toGuest.isSinkReady = false
        }
      case -Int(EAGAIN): toGuest.isSourceReady = false
      default: return .hostFailed
      }
    }
  }

  private func carryToHost(
    _ stream: StreamSocket, _ scratch: UnsafeMutableRawBufferPointer, _ budget: Int,
    _ counters: ForwardCounters
  ) -> Verdict {
    var left = budget
    while true {
      if !toHost.isEmpty {
        guard toHost.isSinkReady else { return .waits }
        let sent = unsafe toHost.withBytes { unsafe sluice_tcp_send(descriptor, $0.baseAddress, $0.count) }
        guard let taken = Self.taken(sent) else { return .hostFailed }
        toHost.drop(taken)
        counters.bytesToHost.increment(by: UInt64(taken))
        if !toHost.isEmpty { toHost.isSinkReady = false }
        continue
      }
      if toHost.hasEnded {
        // It may have failed meanwhile, which the next look at it tells.
        if !toHost.isFinished { _ = sluice_tcp_finish(descriptor) }
        toHost.isFinished = true
        return .isDone
      }
      guard toHost.isSourceReady, toHost.isSinkReady else { return .waits }
      guard left > 0 else { return .hasMore }
      switch unsafe stream.tryRead(into: scratch) {
      case .endOfStream: toHost.hasEnded = true
      case .bytes(let count):
        left -= count
        guard let taken = Self.taken(unsafe sluice_tcp_send(descriptor, scratch.baseAddress, count)) else {
          return .hostFailed
        }
        counters.bytesToHost.increment(by: UInt64(taken))
        if taken < count {
          unsafe toHost.hold(UnsafeRawBufferPointer(rebasing: scratch[taken..<count]))
          toHost.isSinkReady = false
        }
      case .wouldBlock: toHost.isSourceReady = false
      case .failed: return .guestFailed
      }
    }
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
      stream?.abort()
      sluice_tcp_close(descriptor)
    case .guestFailed, .waits, .hasMore:
      stream?.abort()
      sluice_tcp_reset(descriptor)
    }
  }
}
