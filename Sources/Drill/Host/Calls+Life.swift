// socket, bind, listen, accept, connect, shutdown, close, and names.

import Sockets
import TCP
import Wire

extension DrillHost {
  // MARK: socket

  func socket(_ domain: Int32, _ type: Int32, _ number: Int32) -> Step {
    let flags = type & (0x800 | 0x80000)
    guard domain == 2 || domain == 10 else { return .fail(.EAFNOSUPPORT) }
    switch type & ~flags {
    case 1:
      if number == 262 { return .unsupported("MPTCP") }
      if number == 132 { return .unsupported("SCTP") }
      // UDP is known, but not for streams.
      guard number == 0 || number == 6 else { return .fail(isLinux ? .EPROTONOSUPPORT : .EPROTOTYPE) }
    case 2:
      if number == 136 { return .unsupported("UDP-Lite") }
      guard number == 0 || number == 17 else { return .fail(isLinux ? .EPROTONOSUPPORT : .EPROTOTYPE) }
      let endpoint = DatagramEndpoint(isIPv4: domain == 2)
      endpoint.isNonblocking = flags & 0x800 != 0
      return opened(.datagram(endpoint))
    case 3: return .unsupported("raw sockets")
    case 4...5: return .fail(.ESOCKTNOSUPPORT)
    default: return .fail(.EINVAL)
    }
    let options = EndpointOptions(settings)
    let endpoint = Endpoint(isIPv4: domain == 2, settings, options, .gone)
    guard let fresh = makeStream(endpoint) else { return .fail(.ENOBUFS) }
    endpoint.become(.fresh(fresh))
    endpoint.wasAnswered = { [unowned self] in roundBuffers($0) }
    endpoint.isNonblocking = flags & 0x800 != 0
    return opened(.stream(endpoint))
  }

  private func makeStream(_ endpoint: Endpoint) -> UnconnectedStream? {
    let family: AddressFamily = endpoint.isIPv4 ? .inet : .inet6
    // Any refusal is the same to a script: there is no socket.
    return try? wait(sockets.makeStream(family, options: endpoint.streamOptions))?.get()
  }

  /// The socket is what it was before it was connected, or began to listen: with its name, if bind gave it one.
  func makeFresh(_ endpoint: Endpoint) {
    guard let fresh = makeStream(endpoint) else { return endpoint.become(.gone) }
    endpoint.progress = .unconnected
    endpoint.deferredTarget = nil
    endpoint.isReceiveShutdown = false
    endpoint.isSendShutdown = false
    endpoint.become(.fresh(fresh))
    if let name = endpoint.name, wait(fresh.bind(to: name, options: bindOptions(endpoint))) == nil {
      endpoint.name = nil
    }
  }

  private func bindOptions(_ endpoint: Endpoint) -> BindOptions {
    var options: BindOptions = []
    if endpoint.options.reuseAddress { options.insert(.reuseAddress) }
    if endpoint.options.reusePort { options.insert(.reusePort) }
    if endpoint.options.isIPv6Only { options.insert(.isIPv6Only) }
    return options
  }

  /// BSD makes buffers a whole number of segments once it knows how large those are.
  private func roundBuffers(_ endpoint: Endpoint) {
    guard endpoint.settings.personality == .bsd, let stream = endpoint.stream,
      let info = wait(stream.info()), let tcp = info?.tcp
    else { return }
    // What the peer takes, options included.
    let segment = tcp.sendSegment + (tcp.timestamps ? 12 : 0)
    guard segment > 0 else { return }
    func whole(_ bytes: Int, _ most: Int) -> Int32 {
      Int32(clamping: max(bytes, min((bytes + segment - 1) / segment * segment, most)))
    }
    endpoint.options.receiveBuffer = whole(
      receiveBuffer(endpoint), endpoint.settings.largestReceiveBuffer)
    endpoint.options.sendBuffer = whole(sendBuffer(endpoint), endpoint.settings.largestSendBuffer)
    stream.setOptions(endpoint.streamOptions)
  }

  // MARK: bind

