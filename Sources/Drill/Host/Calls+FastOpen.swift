// Connecting with text: MSG_FASTOPEN, TCP_FASTOPEN_CONNECT, and BSD's connect that is part of a send (RFC 7413).

import Sockets
import TCP
import Wire

extension DrillHost {
  /// Whether connecting sockets may open fast now.
  var opensFast: Bool { settings.transport.fastOpen.contains(.client) }

  /// A send with MSG_FASTOPEN, or the first one of a socket whose connect was put off.
  func sendFast(
    _ endpoint: Endpoint, _ bytes: [UInt8]?, to target: AddressArgument, isPushed: Bool, isZeroCopy: Bool,
    mayNotWait: Bool
  ) -> Step {
    let remote: SocketAddress
    if let deferred = endpoint.deferredTarget {
      remote = deferred
    } else {
      switch target {
      case .unspecified: return .fail(.EOPNOTSUPP)
      case .null:
        guard opensFast else { return .fail(.EOPNOTSUPP) }
        return endpoint.stream == nil ? .fail(.EINVAL) : refusal(endpoint)
      case .inet(let address): remote = address
      }
      guard opensFast else { return .fail(.EOPNOTSUPP) }
    }
    guard case .fresh(let fresh) = endpoint.phase else {
      // The connection is there since somebody looked last: the flag means nothing any more.
      if endpoint.progress == .connecting, connectOutcome(endpoint)?.value == 0 {
        return sendStream(
          endpoint, bytes, isPushed: isPushed, isZeroCopy: isZeroCopy, mayNotWait: mayNotWait)
      }
      return refusal(endpoint)
    }
    if endpoint.isIPv4, !remote.address.isIPv4 { return .fail(.EAFNOSUPPORT) }
    if let errno = refusal(remote) { return .fail(errno) }
    guard let bytes else { return .fail(.EFAULT) }
    switch openFast(endpoint, fresh, to: remote, sending: bytes) {
    case .failure(let errno): return .fail(errno)
    case .success(let taken):
      if taken > 0, isZeroCopy { endpoint.copies.add(endingAt: endpoint.written) }
      if mayNotWait { return taken > 0 ? .success(Int64(taken)) : .fail(.EINPROGRESS) }
      let ahead = writeAhead(endpoint, bytes[taken...])
      return goOn(endpoint, bytes, after: taken + ahead, isPushed: isPushed)
    }
  }

  private func refusal(_ endpoint: Endpoint) -> Step {
    switch endpoint.progress {
    case .connecting: .fail(.EALREADY)
    case .connected, .unconnected: .fail(.EISCONN)
    }
  }

  /// Begins to connect, with as much of `bytes` as goes with the SYN; how many.
  func openFast(
    _ endpoint: Endpoint, _ fresh: UnconnectedStream, to remote: SocketAddress, sending bytes: [UInt8]
  ) -> Result<Int, Errno> {
    var options = endpoint.streamOptions
    options.tcp.fastOpen.formUnion(settings.transport.fastOpen)
    fresh.setOptions(options)
    let outcome = unsafe bytes.withUnsafeBytes { unsafe fresh.connect(to: remote, sending: $0) }
    switch outcome {
    case .failure(let error): return .failure(Errno(error))
    case .success(let opening):
      endpoint.deferredTarget = nil
      endpoint.become(.stream(opening.socket))
      endpoint.progress = .connecting
      endpoint.written = UInt64(opening.bytes)
      endpoint.copies = ZeroCopies()
      if endpoint.options.abortsOnClose { opening.socket.setAbortOnClose(true) }
      settle()
      if let failure = opening.socket.failure,
        failure == .networkUnreachable || failure == .addressNotAvailable
      {
        endpoint.pendingError = nil
        makeFresh(endpoint)
        return .failure(Errno(failure))
      }
      return .success(opening.bytes)
    }
  }

  /// Waits for the connection, and sends the rest.
  private func goOn(_ endpoint: Endpoint, _ bytes: [UInt8], after taken: Int, isPushed: Bool) -> Step {
    var rest: WaitingCall?
    func sum(_ result: CallResult) -> CallResult {
      var result = result
      result.value = result.errno == nil ? result.value + Int64(taken) : Int64(taken)
      if taken > 0 { result.errno = nil }
      if taken == 0, result.errno != nil { result.value = -1 }
      return result
    }
    return attempt(
      isNonblocking: false, until: deadline(endpoint.options.sendTimeout), failing: .EINPROGRESS
    ) { [unowned self] in
      if let rest { return rest.attempt().map(sum) }
      guard let connected = connectOutcome(endpoint) else { return nil }
      if connected.errno != nil { return connected }
      if taken == bytes.count { return CallResult(Int64(taken)) }
      switch sendStream(endpoint, Array(bytes[taken...]), isPushed: isPushed, mayNotWait: false) {
      case .done(let result): return sum(result)
      case .unsupported: return CallResult(Int64(taken))
      case .wait(let call):
        rest = call
        return nil
      }
    }
  }
}
