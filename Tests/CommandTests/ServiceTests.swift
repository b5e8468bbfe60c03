import Foundation
import Sluice
import Testing

@testable import SluiceCommand

/// The services on the loopback interface of a stack.
@Suite(.timeLimit(.minutes(5))) struct ServiceTests {
  private func withServices(
    limit: Int = 100, _ body: (Stack, ServiceHost) async throws -> Void
  ) async throws {
    let stack = try Stack(StackConfiguration())
    try stack.start()
    let host = ServiceHost(stack: stack, limit: limit, link: "no")
    try host.start()
    try await body(stack, host)
    stack.shutdown()
    #expect(stack.statistics().wakeups.wasted == 0)
  }

  private func ask(_ stack: Stack, _ request: String) async throws -> String {
    let stream = try await stack.connect(to: SocketAddress("127.0.0.1:80")!)
    try await stream.write(request)
    var answer: [UInt8] = []
    for try await chunk in stream.chunks() { answer += chunk }
    return String(decoding: answer, as: UTF8.self)
  }

  @Test func pagesForEveryTaste() async throws {
    try await withServices { stack, _ in
      let end = "Host: a\r\nConnection: close\r\n\r\n"
      let text = try await ask(stack, "GET / HTTP/1.1\r\n\(end)")
      #expect(
        text.hasPrefix("HTTP/1.1 200 OK\r\n") && text.contains("127.0.0.1:80") && !text.contains("<html"))
      let html = try await ask(stack, "GET / HTTP/1.1\r\nAccept: text/html,*/*\r\n\(end)")
      #expect(html.contains("<!DOCTYPE html>") && html.contains("[::]:80"))
      let json = try await ask(stack, "GET /stats.json HTTP/1.1\r\n\(end)")
      let body = json.components(separatedBy: "\r\n\r\n")[1]
      let parsed = try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]
      #expect((parsed?["wakeups"] as? [String: Int])?["wasted"] == 0)
      #expect(parsed?.keys.contains("softInterrupts") == true)
      #expect((parsed?["forwards"] as? [String: Int])?["listeners"] == 0)
      #expect(try await ask(stack, "HEAD / HTTP/1.1\r\n\(end)").hasSuffix("\r\n\r\n"))
      #expect(try await ask(stack, "GET /x HTTP/1.1\r\n\(end)").hasPrefix("HTTP/1.1 404 "))
      let refused = try await ask(stack, "DELETE / HTTP/1.1\r\n\(end)")
      #expect(refused.hasPrefix("HTTP/1.1 405 ") && refused.contains("Allow: GET, HEAD\r\n"))
      #expect(try await ask(stack, "nonsense\r\n\r\n").hasPrefix("HTTP/1.1 400 "))
      // One after the other on one connection, sent in one piece, with a body in between.
      let several = try await ask(
        stack, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /x HTTP/1.1\r\n\(end)")
      #expect(several.components(separatedBy: "HTTP/1.1 ").count == 3)
    }
  }

  @Test func theSimpleServicesDoAsTheirStandardsSay() async throws {
    try await withServices { stack, _ in
      func connect(_ port: UInt16) async throws -> TCPStream {
        try await stack.connect(to: SocketAddress(IPAddress("::1")!, port: port))
      }
      let echo = try await connect(7)
      try await echo.write("echo")
      echo.shutdownSend()
      #expect(try await echo.read(atMost: 10) == Array("echo".utf8))
      #expect(try await echo.read() == nil)
      let discard = try await connect(9)
      try await discard.write([UInt8](repeating: 1, count: 100_000))
      discard.shutdownSend()
      #expect(try await discard.read() == nil)
      let chargen = try await connect(19)
      var read: [UInt8] = []
      while read.count < 200_000, let bytes = try await chargen.read() { read += bytes }
      let lines = ChargenService.lines
      #expect(read.indices.allSatisfy { read[$0] == lines[$0 % lines.count] })
      chargen.abort()
      let socket = try await stack.bind(to: SocketAddress("127.0.0.1:0")!)
      try await socket.send([1, 2], to: SocketAddress("127.0.0.1:7")!)
      #expect(try await socket.receive().bytes == [1, 2])
      try await socket.send([], to: SocketAddress("127.0.0.1:19")!)
      #expect(try await socket.receive().bytes.count <= 512)
    }
  }

  @Test func connectionsBeyondTheLimitAreResetAndCounted() async throws {
    try await withServices(limit: 2) { stack, host in
      let address = SocketAddress("127.0.0.1:7")!
      let first = try await stack.connect(to: address)
      try await first.write("a")
      #expect(try await first.read() == [97])
      let second = try await stack.connect(to: address)
      try await second.write("b")
      #expect(try await second.read() == [98])
      let third = try await stack.connect(to: address)
      await #expect(throws: SocketError.connectionReset) { _ = try await third.read() }
      let counts = await host.limit.counts
      #expect(counts.open == 2 && counts.peak == 2 && counts.refused == 1)
      first.close()
      second.close()
    }
  }
}
