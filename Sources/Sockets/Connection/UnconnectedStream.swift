import Exclusion
import SoftInterrupts
public import Wire

/// A TCP socket that is neither connected nor listening yet. It has its control block from the beginning (SO-PCB);
/// it can be bound, and then it becomes one of two things, once: a connection, or a listener.
///
/// Any thread may call anything at any time. The socket's lock decides who comes first; the others learn why they
/// were late by a typed error. What the socket became has a handle of its own, and this one is spent: closing it does
/// nothing then. The last reference closes it.
public final class UnconnectedStream: AnySocket {
  private enum Phase: Sendable {
    /// It has no name.
    case idle
    /// The control context decides about a name.
    case binding(Answer<Result<SocketAddress, SocketError>>)
    case bound(SocketAddress)
    /// The control context makes a listener; what it was before, should that fail.
    case listening(Answer<Result<SocketAddress, SocketError>>, before: SocketAddress?)
    case connected
    case closed
  }
  private let phase = OrderedMutex<SocketLevel, Phase>(.idle)
  /// The control block went to a connection's handle.
  private let isSpent = AtomicWord(0)
  let connection: ConnectionRef
  let layer: SocketLayer
  private let family: AddressFamily?
  /// What it was set to last.
  let settings: OrderedMutex<SocketLevel, StreamOptions>

  /// Takes over a reference to a control block that is in no table. `family` bounds the addresses it takes; nil:
  /// both.
  init(
    _ connection: ConnectionRef, family: AddressFamily?, options: StreamOptions, layer: SocketLayer
  ) {
    settings = OrderedMutex(options)
    self.connection = connection
    self.family = family
    self.layer = layer
  }
  deinit {
    // Nobody else is left to decide anything: the end is a posted bit, and needs no lock.
    if isForkedChild() { return }  // L6
    if isSpent.load() == 0 {
      connection.set(.handleClosed)
      _ = connection.gate.post(events: .close)
    }
    connection.release()
  }

  /// Gives the socket a name; port 0 takes a free one. Control work: the answer is the name, or
  /// `.addressInUse`, `.addressNotAvailable`, `.invalidAddress` (the address does not fit, or it has a name
  /// already), `.alreadyInProgress`, `.alreadyConnected`, `.closed`, `.networkDown`.
  public func bind(
    to address: SocketAddress, options: BindOptions = []
  ) -> Answer<Result<SocketAddress, SocketError>> {
    let outcome = Answer<Result<SocketAddress, SocketError>>(layer.wakeAccount)
    let refusal = withPhase { phase -> SocketError? in
      switch phase {
      case .idle: break
      case .bound: return .invalidAddress
      case .binding, .listening, .connected, .closed: return Self.refusal(phase)
      }
      if let family, !family.contains(address.address) { return .invalidAddress }
      phase = .binding(outcome)
      return nil
    }
    if let refusal { return Answer(layer.wakeAccount, answered: .failure(refusal)) }
    let answer = Answer<Result<SocketAddress, SocketError>>(layer.wakeAccount)
    let (layer, connection) = (layer, connection)
    let stream = withApplication { held in settings.withLock(&held) { settings, _ in settings } }
    connection.retain()
    layer.contexts.perform(on: 0) { cx in
      let result = layer.bindStream(connection, to: address, options, answer: stream, &cx)
      outcome.complete(result, &cx)
      answer.complete(result, &cx)
      connection.release()
    }
    return answer
  }

  /// Begins to connect. The socket may still be connecting: wait at its ``StreamSocket/writePoint`` with need 0,
  /// then look at its failure. Never waits. Fails with `.alreadyInProgress`, `.alreadyConnected`,
  /// `.invalidAddress`, `.closed`, and without a change.
  public func connect(to remote: SocketAddress) -> Result<StreamSocket, SocketError> {
    connect(to: remote, ConnectExtras())
  }