  func bind(_ endpoint: Endpoint, _ argument: AddressArgument) -> Step {
    let address: SocketAddress
    switch argument {
    case .null: return .fail(.EFAULT)
    case .unspecified:
      // Linux takes AF_UNSPEC for AF_INET if all of the address is zero, which it is.
      guard isLinux, endpoint.isIPv4 else { return .fail(.EAFNOSUPPORT) }
      address = SocketAddress(.anyIPv4, port: 0)
    case .inet(let given): address = given
    }
    if endpoint.isIPv4, !address.address.isIPv4 { return .fail(.EAFNOSUPPORT) }
    guard case .fresh(let fresh) = endpoint.phase, endpoint.name == nil else { return .fail(.EINVAL) }
    if address.address.isMulticast || address.address.isLimitedBroadcast { return .fail(.EADDRNOTAVAIL) }
    switch wait(fresh.bind(to: address, options: bindOptions(endpoint))) {
    case .success(let name):
      endpoint.name = name
      return .success()
    case .failure(let error): return .fail(Errno(error))
    case nil: return .fail(.EIO)
    }
  }

  // MARK: listen

  func listen(_ endpoint: Endpoint, _ backlog: Int32) -> Step {
    // One more than the backlog may wait, in every kernel that there was.
    let limit = Int(min(UInt32(bitPattern: backlog), 4096)) + 1
    switch endpoint.phase {
    case .listening(let listener):
      listener.setBacklog(limit)
      endpoint.backlog = limit - 1
      return .success()
    case .stream, .gone: return .fail(.EINVAL)
    case .fresh(let fresh):
      var options = endpoint.streamOptions
      options.tcp.fastOpen.formUnion(settings.transport.fastOpen)
      switch wait(fresh.listen(backlog: limit, options: options)) {
      case .success(let listener):
        endpoint.become(.listening(listener))
        if let limit = endpoint.options.fastOpenQueue { listener.setFastOpen(limit: Int(limit)) }
        endpoint.backlog = limit - 1
        return .success()
      case .failure(let error): return .fail(Errno(error))
      case nil: return .fail(.EIO)
      }
    }
  }

  // MARK: accept

  func accept(_ endpoint: Endpoint, _ flags: Int32) -> Step {
    guard flags & ~(0x800 | 0x80000) == 0 else { return .fail(.EINVAL) }
    guard endpoint.listener != nil else { return .fail(.EINVAL) }
    return attempt(
      isNonblocking: endpoint.isNonblocking, until: deadline(endpoint.options.receiveTimeout)
    ) { [unowned self] in
      // It may have been shut down meanwhile.
      guard let listener = endpoint.listener else { return CallResult(.EINVAL) }
      guard case .success(let stream) = listener.tryAccept() else { return nil }
      let options = endpoint.options
      let child = Endpoint(isIPv4: endpoint.isIPv4, endpoint.settings, options, .stream(stream))
      child.progress = .connected
      // BSD's children have their listener's flags.
      child.isNonblocking = flags & 0x800 != 0 || !isLinux && endpoint.isNonblocking
      if options.abortsOnClose { stream.setAbortOnClose(true) }
      if let failure = stream.failure { child.pendingError = Errno(failure) }
      roundBuffers(child)
      if let buffer = options.sendBuffer { child.sendMemory.lock(Int(buffer)) }
      child.growSendMemory()
      guard let number = descriptors.open(.stream(child)) else { return CallResult(.EMFILE) }
      var result = CallResult(Int64(number))
      result.address = stream.remoteAddress
      return result
    }
  }

  // MARK: connect

