import Foundation
import Sluice
import Testing

@testable import SluiceCommand

/// A running stack, asked from outside of it: by its socket for reports, and by who watches its page.
@Suite(.timeLimit(.minutes(5)), .serialized) struct ReportTests {
  /// Returns a client that is still there.
  private static func ask() throws -> ReportClient {
    let client = try ReportClient.connect(getpid())
    let state = try client.state(connections: 100)
    #expect(state["process"]["command"].string == "test" && state["process"]["id"].count == Int(getpid()))
    let found = state["sockets"]["list"].elements.filter { $0["remote"].string == "127.0.0.1:7" }
    #expect(found.count == 1 && found.first?["bytesSent"].count == 4)
    #expect(
      try client.state(connections: 0)["sockets"]["list"].elements.allSatisfy { $0["remote"].string == nil })
    #expect(try client.text().contains("a TCP/IP stack in user space"))
    // Several at once, up to a limit; those beyond are told nothing, and those that are there go on.
    let others = try (1..<ReportSocket.clientLimit).map { _ in try ReportClient.connect(getpid()) }
    for other in others { #expect(try other.text().hasPrefix("Sluice")) }
    #expect(throws: Failure.self) { try ReportClient.connect(getpid()).text() }
    #expect(try client.text().hasPrefix("Sluice"))
    return client
  }

  @Test func theSocketForReportsAnswersWhoMayAsk() async throws {
    let stack = try Stack(StackConfiguration())
    let socket = try ReportSocket("test")
    try stack.start()
    let host = ServiceHost(stack: stack, limit: 10, link: "no")
    try host.start()
    socket.serve(host)
    let stream = try await stack.connect(to: SocketAddress("127.0.0.1:7")!)
    try await stream.write("echo")
    #expect(try await stream.read(atMost: 10) == Array("echo".utf8))

    // It blocks: not on a thread of the pool, whose work it waits for.
    let outcome = await withCheckedContinuation {
      (continuation: CheckedContinuation<Result<ReportClient, any Error>, Never>) in
      Thread.detachNewThread { continuation.resume(returning: Result { try Self.ask() }) }
    }
    let client = try outcome.get()
    #expect(throws: Failure.self) { try ReportClient.connect(1) }
    stream.abort()
    socket.stop()
    #expect(throws: Failure.self) { try client.text() }
    stack.shutdown()
    #expect(stack.statistics().wakeups.wasted == 0)
  }

  /// One event of a stream of them: its kind, and its data.
  private func event(_ text: String) throws -> (kind: String, samples: [[Any]]) {
    var (kind, data) = ("message", "")
    for line in text.split(separator: "\n") {
      if line.hasPrefix("event: ") { kind = String(line.dropFirst(7)) }
      if line.hasPrefix("data: ") { data = String(line.dropFirst(6)) }
    }
    let parsed = try JSONSerialization.jsonObject(with: Data(data.utf8)) as? [Any]
    return (kind, parsed as? [[Any]] ?? [parsed ?? []])
  }

  @Test func watchersAreToldWhatHappensSecondBySecond() async throws {
    let stack = try Stack(StackConfiguration())
    try stack.start()
    let host = ServiceHost(stack: stack, limit: 200, link: "no")
    try host.start()
    let page = SocketAddress("127.0.0.1:80")!
    func ask(_ method: String = "GET") async throws -> TCPStream {
      let stream = try await stack.connect(to: page)
      try await stream.write("\(method) /events HTTP/1.1\r\nHost: a\r\n\r\n")
      return stream
    }
    /// Reads until there are so many events.
    func read(_ stream: TCPStream, _ text: inout String, events: Int) async throws {
      while text.components(separatedBy: "\n\n").count <= events {
        text += String(decoding: try #require(try await stream.read()), as: UTF8.self)
      }
    }
    let first = try await ask()
    var text = ""
    try await read(first, &text, events: 2)
    let parts = text.components(separatedBy: "\r\n\r\n")
    #expect(parts[0].hasPrefix("HTTP/1.1 200 OK\r\n") && parts[0].contains("Content-Type: text/event-stream"))
    let events = parts[1].components(separatedBy: "\n\n")
    #expect(try event(events[0]).kind == "history" && event(events[0]).samples.isEmpty)
    let sample = try event(events[1])
    #expect(sample.kind == "message" && sample.samples[0].count == 10)
    // At least this connection, both its ends.
    #expect((sample.samples[0][8] as? Int ?? 0) >= 2)

    // Who comes later is told what has been.
    let second = try await ask()
    var later = ""
    try await read(second, &later, events: 1)
    let history = try event(later.components(separatedBy: "\r\n\r\n")[1].components(separatedBy: "\n\n")[0])
    #expect(history.kind == "history" && history.samples.count >= 1)

    // There are only so many at once; whoever leaves makes room.
    var more: [TCPStream] = []
    for _ in 2..<History.viewerLimit { more.append(try await ask()) }
    for stream in more {
      var text = ""
      try await read(stream, &text, events: 1)
    }
    let refused = try await ask()
    #expect(
      String(decoding: try #require(try await refused.read()), as: UTF8.self).hasPrefix("HTTP/1.1 503 "))
    let head = try await ask("HEAD")
    #expect(
      String(decoding: try #require(try await head.read()), as: UTF8.self).contains("text/event-stream"))
    for stream in more + [first, second, refused, head] { stream.abort() }
    stack.shutdown()
    #expect(stack.statistics().wakeups.wasted == 0)
  }
}
