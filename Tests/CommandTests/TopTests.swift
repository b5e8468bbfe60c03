import Testing

@testable import SluiceCommand

/// What `sluice top`, `ss` and `stat` make of a stack's words.
@Suite struct TopTests {
  private func state(_ seconds: Double, connections: [JSON]) -> JSON {
    .object { document in
      document["version"] = .text("0")
      document["uptimeSeconds"] = .number(7)
      document["monotonicNanoseconds"] = .real(seconds * 1e9)
      document["process"] = .object {
        $0["id"] = .number(42)
        $0["command"] = .text("run")
        $0["link"] = .text("tap")
      }
      document["softInterrupts"] = .object {
        $0["contexts"] = .array([.object { $0["processorNanoseconds"] = .real(seconds * 0.25e9) }])
      }
      document["interfaces"] = .array([
        .object { $0["bytesReceived"] = .number(999) },
        .object {
          $0["bytesReceived"] = .real(seconds * 1e6)
          $0["bytesSent"] = .real(seconds * 2e6)
          $0["queueing"] = .object { $0["backlogBytes"] = .number(3000) }
        },
      ])
      document["tables"] = .object { $0["connections"] = .number(connections.count) }
      document["tcp"] = .object { $0["established"] = .number(connections.count) }
      document["sockets"] = .object { $0["list"] = .array(connections + [Self.listener]) }
    }
  }
  private static var listener: JSON {
    .object {
      $0["protocol"] = .text("tcp")
      $0["local"] = .text("[::]:80")
      $0["state"] = .text("listen")
    }
  }
  private func connection(_ remote: String, sent: Int, received: Int, roundTrip: Int = 1500) -> JSON {
    .object {
      $0["protocol"] = .text("tcp")
      $0["local"] = .text("10.0.2.2:80")
      $0["remote"] = .text(remote)
      $0["state"] = .text("established")
      $0["unread"] = .number(5)
      $0["unacknowledged"] = .number(2048)
      $0["roundTrip"] = .number(roundTrip)
      $0["congestionWindow"] = .number(10)
      $0["bytesAcknowledged"] = .number(sent)
      $0["bytesReceived"] = .number(received)
    }
  }
  private var table: TopTable {
    TopTable(
      from: state(
        10,
        connections: [
          connection("10.0.2.100:1", sent: 1000, received: 0),
          connection("10.0.2.100:2", sent: 0, received: 500),
        ]),
      to: state(
        12,
        connections: [
          connection("10.0.2.100:1", sent: 3000, received: 0, roundTrip: 20),
          connection("10.0.2.100:2", sent: 10_000, received: 2500),
          connection("10.0.2.100:3", sent: 200, received: 0, roundTrip: 90),
          // A new one by an old name, whose counters are lower, and one that could not be looked at.
          .object {
            $0["local"] = .text("10.0.2.2:80")
            $0["remote"] = .text("10.0.2.100:4")
          },
        ]))
  }