  func connect(_ endpoint: Endpoint, _ argument: AddressArgument) -> Step {
    let remote: SocketAddress
    switch argument {
    case .null: return .fail(.EFAULT)
    case .unspecified: return disconnect(endpoint)
    case .inet(let address): remote = address
    }
    switch endpoint.phase {
    case .gone: return .fail(.EINVAL)
    case .listening: return .fail(isLinux ? .EISCONN : .EOPNOTSUPP)
    case .stream:
      switch endpoint.progress {
      case .connected, .unconnected: return .fail(.EISCONN)
      case .connecting: return finishConnecting(endpoint, failing: .EALREADY)
      }
    case .fresh(let fresh):
      if endpoint.isIPv4, !remote.address.isIPv4 { return .fail(.EAFNOSUPPORT) }
      if let errno = refusal(remote) { return .fail(errno) }
      if endpoint.deferredTarget != nil { return .fail(.EISCONN) }
      if endpoint.options.opensFast {
        // With a cookie nothing leaves before there is text to go with it; without one the SYN goes at once and asks for it.
        if knowsFastOpen(endpoint, fresh, remote) {
          endpoint.deferredTarget = remote
          endpoint.progress = .connecting
          return .success()
        }
        switch openFast(endpoint, fresh, to: remote, sending: []) {
        case .failure(let errno): return .fail(errno)
        case .success: return finishConnecting(endpoint, failing: .EINPROGRESS)
        }
      }
      // An unspecified address is this host itself.
      let target = remote.address.isUnspecified ? IPAddress("127.0.0.1")! : remote.address
      switch fresh.connect(to: SocketAddress(target, port: remote.port, zone: remote.zone)) {
      case .failure(let error): return .fail(Errno(error))
      case .success(let stream):
        endpoint.become(.stream(stream))
        endpoint.progress = .connecting
        endpoint.written = 0
        endpoint.copies = ZeroCopies()
        if endpoint.options.abortsOnClose { stream.setAbortOnClose(true) }
        settle()
        // What is known at once is no failure of the connection: there is none.
        if let failure = stream.failure, failure == .networkUnreachable || failure == .addressNotAvailable {
          endpoint.pendingError = nil
          makeFresh(endpoint)
          return .fail(Errno(failure))
        }
        return finishConnecting(endpoint, failing: .EINPROGRESS)
      }
    }
  }

  func refusal(_ remote: SocketAddress) -> Errno? {
    if remote.address.isMulticast || remote.address.isLimitedBroadcast {
      return isLinux ? .ENETUNREACH : .EACCES
    }
    // The stack has no connection without a port: Linux's SYN would be refused by the peer.
    if remote.port == 0 { return isLinux ? .ECONNREFUSED : .EADDRNOTAVAIL }
    return nil
  }

  private func knowsFastOpen(
    _ endpoint: Endpoint, _ fresh: UnconnectedStream, _ remote: SocketAddress
  ) -> Bool {
    guard opensFast else { return false }
    var options = endpoint.streamOptions
    options.tcp.fastOpen.formUnion(settings.transport.fastOpen)
    fresh.setOptions(options)
    return fresh.knowsFastOpen(remote.address)
  }

  private func finishConnecting(_ endpoint: Endpoint, failing errno: Errno) -> Step {
    attempt(
      isNonblocking: endpoint.isNonblocking, until: deadline(endpoint.options.sendTimeout), failing: errno
    ) { [unowned self] in connectOutcome(endpoint) }
  }

  /// What became of a connection that is being made; nil: it is not known yet.
  func connectOutcome(_ endpoint: Endpoint) -> CallResult? {
    guard let stream = endpoint.stream else { return CallResult(.ECONNABORTED) }
    let condition = stream.condition
    if condition.isConnected, endpoint.state != .closed {
      endpoint.progress = .connected
      return CallResult(0)
    }
    guard condition.hasEnded || condition.failure != nil || condition.isConnected else { return nil }
    let error = endpoint.takeError() ?? condition.failure.map { Errno($0) } ?? .ECONNABORTED
    stream.close()
    makeFresh(endpoint)
    return CallResult(error)
  }

  /// connect with AF_UNSPEC: what was connected is reset, and the socket is as new.
  private func disconnect(_ endpoint: Endpoint) -> Step {
    switch endpoint.phase {
    case .fresh, .gone: break
    case .listening(let listener):
      listener.close()
      settle()
      makeFresh(endpoint)
    case .stream(let stream):
      let wasOpening = endpoint.state == .synSent
      stream.abort()
      settle()
      makeFresh(endpoint)
      // Linux: who waits for the connection is told; everybody else sees an error that is no news.
      endpoint.pendingError = wasOpening ? .ECONNRESET : nil
    }
    return .success()
  }

