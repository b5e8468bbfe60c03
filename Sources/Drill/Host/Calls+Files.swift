// Files, pipes, what moves bytes between descriptors, fcntl and ioctl.

import Sockets

extension DrillHost {
  // MARK: Files and pipes

  func open(_ path: String, _ flags: Int32) -> Step {
    guard flags & 3 == 0 else { return .fail(.EACCES) }  // files are for reading
    guard let bytes = files[path] else { return .fail(.ENOENT) }
    return opened(.file(OpenedFile(bytes)))
  }

  func pipe() -> Step {
    let (reader, writer) = PipeEnd.pair()
    guard let first = descriptors.open(.pipe(reader)) else { return .fail(.EMFILE) }
    guard let second = descriptors.open(.pipe(writer)) else {
      close(first)
      return .fail(.EMFILE)
    }
    var result = CallResult(0)
    result.descriptors = [first, second]
    return .done(result)
  }

  func splice(_ source: Int32, _ target: Int32, _ count: Int, _ flags: UInt32) -> Step {
    guard let from = descriptors[source], let to = descriptors[target] else { return .fail(.EBADF) }
    guard count > 0 else { return .success() }
    let mayNotWait = flags & 2 != 0
    let isMore = flags & 4 != 0
    switch (from, to) {
    case (.stream(let endpoint), .pipe(let end)) where end.isWriter:
      return spliceIn(endpoint, end, count, mayNotWait: mayNotWait || endpoint.isNonblocking)
    case (.pipe(let end), .stream(let endpoint)) where !end.isWriter:
      return attemptFromPipe(
        end, endpoint, count, isMore: isMore, mayNotWait: mayNotWait || endpoint.isNonblocking)
    case (.file(let file), .pipe(let end)) where end.isWriter:
      let taken = end.put(file.read(min(count, end.pipe.room), at: nil))
      return .success(Int64(taken))
    case (.pipe, _), (_, .pipe): return .fail(.EBADF)
    default: return .fail(.EINVAL)  // one of the two is a pipe
    }
  }

  private func spliceIn(_ endpoint: Endpoint, _ end: PipeEnd, _ count: Int, mayNotWait: Bool) -> Step {
    attempt(isNonblocking: mayNotWait, until: deadline(endpoint.options.receiveTimeout)) { [unowned self] in
      if end.isAlone { return CallResult(.EPIPE) }
      let limit = min(count, end.pipe.room)
      if limit == 0 { return nil }
      guard case .done(var result) = receive(endpoint, [.space(limit)], MessageFlags.dontWait.rawValue, .none)
      else { return nil }
      if result.errno == .EAGAIN { return nil }
      if result.value > 0 { _ = end.put(result.bytes) }
      result.bytes = []
      return result
    }
  }

  private func attemptFromPipe(
    _ end: PipeEnd, _ endpoint: Endpoint, _ count: Int, isMore: Bool, mayNotWait: Bool
  ) -> Step {
    attempt(isNonblocking: mayNotWait, until: nil) { [unowned self] in
      let bytes = Array(end.pipe.bytes.prefix(count))
      if bytes.isEmpty { return end.isAlone ? CallResult(0) : nil }
      let step = sendStream(
        endpoint, bytes, isPushed: !isMore, mayNotWait: true, whenDone: { _ = end.take($0) })
      guard case .done(let result) = step, result.errno != .EAGAIN else { return nil }
      return result
    }
  }

  func sendfile(_ target: Int32, _ source: Int32, _ offset: Int?, _ count: Int) -> Step {
    guard let to = descriptors[target], let from = descriptors[source] else { return .fail(.EBADF) }
    guard case .file(let file) = from else { return .fail(isLinux ? .EINVAL : .EOPNOTSUPP) }
    guard case .stream(let endpoint) = to else { return .fail(.EINVAL) }
    let start = offset ?? file.offset
    let bytes = file.read(count, at: start)
    // The place moves with what was sent, whatever becomes of the rest.
    return sendStream(
      endpoint, bytes, isPushed: true, mayNotWait: endpoint.isNonblocking,
      whenDone: { sent in if offset == nil { file.offset = start + sent } })
  }

  // MARK: fcntl

  func fileControl(_ descriptor: Int32, _ command: Int32, _ argument: Int32) -> Step {
    guard let file = descriptors[descriptor] else { return .fail(.EBADF) }
    let nonblocking: Int32 = 0o4000
    switch (command, file) {
    case (1, _), (2, _): return .success()  // FD_CLOEXEC means nothing: nobody executes
    case (3, .stream(let endpoint)): return .success(Int64(2 | (endpoint.isNonblocking ? nonblocking : 0)))
    case (3, .pipe(let end)):
      return .success(Int64((end.isWriter ? 1 : 0) | (end.isNonblocking ? nonblocking : 0)))
    case (3, .epoll): return .success(2)
    case (3, .file): return .success()
    case (4, .stream(let endpoint)):
      endpoint.isNonblocking = argument & nonblocking != 0
      return .success()
    case (4, .pipe(let end)):
      end.isNonblocking = argument & nonblocking != 0
      return .success()
    case (4, .epoll), (4, .file): return .success()
    default: return .unsupported("fcntl command \(command)")
    }
  }

  // MARK: ioctl

  func deviceControl(_ descriptor: Int32, _ request: UInt32, _ argument: Int32?) -> Step {
    guard let file = descriptors[descriptor] else { return .fail(.EBADF) }
    guard case .stream(let endpoint) = file else { return .unsupported("ioctl of what is no socket") }
    guard let argument else { return .fail(.EFAULT) }
    var result = CallResult(0)
    switch request {
    case 0x5421:
      endpoint.isNonblocking = argument != 0
      result.integer = Int64(argument)
    case 0x541B:
      if endpoint.listener != nil { return .fail(.EINVAL) }
      result.integer = Int64(endpoint.available)
    case 0x5411, 0x894B:
      if endpoint.listener != nil { return .fail(.EINVAL) }
      let condition = endpoint.condition
      let bytes = request == 0x5411 ? condition?.unacknowledged : condition?.unsent
      result.integer = Int64(endpoint.state == .synSent || endpoint.state == .synReceived ? 0 : bytes ?? 0)
    case 0x8905: return .unsupported("urgent data")
    default: return .unsupported("ioctl \(request)")
    }
    return .done(result)
  }
}
