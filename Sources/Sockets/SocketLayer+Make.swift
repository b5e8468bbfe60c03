// The commands that make sockets, and give their names back.

import Buffers
import Exclusion
import Internet
import SoftInterrupts
import TCP
import Timing
public import Wire

extension SocketLayer {
  // MARK: Listeners

  /// Listens on an address and port; port 0 takes a free one. `backlog` bounds the connections that wait
  /// for accept, and, with 128 at least, the half-open ones. Control work: the answer says what became of it.
  public func listen(
    on address: SocketAddress, backlog: Int = 128, limits: BufferLimits = BufferLimits(),
    options: BindOptions = .reuseAddress
  ) -> Answer<Result<ListeningSocket, SocketError>> {
    let answer = Answer<Result<ListeningSocket, SocketError>>(wakeAccount)
    contexts.perform(on: 0) { [self] cx in
      answer.complete(
        makeListener(
          address, backlog: backlog, self.options(limits: limits), options: options, from: nil, &cx), &cx)
    }
    return answer
  }

  /// Control context: a bound or nameless socket becomes a listener. Of this and close one comes first.
  func convert(
    _ connection: ConnectionRef, name: SocketAddress, backlog: Int, _ stream: StreamOptions,
    _ cx: inout SoftInterrupt
  ) -> Result<ListeningSocket, SocketError> {
    let options = unsafe connection.shared.pointee.claim?.options ?? []
    return makeListener(name, backlog: backlog, stream, options: options, from: connection, &cx)
  }

  private func makeListener(
    _ name: SocketAddress, backlog: Int, _ stream: StreamOptions, options: BindOptions,
    from connection: ConnectionRef?, _ cx: inout SoftInterrupt
  ) -> Result<ListeningSocket, SocketError> {
    let owner = connection.map(\.owner) ?? 0
    let isNamed = connection?.status.contains(.claimed) ?? false
    let choice = choosePort(name, .tcp, options, isListening: true, instead: owner, isNamed: isNamed)
    switch choice {
    case .failure(let error): return .failure(error)
    case .success(let key):
      #if Explore
        let isForced = Mutation.convertedAfterClose.isOn
      #else
        let isForced = false
      #endif
      if let connection, connection.set(.converted).contains(.handleClosed), !isForced {
        return .failure(.closed)
      }
      let listener = ListenerRef.make(key, backlog: backlog, options: stream, layer: self)
      bindings.claim(PortUse(owner: listener.bound.owner, key: key, options: options, isListening: true))
      bindings.publish(listener.bound, options, &cx)
      if let connection { _ = connection.gate.submit(events: .close, &cx) }  // its claim goes with it
      return .success(
        ListeningSocket(listener, address: SocketAddress(name.address, port: key.port), layer: self))
    }
  }

  /// Takes a listener out of the bindings, and then its half-open connections out of every context. On a stack
  /// whose contexts do not run (stepped by hand) with the next steps. Any context or application thread.
  func stopListening(_ listener: ListenerRef) {
    listener.retain()
    contexts.perform(on: 0) { [self] cx in
      retireName(listener.bound, &cx)
      for index in 0..<contexts.count {
        listener.retain()
        contexts.perform(on: index) { cx in
          SocketContextRef(cx).forgetAll(of: listener, &cx)
          listener.release()
        }
      }
      listener.release()
    }
  }

  // MARK: Datagram sockets

  /// Binds a datagram socket; port 0 takes a free one. With a `peer` it hears only from there.
  public func bindDatagram(
    to address: SocketAddress, peer: SocketAddress? = nil, options: BindOptions = []
  ) -> Answer<Result<DatagramSocket, SocketError>> {
    let answer = Answer<Result<DatagramSocket, SocketError>>(wakeAccount)
    contexts.perform(on: 0) { [self] cx in answer.complete(bind(address, peer, options, &cx), &cx) }
    return answer
  }

