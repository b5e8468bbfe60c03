import Testing

@testable import SluiceCommand

@Suite struct HTTPRequestTests {
  private func parse(_ text: String) -> HTTPRequest.Outcome { HTTPRequest.parse(Array(text.utf8)) }
  private func request(_ text: String) -> HTTPRequest? {
    if case .request(let request, _) = parse(text) { request } else { nil }
  }

  @Test func whatClientsSendIsUnderstood() throws {
    let curl = try #require(request("GET /stats.json?x=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n"))
    #expect(curl.method == "GET" && curl.path == "/stats.json" && curl["accept"] == "*/*" && curl.keepsAlive)
    let ab = try #require(request("HEAD / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"))
    #expect(ab.minorVersion == 0 && ab.keepsAlive)
    #expect(request("GET / HTTP/1.0\r\n\r\n")?.keepsAlive == false)
    #expect(request("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n")?.keepsAlive == false)
    #expect(request("GET http://10.0.2.2/a HTTP/1.1\nHost:b\n\n")?.path == "/a")
    #expect(request("\r\nGET http://10.0.2.2 HTTP/1.1\r\nHost:\r\n\r\n")?.path == "/")
    #expect(request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n")?.bodyCount == 12)
  }

  @Test(arguments: [
    ("GARBAGE\r\n\r\n", HTTPStatus.badRequest), ("GET / HTTP/1.1\r\n\r\n", .badRequest),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", .badRequest), ("GET x HTTP/1.0\r\n\r\n", .badRequest),
    ("GET  / HTTP/1.0\r\n\r\n", .badRequest), ("G(T / HTTP/1.0\r\n\r\n", .badRequest),
    ("GET / HTTP/1.0\r\nbad line\r\n\r\n", .badRequest), ("GET / HTTP/1.0\r\nA : b\r\n\r\n", .badRequest),
    ("GET / HTTP/1.0\r\nA: b\r\n folded\r\n\r\n", .badRequest), ("GET /\u{1} HTTP/1.0\r\n\r\n", .badRequest),
    ("GET / HTTP/1.0\r\nContent-Length: -1\r\n\r\n", .badRequest),
    ("GET / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", .badRequest),
    ("GET / HTTP/2.0\r\n\r\n", .versionNotSupported), ("GET / http/1.0\r\n\r\n", .badRequest),
    ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .lengthRequired),
    ("POST / HTTP/1.0\r\nContent-Length: 65537\r\n\r\n", .contentTooLarge),
    ("POST / HTTP/1.0\r\nContent-Length: 99999999999999999999\r\n\r\n", .contentTooLarge),
  ]) func whatMakesNoSenseIsRefused(text: String, status: HTTPStatus) {
    #expect(parse(text) == .refused(status))
  }

  @Test func everythingIsBounded() {
    let long = String(repeating: "a", count: 20_000)
    #expect(parse("GET /\(long)") == .refused(.uriTooLong))
    #expect(parse("GET /\(long) HTTP/1.0\r\n\r\n") == .refused(.headerTooLarge))
    #expect(parse("GET / HTTP/1.0\r\nA: \(long)") == .refused(.headerTooLarge))
    let many = String(repeating: "a: b\r\n", count: 101)
    #expect(parse("GET / HTTP/1.0\r\n\(many)\r\n") == .refused(.headerTooLarge))
    #expect(parse(String(repeating: "\r\n", count: 100)) == .refused(.badRequest))
  }

  @Test func aRequestThatComesInPiecesIsWaitedFor() {
    let whole = Array("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\nGET /next".utf8)
    let head = whole.count - "GET /next".utf8.count
    for count in 0..<head { #expect(HTTPRequest.parse(Array(whole[..<count])) == .incomplete) }
    guard case .request(_, let headCount) = HTTPRequest.parse(whole) else {
      Issue.record("the head is whole")
      return
    }
    #expect(headCount == head)
  }

  /// RX-TOTAL: any bytes give an answer.
  @Test func RX_TOTAL_anyBytesGiveAnAnswer() {
    var random = SystemRandomNumberGenerator()
    let seed = Array("GET /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc".utf8)
    for _ in 0..<3000 {
      var bytes = seed
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        let place = Int.random(in: bytes.indices, using: &random)
        bytes[place] = UInt8.random(in: 0...255, using: &random)
      }
      _ = HTTPRequest.parse(bytes)
      _ = HTTPRequest.parse((0..<60).map { _ in UInt8.random(in: 0...255, using: &random) })
    }
  }
}
