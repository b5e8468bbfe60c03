import CLinux
import Foundation
import Glibc
import Sluice
import Sockets
import Testing
import Wire

@testable import Forwarding

/// Datagrams that come to this machine's sockets and go to the guest; and forwards that come and go.
extension OutboundTests {
  private static let loopback = IPAddress("127.0.0.1")!
  private static let service = SocketAddress("10.0.2.100:53")!
  private static let forward = PortForward(.udp, address: loopback, hostPort: 0, port: 53)

  @Test func datagramsComeInAndTheirAnswersGoBack() async throws {
    try await withGuest(forwards: [Self.forward]) { guest, forwarder in
      let service = try await guest.bind(to: Self.service)
      let first = try HostClient(port: forwarder.port(0), isDatagram: true)
      let second = try HostClient(port: forwarder.port(0), isDatagram: true)
      try first.send([1])
      let one = try await service.receive()
      try second.send([2])
      let two = try await service.receive()
      // In the gateway's name; each has a port of its own, so that answers find their way.
      #expect(one.bytes == [1] && two.bytes == [2])
      #expect([one, two].allSatisfy { $0.source.address == IPAddress("10.0.2.2")! })
      #expect(one.source != two.source)
      try await service.send([22, 22], to: two.source)
      try await service.send([11], to: one.source)
      #expect(try second.receive() == [22, 22])
      #expect(try first.receive() == [11])
      // The same flow goes on.
      try first.send([3])
      #expect(try await service.receive().source == one.source)
      // The guest hears of its answer's client nothing else, and a stranger to the flow reaches nobody.
      let counts = forwarder.inboundDatagramStatistics
      #expect(counts.flowsOpened == 2 && counts.open == 2 && counts.toGuest == 3 && counts.toHost == 2)
      #expect(forwarder.datagramStatistics.flowsOpened == 0)
    }
  }

  /// As many flows as there may be: the one that was silent for longest gives way, one without an answer first.
  @Test func flowsGiveWay() async throws {
    try await withGuest(forwards: [Self.forward], limit: 2) { guest, forwarder in
      let service = try await guest.bind(to: Self.service)
      let clients = try (0..<3).map { _ in try HostClient(port: forwarder.port(0), isDatagram: true) }
      try clients[0].send([0])
      let answered = try await service.receive()
      try await service.send([0], to: answered.source)
      #expect(try clients[0].receive() == [0])
      for (index, client) in clients.enumerated().dropFirst() {
        try client.send([UInt8(index)])
        #expect(try await service.receive().bytes == [UInt8(index)])
      }
      let counts = forwarder.inboundDatagramStatistics
      #expect(counts.flowsEvicted == 1 && counts.open == 2 && counts.limit == 2)
      // It is the second that went.
      try await service.send([4], to: answered.source)
      #expect(try clients[0].receive() == [4])
    }
  }

  @Test func flowsAreForgotten() async throws {
    try await withGuest(.context, { $0.silentDatagramPatience = .milliseconds(1) }, forwards: [Self.forward])
    {
      guest, forwarder in
      let service = try await guest.bind(to: Self.service)
      let client = try HostClient(port: forwarder.port(0), isDatagram: true)
      try client.send([1])
      _ = try await service.receive()
      await until { forwarder.inboundDatagramStatistics.flowsExpired == 1 }
      #expect(forwarder.inboundDatagramStatistics.open == 0)
    }
  }

