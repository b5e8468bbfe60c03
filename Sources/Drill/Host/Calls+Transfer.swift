// Reading and writing.

import Sockets
import TCP
import Wire

/// What a receiving call gives back beside bytes.
enum ReceiveExtras {
  case none
  case address
  case message(controlSpace: Int)
}

extension DrillHost {
  func read(_ descriptor: Int32, _ spaces: [IncomingSpace]) -> Step {
    switch descriptors[descriptor] {
    case nil: return .fail(.EBADF)
    case .stream(let endpoint): return receive(endpoint, spaces, 0, .none)
    case .datagram, .epoll: return .fail(.EINVAL)
    case .file(let file):
      var result = CallResult(0)
      result.bytes = file.read(spaces.reduce(0) { $0 + $1.count }, at: nil)
      result.value = Int64(result.bytes.count)
      return .done(result)
    case .pipe(let end):
      guard !end.isWriter else { return .fail(.EBADF) }
      let limit = spaces.reduce(0) { $0 + $1.count }
      return attempt(isNonblocking: end.isNonblocking, until: nil) {
        if end.pipe.bytes.isEmpty, !end.isAlone, limit > 0 { return nil }
        var result = CallResult(0)
        result.bytes = end.take(limit)
        result.value = Int64(result.bytes.count)
        return result
      }
    }
  }

  // MARK: Receiving

  func receive(
    _ endpoint: Endpoint, _ spaces: [IncomingSpace], _ rawFlags: Int32, _ extras: ReceiveExtras
  ) -> Step {
    let flags = MessageFlags(rawValue: rawFlags)
    if flags.contains(.outOfBand) { return .unsupported("urgent data") }
    guard spaces.allSatisfy({ $0.count >= 0 }) else { return .fail(.EINVAL) }
    if flags.contains(.errorQueue) {
      return receiveError(endpoint, extras, room: spaces.reduce(0) { $0 + $1.count })
    }
    if endpoint.listener != nil { return .fail(.ENOTCONN) }
    let wanted = spaces.reduce(0) { $0 + $1.count }
    let target = max(
      1, flags.contains(.waitAll) ? wanted : min(Int(endpoint.options.receiveLowWater), wanted))
    let mayNotWait = endpoint.isNonblocking || flags.contains(.dontWait)
    let isBad = spaces.contains { if case .null(let count) = $0 { count > 0 } else { false } }
    var collected: [UInt8] = []

    func end() -> CallResult {
      var result = CallResult(Int64(collected.count))
      // MSG_TRUNC throws the bytes away, and counts them.
      if !flags.contains(.truncate) { result.bytes = collected }
      describe(endpoint, extras, &result)
      return result
    }
    /// Nil: it waits.
    func look() -> CallResult? {
      if endpoint.available > 0, wanted > 0 || isBad {
        if isBad { return CallResult(.EFAULT) }
        if flags.contains(.peek) { collected = [] }
        collected += take(endpoint, wanted - collected.count, isPeek: flags.contains(.peek))
      }
      if collected.count >= target || wanted == 0 && endpoint.available > 0 { return end() }
      let isOver = endpoint.isInputOver || endpoint.state == .closed
      if !collected.isEmpty {
        return mayNotWait || isOver || endpoint.pendingError != nil ? end() : nil
      }
      // The peer's FIN comes before an error that followed it (Linux).
      if isLinux, endpoint.condition?.isAtEnd ?? false { return end() }
      if let error = endpoint.takeError() { return CallResult(error) }
      if endpoint.isInputOver { return end() }
      if endpoint.stream == nil, endpoint.deferredTarget == nil { return CallResult(.ENOTCONN) }
      return mayNotWait ? CallResult(.EAGAIN) : nil
    }
    if let result = look() { return .done(result) }
    let timeout = deadline(endpoint.options.receiveTimeout)
    return .wait(
      WaitingCall(until: timeout, expired: { collected.isEmpty ? CallResult(.EAGAIN) : end() }, look))
  }