  private func bind(
    _ name: SocketAddress, _ peer: SocketAddress?, _ options: BindOptions, _ cx: inout SoftInterrupt
  ) -> Result<DatagramSocket, SocketError> {
    if let peer, peer.port == 0 || peer.address.isUnspecified { return .failure(.invalidAddress) }
    return choosePort(name, .udp, options, isListening: false).map { key in
      let datagram = DatagramRef.make(key, peer: peer, layer: self)
      bindings.claim(PortUse(owner: datagram.bound.owner, key: key, options: options, isListening: false))
      bindings.publish(datagram.bound, options, &cx)
      return DatagramSocket(
        datagram, localAddress: SocketAddress(name.address, port: key.port), layer: self)
    }
  }

  /// Takes a datagram socket out of the bindings. Any context or application thread. Whoever asks for the port
  /// after this gets it.
  func unbind(_ bound: BoundRef) {
    contexts.perform(on: 0) { [self] cx in retireName(bound, &cx) }
  }

  /// Control context.
  private func retireName(_ bound: BoundRef, _ cx: inout SoftInterrupt) {
    let key = unsafe bound.key.pointee
    bindings.disclaim(key, owner: bound.owner)
    bindings.withdraw(bound, &cx)
  }

  // MARK: Names

  /// Control context: a name that may be had now. What comes of it is claimed in the same step.
  private func choosePort(
    _ name: SocketAddress, _ protocol: IPProtocol, _ options: BindOptions, isListening: Bool,
    instead owner: UInt = 0, isNamed: Bool = false
  ) -> Result<BindingKey, SocketError> {
    if closing.load() != 0 { return .failure(.networkDown) }
    guard !name.address.isMulticast else { return .failure(.invalidAddress) }
    guard name.address.isUnspecified || internet.isOwn(name.address) else {
      return .failure(.addressNotAvailable)
    }
    let ignoresConnections = isNamed || `protocol` != .tcp || options.contains(.reuseAddress)
    func key(_ port: UInt16) -> BindingKey? {
      let key = BindingKey(name, port: port, protocol: `protocol`, options)
      let use = PortUse(owner: 0, key: key, options: options, isListening: isListening)
      guard bindings.mayClaim(use, instead: owner) else { return nil }
      return ignoresConnections || !hasConnections(key) ? key : nil
    }
    if name.port != 0 { return key(name.port).map { .success($0) } ?? .failure(.addressInUse) }
    let free = ports.firstOfAny { key($0) != nil }
    return free.flatMap { key($0) }.map { .success($0) } ?? .failure(.addressInUse)
  }

  /// Whether connections, in whatever state, have such a name. Takes time in proportion to all connections.
  private func hasConnections(_ key: BindingKey) -> Bool {
    for index in 0..<contexts.count {
      var isFound = false
      shard(index).forEach { connection in
        let flow = unsafe connection.shared.pointee.key
        isFound = isFound || flow.localPort == key.port && key.covers(flow.localAddress)
      }
      if isFound { return true }
    }
    return false
  }

  /// Control context: gives an unconnected socket a name. Of this and its end one comes first, and the other sees
  /// to it that the claim is given back. `answer`: what the socket is set to.
  func bindStream(
    _ connection: ConnectionRef, to name: SocketAddress, _ options: BindOptions, answer: StreamOptions,
    _ cx: inout SoftInterrupt
  ) -> Result<SocketAddress, SocketError> {
    choosePort(name, .tcp, options, isListening: false).flatMap { key in
      let use = PortUse(owner: connection.owner, key: key, options: options, isListening: false)
      bindings.claim(use)
      unsafe connection.shared.pointee.claim = use
      #if Explore
        if Mutation.claimOutlivesSocket.isOn {
          connection.set(.claimed)
          return .success(SocketAddress(name.address, port: key.port))
        }
      #endif
      if connection.set(.claimed).contains(.ended) {
        bindings.disclaim(key, owner: connection.owner)
        return .failure(.closed)
      }
      if answersForBound { bindings.setAnswer(answer, use, contexts.grace) }
      return .success(SocketAddress(name.address, port: key.port))
    }
  }