  @Test func ratesAreWhatHappenedBetweenTwoLooks() {
    let table = table
    #expect(table.rates.seconds == 2 && table.rates.bytesIn == 1e6 && table.rates.bytesOut == 2e6)
    #expect(table.rates.loads == [0.25] && table.rates.waiting == 3000)
    #expect(
      table.rows.map(\.rateOut) == [1000, 5000, 100, 0] && table.rows.map(\.rateIn) == [0, 1000, 0, 0])
    // Counters of one that came anew by the same name begin again.
    let again = TopTable(
      from: state(1, connections: [connection("a", sent: 500, received: 0)]),
      to: state(2, connections: [connection("a", sent: 100, received: 0)]))
    #expect(again.rows[0].rateOut == 0)
    // What is no state is nothing, and no trap.
    #expect(TopTable(from: .null, to: .null).rows.isEmpty)
  }

  @Test func rowsAreSortedAndFiltered() {
    let table = table
    func remotes(_ column: TopTable.Column, _ isReversed: Bool = false, _ filter: String = "") -> [String] {
      table.rows(by: column, isReversed: isReversed, filter: filter).map { String($0.remote.suffix(1)) }
    }
    #expect(remotes(.rateOut) == ["2", "1", "3", "4"] && remotes(.rateOut, true) == ["4", "3", "1", "2"])
    #expect(remotes(.roundTrip) == ["2", "3", "1", "4"] && remotes(.remote) == ["1", "2", "3", "4"])
    #expect(remotes(.remote, false, "100:3") == ["3"] && remotes(.remote, false, "ESTAB") == ["1", "2", "3"])
  }

  @Test(arguments: [20, 40, 80, 132, 400]) func screensFit(width: Int) {
    var screen = TopScreen()
    for height in [1, 5, 8, 24] {
      let lines = screen.lines(table, width: width, height: height)
      #expect(lines.count <= height && lines.allSatisfy { $0.count <= width })
    }
    let lines = screen.lines(table, width: width, height: 24)
    #expect(width < 80 || lines.contains { $0.contains("10.0.2.100:2") && $0.contains("40k") })
    #expect(width < 80 || lines[0].contains("run 42"))
    screen.offset = 1 << 40
    #expect(screen.lines(table, width: 132, height: 9).count == 9 && screen.offset <= 3)
  }

  @Test func keysDoAsInOtherTops() {
    var screen = TopScreen()
    func press(_ keys: String) -> TopScreen.Answer { screen.press(Array(keys.utf8)) }
    #expect(press("q") == .quit && press("\u{3}") == .quit && press(" ") == .look && press("~") == .nothing)
    #expect(press(">") == .draw && screen.column == .roundTrip)
    #expect(press("<<") == .draw && screen.column == .rateIn)
    for _ in TopTable.Column.allCases { _ = press(">") }
    #expect(screen.column == .rateIn)
    #expect(press("R") == .draw && screen.isReversed && press("o") == .draw && screen.column == .rateOut)
    #expect(press("+") == .draw && screen.delay == 2)
    for _ in 0..<20 { _ = press("-") }
    #expect(screen.delay == TopScreen.delays.lowerBound)
    // Letters are text behind a slash, until Enter; Esc ends it and forgets.
    _ = press("/qR")
    #expect(screen.isTyping && screen.filter == "qR" && press("\u{7F}x\r") == .draw && screen.filter == "qx")
    #expect(!screen.isTyping && press("q") == .quit)
    _ = press("/z")
    #expect(press("\u{1B}[A") == .draw && screen.filter.isEmpty && !screen.isTyping)
    #expect(press("h") == .draw && screen.isHelp && press("p") == .draw && screen.isPaused)
    #expect(screen.lines(table, width: 132, height: 40).contains { $0.contains("reverse") })
    _ = screen.lines(table, width: 132, height: 40)
    #expect(press("\u{1B}") == .draw && !screen.isHelp)
    #expect(
      press("\u{1B}[B") == .draw && screen.offset == 1 && press("\u{1B}[A") == .draw && screen.offset == 0)
    #expect(
      press("\u{1B}[6~") == .draw && screen.offset > 0 && press("\u{1B}[H") == .draw && screen.offset == 0)
  }

  @Test func socketsAreListedAsAskedFor() throws {
    let sockets = [connection("10.0.2.100:1", sent: 7, received: 0), Self.listener]
    func lines(_ arguments: String...) throws -> [String] {
      let command = try SocketsCommand.parse(arguments)
      return command.lines(command.wanted(sockets))
    }
    #expect(try lines().count == 2)
    #expect(try lines("--all").count == 3)
    #expect(try lines("--listening").count == 2)
    #expect(
      try lines()[1].split(separator: " ") == [
        "tcp", "established", "5", "2048", "10.0.2.2:80", "10.0.2.100:1",
      ])
    #expect(try lines("--listening")[1].hasSuffix("[::]:80  *"))
    #expect(try lines("--state", "ESTABLISHED").count == 2)
    #expect(try lines("--state", "closing").count == 1)
    let details = try lines("--info")[2]
    #expect(
      details.contains("rtt:1.500/0.000") && details.contains("cwnd:10") && details.contains("bytes_acked:7"))
  }

  @Test func quantitiesAreShort() {
    #expect([0, 1, 124, 125, 1e6].map(Quantity.rate) == ["0", "8", "992", "1.0k", "8.0M"])
    #expect(
      [0, 1023, 1024, 1_048_576, 17_592_186_044_416].map(Quantity.bytes) == [
        "0", "1023", "1.0K", "1.0M", "16T",
      ])
    #expect([-1, 0, 9999, 10_000, 2e7].map(Quantity.time) == ["-", "-", "9999us", "10ms", "20s"])
    #expect(Quantity.count(.nan) == "0" && Quantity.count(.infinity) == "0")
    #expect(Quantity.left("abc", 2) == "ab" && Quantity.right("a", 3) == "  a")
  }

  @Test(arguments: [
    ["--delay", "0.1"], ["--delay", "61"], ["--iterations", "0"], ["--limit", "0"], ["--sort", "colour"],
  ]) func whatMakesNoSenseIsRefused(_ arguments: [String]) {
    #expect(throws: (any Error).self) { try TopCommand.parse(arguments) }
  }
  @Test(arguments: [["--interval", "0"], ["--count", "1"], ["--interval", "1", "--count", "0"]])
  func whatMakesNoSenseOfStatIsRefused(_ arguments: [String]) {
    #expect(throws: (any Error).self) { try StatCommand.parse(arguments) }
  }
}