  private func take(_ endpoint: Endpoint, _ limit: Int, isPeek: Bool) -> [UInt8] {
    guard let stream = endpoint.stream else { return [] }
    var buffer = [UInt8](repeating: 0, count: min(limit, endpoint.available))
    let count = unsafe buffer.withUnsafeMutableBytes { memory in
      if isPeek { return unsafe stream.peek(into: memory) }
      switch unsafe stream.tryRead(into: memory) {
      case .bytes(let count): return count
      case .endOfStream, .wouldBlock, .failed: return 0
      }
    }
    return Array(buffer.prefix(count))
  }

  private func describe(_ endpoint: Endpoint, _ extras: ReceiveExtras, _ result: inout CallResult) {
    switch extras {
    case .none, .address: break  // a stream gives no address
    case .message(let room):
      guard endpoint.options.tellsQueue else { return }
      // A header of 16 bytes, and the number in 4, padded.
      guard room >= 20 else {
        result.messageFlags |= MessageFlags.controlTruncated.rawValue
        return
      }
      // Linux counts the peer's FIN for one, so that who reads on learns of it.
      var queued = Int32(clamping: endpoint.available)
      if queued == 0, endpoint.condition?.isAtEnd ?? false { queued = 1 }
      result.control.append(ControlMessage(level: 6, type: 36, value: .integer(queued)))
    }
  }

  /// MSG_ERRQUEUE: the oldest entry, or EAGAIN. A time stamp comes with its packet, which is cut to nothing.
  private func receiveError(_ endpoint: Endpoint, _ extras: ReceiveExtras, room: Int) -> Step {
    guard let (error, time) = endpoint.errors.first else { return .fail(.EAGAIN) }
    let isStamp = error.origin == 4
    let hasPacket = isStamp && !endpoint.stamps.flags.contains(.alone)
    if hasPacket, room > 0 { return .unsupported("the packet of a time stamp") }
    endpoint.errors.removeFirst()
    var result = CallResult(0)
    result.messageFlags = MessageFlags.errorQueue.rawValue
    if hasPacket { result.messageFlags |= MessageFlags.truncate.rawValue }
    guard case .message(var space) = extras else { return .done(result) }
    // Each has a header of 16 bytes: three times of 16, and the error in 16, which an address follows.
    func tell(_ message: ControlMessage, bytes: Int) {
      guard space >= 16 + bytes else {
        result.messageFlags |= MessageFlags.controlTruncated.rawValue
        return
      }
      space -= 16 + bytes
      result.control.append(message)
    }
    if let time {
      let stamp = Int64(clamping: time.nanoseconds)
      tell(ControlMessage(level: 1, type: 37, value: .times([stamp, 0, 0])), bytes: 48)
    }
    tell(
      endpoint.isIPv4
        ? ControlMessage(level: 0, type: 11, value: .error(error))
        : ControlMessage(level: 41, type: 25, value: .error(error)), bytes: 16)
    return .done(result)
  }

  // MARK: Sending

  func write(_ descriptor: Int32, _ pieces: [OutgoingBytes]) -> Step {
    switch descriptors[descriptor] {
    case nil: return .fail(.EBADF)
    case .stream(let endpoint): return send(endpoint, pieces, 0, to: .null)
    case .datagram, .epoll: return .fail(.EINVAL)
    case .file: return .fail(.EBADF)  // it was opened for reading
    case .pipe(let end):
      guard end.isWriter else { return .fail(.EBADF) }
      guard let bytes = flatten(pieces) else { return .fail(.EFAULT) }
      var rest = bytes[...]
      return attempt(isNonblocking: end.isNonblocking, until: nil) {
        if end.isAlone { return CallResult(.EPIPE) }
        rest = rest.dropFirst(end.put(rest))
        let isPart = end.isNonblocking && rest.count < bytes.count
        return rest.isEmpty || isPart ? CallResult(Int64(bytes.count - rest.count)) : nil
      }
    }
  }

