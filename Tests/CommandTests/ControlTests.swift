import Chance
import Forwarding
import Testing
import Wire

@testable import SluiceCommand

/// Requests and answers of the control socket.
@Suite struct ControlTests {
  /// A desk without sockets.
  private final class Desk: ForwardDesk {
    var forwards: [ForwardEntry] = []
    var last = 0
    func add(_ forward: PortForward) throws(PortForwardError) -> Int {
      if forward.hostPort == 22 { throw .listenRefused(forward, errno: 98) }
      last += 1
      let target = SocketAddress(forward.guest ?? IPAddress("10.0.2.100")!, port: forward.port)
      forwards.append(ForwardEntry(identifier: last, forward: forward, target: target))
      return last
    }
    func remove(_ identifier: Int) -> Bool {
      defer { forwards.removeAll { $0.identifier == identifier } }
      return forwards.contains { $0.identifier == identifier }
    }
  }
  private func ask(_ desk: Desk, _ request: String) -> String {
    let answer = ControlAnswers.answer(Array(request.utf8), true, desk) ?? []
    return String(decoding: answer, as: UTF8.self)
  }
  private func add(_ arguments: String) -> String {
    "{\"execute\": \"add_hostfwd\", \"arguments\": {\(arguments)}}"
  }

  /// The examples of slirp4netns(1).
  @Test func documentedExamples() throws {
    let desk = Desk()
    let arguments =
      "\"proto\": \"tcp\", \"host_addr\": \"0.0.0.0\", \"host_port\": 8080, \"guest_addr\": \"10.0.2.100\", \"guest_port\": 80"
    let added = JSON(parsing: ask(desk, add(arguments)))
    #expect(added?.member("return")?.member("id")?.whole == 1)
    #expect(desk.forwards.map(\.forward.description) == ["0.0.0.0:8080:80"])
    let listed = ask(desk, "{\"execute\": \"list_hostfwd\"}")
    let entry =
      "{\"id\": 1, \"proto\": \"tcp\", \"host_addr\": \"0.0.0.0\", \"host_port\": 8080, "
      + "\"guest_addr\": \"10.0.2.100\", \"guest_port\": 80}"
    #expect(listed == "{ \"return\": { \"entries\": [ \(entry) ] } }\n")
    let remove = "{\"execute\": \"remove_hostfwd\", \"arguments\": {\"id\": 1}}"
    #expect(JSON(parsing: ask(desk, remove))?.member("return") != nil && desk.forwards.isEmpty)
    #expect(ask(desk, remove).contains("bad request: remove_hostfwd: bad arguments.id"))
  }

  @Test func whatIsLeftOutHasDefaults() throws {
    let desk = Desk()
    _ = ask(desk, add("\"proto\": \"udp\", \"host_port\": 53, \"guest_port\": 5353"))
    _ = ask(desk, add("\"proto\": \"tcp\", \"host_addr\": \"*\", \"host_port\": 80, \"guest_port\": 80"))
    let forwards = desk.forwards.map(\.forward)
    #expect(
      forwards == [
        PortForward(.udp, address: .anyIPv4, hostPort: 53, port: 5353),
        PortForward(.tcp, address: nil, hostPort: 80, port: 80),
      ])
  }

  @Test(arguments: [
    ("", "cannot parse JSON"), ("[]", "no execute found"), ("{\"execute\": 7}", "no execute found"),
    ("{\"execute\": \"dance\"}", "unknown execute"),
    ("{\"execute\": \"add_hostfwd\"}", "add_hostfwd: bad arguments.proto"),
    ("{\"execute\": \"add_hostfwd\", \"arguments\": {\"proto\": \"sctp\"}}", "bad arguments.proto"),
    ("{\"execute\": \"remove_hostfwd\", \"arguments\": {\"id\": \"1\"}}", "bad arguments.id"),
    ("{\"execute\": \"remove_hostfwd\", \"arguments\": {\"id\": 1e300}}", "bad arguments.id"),
  ])
  func whatIsNoRequestIsNamed(_ request: String, _ reason: String) {
    let answer = JSON(parsing: ask(Desk(), request))
    guard case .text(let description)? = answer?.member("error")?.member("desc") else {
      Issue.record("no error")
      return
    }
    #expect(description.contains(reason))
  }

  @Test(arguments: [
    ("\"host_addr\": \"localhost\", \"host_port\": 1, \"guest_port\": 1", "host_addr"),
    ("\"host_addr\": 7, \"host_port\": 1, \"guest_port\": 1", "host_addr"),
    ("\"host_port\": 0, \"guest_port\": 1", "host_port"), ("\"guest_port\": 1", "host_port"),
    ("\"host_port\": 65536, \"guest_port\": 1", "host_port"),
    ("\"host_port\": 1.5, \"guest_port\": 1", "host_port"), ("\"host_port\": 1", "guest_port"),
    ("\"host_port\": 1, \"guest_port\": 1, \"guest_addr\": \"224.0.0.1\"", "guest_addr"),
  ])
  func argumentsAreLookedAt(_ arguments: String, _ wrong: String) {
    let desk = Desk()
    let answer = ask(desk, add("\"proto\": \"tcp\", " + arguments))
    #expect(answer.contains("bad request: add_hostfwd: bad arguments.\(wrong)") && desk.forwards.isEmpty)
  }

  @Test func whatTheHostRefusesIsSaid() {
    #expect(
      ask(Desk(), add("\"proto\": \"tcp\", \"host_port\": 22, \"guest_port\": 22")).contains(
        "cannot listen for"))
  }

  @Test func aRequestComesInPieces() throws {
    let request = Array("{\"execute\": \"list_hostfwd\"}".utf8)
    for count in 0..<request.count {
      #expect(try ControlRequest.read(Array(request[..<count]), isEnd: false) == nil)
    }
    #expect(try ControlRequest.read(request + [10], isEnd: false) == .list)
    let long = [UInt8](repeating: 32, count: ForwardControl.requestLimit)
    let answer = String(decoding: ControlAnswers.answer(long, true, Desk()) ?? [], as: UTF8.self)
    #expect(answer.contains("too large message"))
  }

  /// What the fuzzer looks at, with requests that were damaged a little.
  @Test func anyBytesAreReadAlike() {
    var chance = SeededGenerator(seed: 6)
    for round in 0..<4000 {
      var forward = ControlRequest.ForwardArguments()
      forward.isDatagram = Bool.random(using: &chance)
      forward.hostAddress = [nil, .anyIPv4, IPAddress("::1")!].randomElement(using: &chance)!
      forward.hostPort = .random(in: 1...UInt16.max, using: &chance)
      forward.guestPort = .random(in: 1...UInt16.max, using: &chance)
      let request = [ControlRequest.add(forward), .remove(round + 1), .list].randomElement(using: &chance)!
      var bytes = Array(ControlReading.text(request).utf8)
      #expect((try? ControlRequest.read(bytes, isEnd: false)) == request)
      for _ in 0..<Int.random(in: 0...3, using: &chance) {
        let place = Int.random(in: 0..<bytes.count, using: &chance)
        switch Int.random(in: 0...2, using: &chance) {
        case 0: bytes[place] = .random(in: 0...255, using: &chance)
        case 1: bytes.remove(at: place)
        default: bytes.insert(.random(in: 32...125, using: &chance), at: place)
        }
      }
      #expect(ControlReading.run(bytes) == nil)
    }
  }
}
