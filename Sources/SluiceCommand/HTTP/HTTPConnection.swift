import Sluice

/// One client of the status page: requests one after the other, HTTP/1.0 and 1.1.
struct HTTPConnection {
  private let stream: TCPStream
  private let page: StatusPage
  private let watchdog: Watchdog
  /// For a request to come and its answer to go.
  private static let patience = Duration.seconds(30)
  /// For a client to finish talking after its last answer.
  private static let farewell = Duration.seconds(2)

  init(_ stream: TCPStream, _ page: StatusPage, _ watchdog: Watchdog) {
    self.stream = stream
    self.page = page
    self.watchdog = watchdog
  }

  func run() async {
    stream.setNoDelay(true)
    // The peer went away, or took too long: nothing is left to be said.
    try? await serve()
    await watchdog.end(stream)
  }

  private func serve() async throws(SocketError) {
    var pending: [UInt8] = []
    while true {
      await watchdog.watch(stream, for: Self.patience)
      switch try await next(&pending) {
      case nil: return
      case .refused(let status)?:
        let response = HTTPResponse(status)
        try await stream.write(
          response.bytes(isHead: false, keepsAlive: false, minorVersion: 1, date: HTTPResponse.now()))
        return try await leave()
      case .request(let request)?:
        if request.path == "/events", request.method == "GET", await page.history.join() {
          do throws(SocketError) {
            try await tell()
          } catch {
            await page.history.leave()
            throw error
          }
          await page.history.leave()
          return try await leave()
        }
        let response = await page.response(to: request)
        let keepsAlive = request.keepsAlive
        try await stream.write(
          response.bytes(
            isHead: request.method == "HEAD", keepsAlive: keepsAlive, minorVersion: request.minorVersion,
            date: HTTPResponse.now()))
        if !keepsAlive { return try await leave() }
      }
    }
  }

  /// Events, as they come, until the client or the stack goes.
  private func tell() async throws(SocketError) {
    let head =
      "HTTP/1.1 200 OK\r\nDate: \(HTTPResponse.now())\r\nContent-Type: \(History.contentType)\r\n"
      + "\(HTTPResponse.fields)Connection: close\r\n\r\n"
    var (number, text) = await page.history.all()
    try await stream.write(Array((head + text).utf8))
    // Who takes nothing for a while is reset. Who is slow misses what came meanwhile: nothing waits for it.
    while let next = await page.history.next(after: number) {
      await watchdog.watch(stream, for: Self.patience)
      (number, text) = next
      try await stream.write(Array(text.utf8))
    }
  }

  private enum Next {
    case request(HTTPRequest)
    case refused(HTTPStatus)
  }

  /// The next request with its body read away; nil when the client has closed.
  private func next(_ pending: inout [UInt8]) async throws(SocketError) -> Next? {
    while true {
      switch HTTPRequest.parse(pending) {
      case .incomplete:
        guard let more = try await stream.read(atMost: 16_384) else { return nil }
        pending += more
      case .refused(let status): return .refused(status)
      case .request(let request, let headCount):
        pending.removeFirst(headCount)
        while pending.count < request.bodyCount {
          guard let more = try await stream.read(atMost: 16_384) else { return nil }
          pending += more
        }
        pending.removeFirst(request.bodyCount)
        return .request(request)
      }
    }
  }

  /// Ends the connection so that the last answer arrives: what the client still says is read, not reset
  /// (RFC 9112 section 9.6).
  private func leave() async throws(SocketError) {
    stream.shutdownSend()
    await watchdog.watch(stream, for: Self.farewell)
    var buffer = [UInt8](repeating: 0, count: 4096)
    while try await stream.read(into: &buffer) > 0 {}
  }
}