  /// All of it in one; nil: a null pointer is said to have some.
  func flatten(_ pieces: [OutgoingBytes]) -> [UInt8]? {
    var bytes: [UInt8] = []
    for piece in pieces {
      switch piece {
      case .bytes(let some): bytes += some
      case .zeros(let count): bytes += [UInt8](repeating: 0, count: max(0, count))
      case .null(let count): if count != 0 { return nil }
      }
    }
    return bytes
  }

  func send(
    _ endpoint: Endpoint, _ pieces: [OutgoingBytes], _ rawFlags: Int32, to target: AddressArgument
  ) -> Step {
    let flags = MessageFlags(rawValue: rawFlags)
    if !isLinux, case .inet(let remote) = target, case .fresh(let fresh) = endpoint.phase,
      endpoint.options.fastOpenQueue != nil
    {
      return connectAndSend(endpoint, fresh, to: remote, pieces)
    }
    if !isLinux, case .inet = target {
      // An address is for who is not connected, and TCP needs a connection first.
      return .fail(endpoint.stream == nil ? .ENOTCONN : .EISCONN)
    }
    let bytes = flatten(pieces)
    let asksCopies = flags.contains(.zeroCopy) && endpoint.options.zeroCopy
    let mayNotWait = endpoint.isNonblocking || flags.contains(.dontWait)
    if flags.contains(.fastOpen) || endpoint.deferredTarget != nil {
      return sendFast(
        endpoint, bytes, to: target, isPushed: !flags.contains(.more), isZeroCopy: asksCopies,
        mayNotWait: mayNotWait)
    }
    return sendStream(
      endpoint, bytes, isPushed: !flags.contains(.more), isUrgent: flags.contains(.outOfBand),
      isZeroCopy: asksCopies, cuts: cuts(endpoint, pieces, flags), mayNotWait: mayNotWait)
  }

  /// Where no segment goes on, in bytes from the beginning: at the end of a record (MSG_EOR), and behind every
  /// seventeenth piece of memory that is sent from where it lies: a packet refers to no more. Linux's; BSD's TCP has no
  /// records.
  private func cuts(_ endpoint: Endpoint, _ pieces: [OutgoingBytes], _ flags: MessageFlags) -> [Int] {
    guard isLinux else { return [] }
    var cuts: [Int] = []
    var end = 0
    for (index, piece) in pieces.enumerated() {
      end += piece.count
      let isFull = flags.contains(.zeroCopy) && endpoint.options.zeroCopy && (index + 1) % 17 == 0
      if isFull || flags.contains(.endOfRecord) && index == pieces.count - 1 { cuts.append(end) }
    }
    return cuts
  }

  /// BSD: a send with an address connects, and everything is sent as soon as may be: with the SYN, or behind it.
  private func connectAndSend(
    _ endpoint: Endpoint, _ fresh: UnconnectedStream, to remote: SocketAddress, _ pieces: [OutgoingBytes]
  ) -> Step {
    if endpoint.isIPv4, !remote.address.isIPv4 { return .fail(.EAFNOSUPPORT) }
    if let errno = refusal(remote) { return .fail(errno) }
    guard let bytes = flatten(pieces) else { return .fail(.EFAULT) }
    switch openFast(endpoint, fresh, to: remote, sending: bytes) {
    case .failure(let errno): return .fail(errno)
    case .success(let taken):
      return .success(Int64(taken + writeAhead(endpoint, bytes[taken...])))
    }
  }

  /// How many of so many bytes there is room for, and where they end large segments.
  private func admitted(_ endpoint: Endpoint, _ stream: StreamSocket, _ wanted: Int) -> SendMemory.Admission {
    guard isLinux else { return SendMemory.Admission(bytes: wanted) }
    let condition = stream.condition
    return endpoint.sendMemory.admits(
      wanted, stream.informationAtRest, queued: condition.unacknowledged, unsent: condition.unsent,
      unsentLimit: Int(endpoint.options.unsentLimit(endpoint.settings)), written: endpoint.written)
  }