  // MARK: shutdown and close

  func shutdown(_ endpoint: Endpoint, _ how: Int32) -> Step {
    guard (0...2).contains(how) else { return .fail(.EINVAL) }
    let (endsReceiving, endsSending) = (how != 1, how != 0)
    switch endpoint.phase {
    case .fresh, .gone: return .fail(.ENOTCONN)
    case .listening(let listener):
      guard isLinux else { return .fail(.ENOTCONN) }
      if endsReceiving {
        listener.close()
        settle()
        makeFresh(endpoint)
      }
      return .success()
    case .stream(let stream):
      switch endpoint.state {
      case .closed: return .fail(.ENOTCONN)
      case .synSent where isLinux: return disconnect(endpoint)
      case .synSent, .listen, .synReceived, .established, .finWait1, .finWait2, .closeWait, .closing,
        .lastAck, .timeWait:
        break
      }
      if endsReceiving {
        endpoint.isReceiveShutdown = true
        // BSD throws away what waits and what comes. Linux lets it be read.
        if !isLinux { stream.shutdownReceive() }
      }
      if endsSending, !endpoint.isSendShutdown {
        endpoint.isSendShutdown = true
        stream.shutdownSend()
      }
      settle()
      endpoint.notify(0)
      return .success()
    }
  }

  func closeCall(_ descriptor: Int32) -> Step {
    guard let file = descriptors[descriptor] else { return .fail(.EBADF) }
    guard case .stream(let endpoint) = file, let stream = endpoint.stream,
      let linger = endpoint.options.linger, linger != 0, endpoint.options.lingerSeconds > 0
    else {
      close(descriptor)
      return .success()
    }
    close(descriptor)
    // Closed, and the caller waits for the peer's word (SO_LINGER), whatever O_NONBLOCK says; it is success in any
    // case.
    let end = now.adding(milliseconds: Int64(endpoint.options.lingerSeconds) * 1000)
    return .wait(
      WaitingCall(until: end, expired: { CallResult(0) }) {
        let condition = stream.condition
        return condition.isDelivered || condition.hasEnded ? CallResult(0) : nil
      })
  }

  /// The descriptor is free; what it referred to ends.
  func close(_ descriptor: Int32) {
    guard let file = descriptors.close(descriptor) else { return }
    file.pollable?.unwatch()
    switch file {
    case .stream(let endpoint):
      switch endpoint.phase {
      case .fresh(let fresh): fresh.close()
      case .listening(let listener): listener.close()
      case .stream(let stream):
        if endpoint.options.abortsOnClose { stream.setAbortOnClose(true) }
        stream.close()
      case .gone: break
      }
      endpoint.become(.gone)
      // The keys that this listener had are gone with it.
      if endpoint.options.fastOpenKeys != nil { setFastOpenKeys() }
    case .datagram(let endpoint):
      endpoint.socket?.close()
      endpoint.become(nil)
    case .epoll(let instance): instance.removeAll()
    case .pipe(let end):
      if end.isWriter { end.pipe.writer = nil } else { end.pipe.reader = nil }
      end.pipe.writer?.notify(PollBits.error)
      end.pipe.reader?.notify(PollBits.hangUp)
    case .file: break
    }
  }

  // MARK: Names

  func localName(_ endpoint: Endpoint) -> Step {
    var result = CallResult(0)
    switch endpoint.phase {
    case .stream(let stream): result.address = stream.localAddress
    case .listening(let listener): result.address = listener.address
    case .fresh, .gone:
      result.address = endpoint.name ?? SocketAddress(endpoint.isIPv4 ? .anyIPv4 : .anyIPv6, port: 0)
    }
    return .done(result)
  }

  func peerName(_ endpoint: Endpoint) -> Step {
    guard let stream = endpoint.stream else { return .fail(.ENOTCONN) }
    switch endpoint.state {
    case .closed, .synSent, .listen, .timeWait: return .fail(.ENOTCONN)
    case .synReceived, .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck:
      var result = CallResult(0)
      result.address = stream.remoteAddress
      return .done(result)
    }
  }
}