  @Test func withoutThoseOfTheGuestThereAreNoneIn() throws {
    let stack = try Stack(StackConfiguration())
    #expect(throws: PortForwardError.listenRefused(Self.forward, errno: EPROTONOSUPPORT)) {
      _ = try Forwarder([Self.forward], to: ForwardGuest(ipv4: Self.service.address), on: stack)
    }
    stack.shutdown()
  }

  // MARK: Control

  /// One letter a request: a port to add, `-` and a number to remove, `?` for how many there are.
  private static func answer(_ request: [UInt8], _ isEnd: Bool, _ desk: any ForwardDesk) -> [UInt8]? {
    guard isEnd || request.last == 10 else { return nil }
    let words = String(decoding: request, as: UTF8.self).split(whereSeparator: \.isWhitespace)
    do throws(PortForwardError) {
      switch words.first {
      case "+": return Array("\(try desk.add(PortForward(address: loopback, hostPort: 0, port: 7)))".utf8)
      case "u": return Array("\(try desk.add(forward))".utf8)
      case "-": return Array("\(desk.remove(Int(words[1])!))".utf8)
      case "?": return Array("\(desk.forwards.map(\.identifier))".utf8)
      default: return Array(repeating: 120, count: request.count)
      }
    } catch {
      return Array("\(error)".utf8)
    }
  }

  private func withControl(_ body: (String, Stack, Forwarder) async throws -> Void) async throws {
    let path = "/tmp/sluice-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
    let control = try ForwardControl(path: path, answer: Self.answer)
    try await withGuest(control: control) { try await body(path, $0, $1) }
    #expect(unsafe access(path, F_OK) != 0)
  }
  private func ask(_ path: String, _ request: String) throws -> String {
    let client = HostClient(adopting: unsafe sluice_control_connect(path))
    try client.send(Array(request.utf8))
    client.finish()
    return String(decoding: try client.receiveAll(), as: UTF8.self)
  }

  @Test func forwardsComeAndGo() async throws {
    try await withControl { path, guest, forwarder in
      let first = try ["?", "+", "u", "?"].map { try ask(path, $0) }
      #expect(first == ["[]", "1", "2", "[1, 2]"])
      #expect(forwarder.statistics.listeners == 2)
      let second = try ["- 1", "- 1", "+", "?", "- 2"].map { try ask(path, $0) }
      #expect(second == ["true", "false", "3", "[2, 3]", "true"])
      #expect(forwarder.statistics.listeners == 1)
    }
  }

  @Test func aRequestEndsWhereItIsWholeAndHasAnEnd() async throws {
    try await withControl { path, _, _ in
      let client = HostClient(adopting: unsafe sluice_control_connect(path))
      try client.send(Array("?\n".utf8))
      #expect(try client.receiveAll() == Array("[]".utf8))
      #expect(try ask(path, "") == "")
      // What is longer than a request may be is answered as it is by then.
      let long = HostClient(adopting: unsafe sluice_control_connect(path))
      try long.send([UInt8](repeating: 33, count: ForwardControl.requestLimit))
      #expect(try long.receiveAll().count == ForwardControl.requestLimit)
    }
  }

  /// Whoever says nothing gives way to who comes.
  @Test func nobodyIsKeptOut() async throws {
    try await withControl { path, _, _ in
      let silent = (0..<ForwardControl.connectionLimit * 2).map { _ in
        HostClient(adopting: unsafe sluice_control_connect(path))
      }
      let answer = try ask(path, "?")
      let end = try silent[0].receive()
      #expect(answer == "[]" && end.isEmpty)
    }
  }

  @Test func aPathIsTakenOverFromTheDeadAlone() throws {
    let path = "/tmp/sluice-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
    let first = try ForwardControl(path: path, answer: Self.answer)
    var mode = stat()
    #expect(unsafe stat(path, &mode) == 0 && mode.st_mode & 0o777 == 0o600)
    #expect(throws: PortForwardError.controlRefused(path: path, errno: EADDRINUSE)) {
      try ForwardControl(path: path, answer: Self.answer)
    }
    first.close()
    #expect(unsafe access(path, F_OK) != 0)
    // One that nobody listens at any more.
    let dead = unsafe sluice_control_listen(path)
    Glibc.close(dead)
    #expect(unsafe access(path, F_OK) == 0)
    let second = try ForwardControl(path: path, answer: Self.answer)
    second.close()
    let file = unsafe fopen(path, "w")
    unsafe fclose(file!)
    #expect(throws: PortForwardError.controlRefused(path: path, errno: EEXIST)) {
      try ForwardControl(path: path, answer: Self.answer)
    }
    unsafe unlink(path)
    let long = "/tmp/" + String(repeating: "x", count: 110)
    #expect(throws: PortForwardError.controlRefused(path: long, errno: ENAMETOOLONG)) {
      try ForwardControl(path: long, answer: Self.answer)
    }
  }
}