  /// What is written to a socket that is still connecting; how many bytes.
  func writeAhead(_ endpoint: Endpoint, _ bytes: ArraySlice<UInt8>) -> Int {
    guard let stream = endpoint.stream, !stream.isConnected, !bytes.isEmpty else { return 0 }
    let count = admitted(endpoint, stream, bytes.count).bytes
    let outcome = unsafe bytes.prefix(count).withUnsafeBytes { unsafe stream.tryWriteAhead($0) }
    guard case .bytes(let taken) = outcome else { return 0 }
    endpoint.written += UInt64(taken)
    return taken
  }

  /// `bytes`: nil for a bad pointer. `whenDone` is told how many bytes were taken, once, if any were.
  func sendStream(
    _ endpoint: Endpoint, _ bytes: [UInt8]?, isPushed: Bool, isUrgent: Bool = false, isZeroCopy: Bool = false,
    cuts: [Int] = [], mayNotWait: Bool,
    whenDone: @escaping (Int) -> Void = { _ in }
  ) -> Step {
    let wanted = bytes?.count ?? 1
    var sent = 0
    var ahead = 0
    var isWaiting = false
    func finish() -> CallResult {
      if isZeroCopy, sent > 0 { endpoint.copies.add(endingAt: endpoint.written) }
      if sent > 0 { endpoint.stamps.add(endingAt: endpoint.written) }
      whenDone(sent)
      return CallResult(Int64(sent))
    }
    func failure() -> CallResult {
      if sent > 0 { return finish() }
      if let error = endpoint.takeError() { return CallResult(error) }
      return CallResult(isLinux || endpoint.stream != nil ? .EPIPE : .ENOTCONN)
    }
    /// Nil: it waits.
    func look() -> CallResult? {
      guard let stream = endpoint.stream else { return failure() }
      if endpoint.pendingError != nil || endpoint.isOutputOver { return failure() }
      guard stream.isConnected else {
        if mayNotWait { return CallResult(.EAGAIN) }
        // What waits to be written goes with the ACK of the handshake.
        if ahead == 0, let bytes { ahead = writeAhead(endpoint, bytes[...]) }
        return nil
      }
      sent += ahead
      ahead = 0
      guard let bytes else { return CallResult(.EFAULT) }
      // Who waits is woken when there is room worth waking for.
      if isWaiting, !endpoint.isWorthWriting { return nil }
      if sent == wanted { return finish() }
      let begun = sent
      let admission = admitted(endpoint, stream, wanted - sent)
      let most = sent + admission.bytes
      while sent < most {
        // What is cut short is not kept from leaving by what does not fit.
        let isPushed = most < wanted || isPushed
        let cut = cuts.first { $0 > sent && $0 <= most }
        let piece = admission.pieces.first { begun + $0.end > sent }
        let end = min(cut ?? most, piece.map { begun + $0.end } ?? most)
        let pieceEdge = piece.map { begun + $0.end == end ? $0.edge : .none } ?? .none
        let edge: TCPTextEdge = cut == end ? .record : pieceEdge
        let outcome = unsafe bytes[sent..<end].withUnsafeBytes {
          unsafe stream.tryWrite(
            $0, isPushed: isPushed && end == most, isUrgent: isUrgent && end == wanted, edge: edge)
        }
        switch outcome {
        case .bytes(let count):
          sent += count
          endpoint.written += UInt64(count)
          continue
        case .failed(let error): return sent > 0 ? finish() : CallResult(Errno(error))
        case .wouldBlock: break
        }
        break
      }
      if most < wanted || isPushed { endpoint.sendMemory.pushed(endingAt: endpoint.written) }
      if sent == wanted { return finish() }
      endpoint.wantsSpace = true
      if isLinux { stream.setWriterWaits(true) }
      isWaiting = true
      return mayNotWait ? (sent > 0 ? finish() : CallResult(.EAGAIN)) : nil
    }
    if let result = look() { return .done(result) }
    let timeout = deadline(endpoint.options.sendTimeout)
    return .wait(
      WaitingCall(until: timeout, expired: { sent > 0 ? finish() : CallResult(.EAGAIN) }, look))
  }
}