  /// The same, with what goes with it. On failure what it was to bring is the caller's.
  func connect(to remote: SocketAddress, _ extras: ConnectExtras) -> Result<StreamSocket, SocketError> {
    guard remote.port != 0, !remote.address.isMulticast, !remote.address.isUnspecified,
      family?.contains(remote.address) ?? true
    else { return .failure(.invalidAddress) }
    let local = withPhase { phase -> Result<SocketAddress?, SocketError> in
      let name: SocketAddress?
      switch phase {
      case .idle: name = nil
      case .bound(let address): name = address
      case .binding, .listening, .connected, .closed: return .failure(Self.refusal(phase))
      }
      phase = .connected
      return .success(name)
    }
    return local.map { local in
      // Alone with it: who is first gets here, once. The owner reads it after the post.
      unsafe connection.shared.pointee.sendCredit.subtract(UInt64(extras.bytes))
      unsafe connection.shared.pointee.sendOccupied.add(UInt64(extras.occupied))
      unsafe connection.shared.pointee.submitted.add(UInt64(extras.bytes))
      unsafe connection.request.pointee = ConnectRequest(
        remote: remote, local: local, fastOpen: extras.fastOpen, chain: extras.chain)
      isSpent.store(1)
      if local != nil { layer.setAnswer(connection, nil) }
      connection.retain()
      let socket = StreamSocket(connection, layer: layer)
      let item = connection.commandItem
      item.kind = SocketKind.connect
      _ = connection.gate.post(item)
      return socket
    }
  }

  /// Becomes a listener, under its name or a free port of all addresses. `backlog` and `limits` as for
  /// ``SocketLayer/listen(on:backlog:limits:options:)``; `options`, if there are any, say it all, limits too. Control
  /// work: the answer is the listener, or
  /// `.addressInUse`, and the socket is what it was; `.invalidAddress` if it is connected, `.alreadyInProgress`,
  /// `.closed`, `.networkDown`.
  public func listen(
    backlog: Int = 128, limits: BufferLimits = BufferLimits(), options: StreamOptions? = nil
  ) -> Answer<Result<ListeningSocket, SocketError>> {
    let outcome = Answer<Result<SocketAddress, SocketError>>(layer.wakeAccount)
    let name = withPhase { phase -> Result<SocketAddress?, SocketError> in
      let name: SocketAddress?
      switch phase {
      case .idle: name = nil
      case .bound(let address): name = address
      case .connected: return .failure(.invalidAddress)
      case .binding, .listening, .closed: return .failure(Self.refusal(phase))
      }
      phase = .listening(outcome, before: name)
      return .success(name)
    }
    let named: SocketAddress?
    switch name {
    case .failure(let refusal): return Answer(layer.wakeAccount, answered: .failure(refusal))
    case .success(let name): named = name
    }
    let answer = Answer<Result<ListeningSocket, SocketError>>(layer.wakeAccount)
    let anywhere = SocketAddress(family == .inet ? .anyIPv4 : .anyIPv6, port: 0)
    let (layer, connection) = (layer, connection)
    let wanted = options ?? layer.options(limits: limits)
    connection.retain()
    layer.contexts.perform(on: 0) { cx in
      let result = layer.convert(connection, name: named ?? anywhere, backlog: backlog, wanted, &cx)
      outcome.complete(result.map(\.address), &cx)
      answer.complete(result, &cx)
      connection.release()
    }
    return answer
  }

  /// Gives the name back, and ends. What has not become a listener by then will not. Cannot fail; again, or after
  /// the socket became something else, it does nothing.
  public func close() {
    if isForkedChild() { return }  // L6
    let isEnd = withPhase { phase -> Bool in
      switch phase {
      case .connected, .closed: return false
      case .idle, .binding, .bound, .listening: break
      }
      // The control context may be making the listener: it has come first if it said so before this.
      if connection.set(.handleClosed).contains(.converted) { return false }
      phase = .closed
      return true
    }
    if isEnd { _ = connection.gate.post(events: .close) }
  }

  /// It has not become something else.
  var isUnused: Bool { isSpent.load() == 0 }

  /// The name that it has now; nil before bind was answered, and after the socket became something else.
  public var localAddress: SocketAddress? {
    withPhase { phase in
      switch phase {
      case .bound(let address): address
      case .idle, .binding, .listening, .connected, .closed: nil
      }
    }
  }

  /// With the lock, once what the control context has decided meanwhile is seen.
  private func withPhase<R>(_ body: (inout Phase) -> R) -> R {
    withApplication { held in
      phase.withLock(&held) { phase, _ in
        switch phase {
        case .binding(let outcome):
          if let result = outcome.peek() { phase = (try? result.get()).map { .bound($0) } ?? .idle }
        case .listening(let outcome, let before):
          if case .failure = outcome.peek() { phase = before.map { .bound($0) } ?? .idle }
        case .idle, .bound, .connected, .closed: break
        }
        return body(&phase)
      }
    }
  }

  /// Why a call in this phase comes too late.
  private static func refusal(_ phase: Phase) -> SocketError {
    switch phase {
    case .idle, .bound: .invalidAddress
    case .binding: .alreadyInProgress
    case .listening(let outcome, _): outcome.isReady ? .invalidAddress : .alreadyInProgress
    case .connected: .alreadyConnected
    case .closed: .closed
    }
  }
}