  /// A connection's claim on its port ends. Any context.
  func disclaim(_ connection: ConnectionRef) {
    connection.retain()
    contexts.perform(on: 0) { [self] _ in
      if let use = unsafe connection.shared.pointee.claim {
        bindings.disclaim(use.key, owner: use.owner)
        bindings.setAnswer(nil, use, contexts.grace)
      }
      connection.release()
    }
  }

  // MARK: Connections

  /// Begins a connection. The socket may still be connecting: wait at its ``StreamSocket/writePoint`` with
  /// need 0, then look at its failure. `local` names the address, or the port, to connect from; `encapsulationPort` the
  /// peer's port of UDP, as ``StreamOptions/encapsulationPort``: `.protocolNotSupported` without ``encapsulation``.
  public func connect(
    to remote: SocketAddress, from local: SocketAddress? = nil, limits: BufferLimits = BufferLimits(),
    encapsulationPort: UInt16 = 0
  ) -> Answer<Result<StreamSocket, SocketError>> {
    let answer = Answer<Result<StreamSocket, SocketError>>(wakeAccount)
    let isPortChosen = local.map { $0.port != 0 } ?? false
    // Whether a port may be had by its number only the control context knows.
    let context = isPortChosen ? 0 : nextContext()
    if configuration.entry == .drive, !isPortChosen,
      contexts.asBorrower(
        of: context,
        { cx in
          answer.complete(beginConnection(remote, local, limits, encapsulationPort, &cx), &cx)
        })
    {
      return answer
    }
    contexts.perform(on: context) { [self] cx in
      if isPortChosen, let local, !mayConnect(from: local) {
        return answer.complete(.failure(.addressInUse), &cx)
      }
      answer.complete(beginConnection(remote, local, limits, encapsulationPort, &cx), &cx)
    }
    return answer
  }

  /// Control context.
  private func mayConnect(from local: SocketAddress) -> Bool {
    let key = BindingKey(local, port: local.port, protocol: .tcp, [])
    return bindings.mayClaim(PortUse(owner: 0, key: key, options: [], isListening: false))
  }

  private func beginConnection(
    _ remote: SocketAddress, _ local: SocketAddress?, _ limits: BufferLimits, _ encapsulation: UInt16,
    _ cx: inout SoftInterrupt
  ) -> Result<StreamSocket, SocketError> {
    let sockets = SocketContextRef(cx)
    let now = cx.now
    let flow: Flow
    switch chooseFlow(to: remote, from: local, at: cx.index, encapsulation: encapsulation, sockets) {
    case .failure(let error): return .failure(error)
    case .success(let chosen): flow = chosen
    }
    let (iss, offset) = numbers(flow.key, now: now)
    let way = sockets.way(flow.key)
    let settings = configuration(
      for: flow.key, configuration.tcp, StreamShape(), limits: limits, mtu: way?.mtu)
    let made = sockets.make(flow.key, hash: flow.hash, limits: limits) {
      TCPConnection.active(iss: iss, timestampOffset: offset, configuration: settings, now: now)
    }
    guard let connection = made else { return .failure(.noBufferSpace) }
    unsafe connection.owned.pointee.isPortFixed = flow.isPortFixed
    // Its segments are as large as this one takes, which need not be looked for again.
    if let way {
      unsafe (connection.owned.pointee.route, connection.owned.pointee.offloads) = (way.route, way.offloads)
    }
    if encapsulation != 0 { connection.settleAuthentication() }
    connection.recallPath(&cx)
    connection.recallDestination(&cx)
    // The answer to its SYN is likely what comes next.
    if let hash = flow.hash { unsafe sockets.pointer.pointee.run.foresee(flow.key, hash) }
    connection.retain()  // the handle's
    let socket = StreamSocket(connection, layer: self)
    sockets.insert(connection, &cx)
    return .success(socket)
  }

  /// A 4-tuple to connect with, and whether its port was asked for.
  struct Flow {
    var key: FlowKey
    /// The keyed hash of `key`, if it was asked for already.
    var hash: UInt64?
    var isPortFixed: Bool
  }

  /// Route, source and port of a new connection: if there is one, a port that makes the context `home` the flow's,
  /// so that nothing of the connection is anywhere else. `encapsulation`: the peer's port of UDP, or 0.
  func chooseFlow(
    to remote: SocketAddress, from local: SocketAddress?, at home: Int, encapsulation port: UInt16,
    _ sockets: SocketContextRef
  ) -> Result<Flow, SocketError> {
    if closing.load() != 0 { return .failure(.networkDown) }
    if port != 0, encapsulation == nil { return .failure(.protocolNotSupported) }
    guard remote.port != 0, !remote.address.isMulticast, !remote.address.isUnspecified else {
      return .failure(.invalidAddress)
    }
    let hint = local.flatMap { $0.address.isUnspecified ? nil : $0.address }
    let route =
      remote.zone == 0
      ? sockets.route(to: remote.address, from: hint)
      : internet.route(to: remote.address, sourceHint: hint, zone: remote.zone)
    guard let route else {
      return .failure(hint == nil ? .networkUnreachable : .addressNotAvailable)
    }
    var key = FlowKey(
      localAddress: route.source, localPort: 0, remoteAddress: remote.address, remotePort: remote.port,
      encapsulation: port)
    let wanted = local?.port ?? 0
    guard
      let port = freePort(&key, wanted: wanted, home: home, sockets)
        ?? freePort(&key, wanted: wanted, home: nil, sockets)
    else { return .failure(.addressNotAvailable) }
    return .success(Flow(key: key, hash: port.hash, isPortFixed: port.isFixed))
  }

  /// What the engine of a connection that opens now begins with.
  func opening(
    _ key: FlowKey, _ wanted: TCPConfiguration, _ shape: StreamShape, _ limits: BufferLimits, mtu: Int?,
    now: Instant
  ) -> (iss: SequenceNumber, timestampOffset: UInt32, configuration: TCPConfiguration) {
    let (iss, offset) = numbers(key, now: now)
    return (iss, offset, configuration(for: key, wanted, shape, limits: limits, mtu: mtu))
  }

  /// A port whose 4-tuple nobody has now; whether it is still free is decided by the shard (PCB-UNIQ).
  func freePort(
    _ key: inout FlowKey, wanted: UInt16, home: Int?, _ sockets: SocketContextRef
  ) -> (port: UInt16, isFixed: Bool, hash: UInt64?)? {
    if wanted != 0 {
      key.localPort = wanted
      return (wanted, true, nil)
    }
    var flow = key
    var hash: UInt64 = 0
    let port = ports.first(for: key) { port in
      guard !bindings.isBound(port) else { return false }
      flow.localPort = port
      hash = flow.hash(hashKey)
      let itsHome = sockets.home(hash: hash)
      return (home ?? itsHome) == itsHome && sockets.shard(itsHome).find(hash: hash, flow) == nil
    }
    return port.map { port in
      key.localPort = port
      return (port, false, hash)
    }
  }

  // MARK: Sockets that are nothing yet

  /// A TCP socket that is not connected (SO-PCB), set to `options`, or as the layer is. `.noBufferSpace` at the limit
  /// of connections.
  public func makeStream(
    _ family: AddressFamily = .inet6, options: StreamOptions? = nil
  ) -> Answer<Result<UnconnectedStream, SocketError>> {
    let answer = Answer<Result<UnconnectedStream, SocketError>>(wakeAccount)
    contexts.perform(on: nextContext()) { [self] cx in
      answer.complete(unconnectedStream(family, options, &cx), &cx)
    }
    return answer
  }

  func unconnectedStream(
    _ family: AddressFamily, _ options: StreamOptions?, _ cx: inout SoftInterrupt
  ) -> Result<UnconnectedStream, SocketError> {
    if closing.load() != 0 { return .failure(.networkDown) }
    guard let connection = SocketContextRef(cx).makeUnconnected(options, &cx) else {
      return .failure(.noBufferSpace)
    }
    connection.retain()  // the handle's
    return .success(
      UnconnectedStream(connection, family: family, options: options ?? self.options(), layer: self))
  }
}

extension ConnectionRef {
  /// Its name in the claims on ports.
  var owner: UInt { unsafe UInt(bitPattern: gate.raw) }
}
