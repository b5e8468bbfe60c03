import ArgumentParser
import CLinux
import Glibc

/// `sluice top`.
struct TopCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top",
    abstract: "What a running stack does now, live.",
    discussion: """
      Asks a `sluice run`, `serve` or `gateway` of yours that runs on this host, and shows in a terminal: how much of a \
      processor each context takes, bits and packets each way, what waits for links, drops, and connections with their \
      rates, round trips, windows and queues. Keys, as of other tops: q ends, h helps, < and > change the column that is \
      sorted by, R reverses, space looks now, p pauses, + and - change the delay, / filters, arrows move.

      With --batch, or where there is no terminal, it writes screen after screen; --once writes one, about the first \
      interval, and --json an object with the same numbers.

      Examples:
        sluice top
        sluice top --pid 1234 --sort roundTrip
        sluice top --once
        sluice top --batch --delay 5 --iterations 12 --json
      """)

  @OptionGroup var report: ReportOptions
  @Option(name: .shortAndLong, help: ArgumentHelp("Between two looks, 0.25 to 60.", valueName: "seconds"))
  var delay = 1.0
  @Option(name: [.customShort("n"), .long], help: ArgumentHelp("So many looks.", valueName: "number"))
  var iterations: Int?
  @Option(
    help: ArgumentHelp(
      "What is sorted by: \(TopTable.Column.allCases.map(\.rawValue).joined(separator: ", ")).",
      valueName: "column"))
  var sort = TopTable.Column.rateOut
  @Option(
    help: ArgumentHelp("Connections of each context that are looked at, 1 to 10000.", valueName: "number"))
  var limit = 1000
  @Flag(name: .shortAndLong, help: "Screen after screen, without keys.")
  var batch = false
  @Flag(help: "One screen, without keys.")
  var once = false
  @Flag(help: "Objects instead of screens.")
  var json = false

  mutating func validate() throws {
    guard TopScreen.delays.contains(delay) else {
      throw ValidationError("--delay is from 0.25 to 60 seconds, not \(delay).")
    }
    guard (iterations ?? 1) > 0 else { throw ValidationError("--iterations is 1 or more.") }
    guard (1...ReportSocket.connectionLimit).contains(limit) else {
      throw ValidationError("--limit is from 1 to \(ReportSocket.connectionLimit), not \(limit).")
    }
  }

  func run() throws {
    let client = try report.connect()
    let isPlain = batch || once || json || isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0
    if isPlain { try write(client) } else { try show(client) }
  }

  /// Without a terminal: nothing is cut, and no line is left out.
  private func write(_ client: ReportClient) throws(Failure) {
    var screen = TopScreen()
    screen.column = sort
    var before = try client.state(connections: limit)
    for number in 0..<(once ? 1 : iterations ?? .max) {
      usleep(UInt32(delay * 1_000_000))
      let now = try client.state(connections: limit)
      let table = TopTable(from: before, to: now)
      before = now
      if json {
        print(table.json.text, terminator: "")
      } else {
        if number > 0 { print("") }
        print(screen.lines(table, width: 160, height: table.rows.count + 20).joined(separator: "\n"))
      }
      fflush(nil)
    }
  }

  private func show(_ client: ReportClient) throws(Failure) {
    var screen = TopScreen()
    (screen.column, screen.delay) = (sort, delay)
    var before = try client.state(connections: limit)
    guard sluice_terminal_take(STDIN_FILENO, STDOUT_FILENO) == 0 else {
      throw Failure("this terminal cannot be drawn on. Say --batch.")
    }
    defer { sluice_terminal_give_back() }
    var table = TopTable(from: before, to: before)
    var left = iterations ?? .max
    var due = Self.now
    while true {
      if Self.now >= due {
        if !screen.isPaused {
          let state = try client.state(connections: limit)
          table = TopTable(from: before, to: state)
          before = state
          left -= 1
        }
        due = Self.now + screen.delay
        Self.draw(&screen, table)
        if left < 0 { return }
      }
      switch screen.press(Self.keys(within: due - Self.now)) {
      case .nothing: continue
      case .look: due = Self.now
      case .draw: Self.draw(&screen, table)
      case .quit: return
      }
    }
  }

  private static var now: Double { Double(sluice_monotonic_nanoseconds()) / 1e9 }

  /// What was pressed, or nothing after so many seconds.
  private static func keys(within seconds: Double) -> [UInt8] {
    var watched = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&watched, 1, Int32(max(0, seconds * 1000).rounded(.up))) > 0 else { return [] }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = unsafe read(STDIN_FILENO, &bytes, bytes.count)
    // The terminal is gone: as if by its key.
    return count > 0 ? Array(bytes.prefix(count)) : [3]
  }

  private static func draw(_ screen: inout TopScreen, _ table: TopTable) {
    var (width, height): (Int32, Int32) = (80, 24)
    _ = unsafe sluice_terminal_size(STDOUT_FILENO, &width, &height)
    var text = "\u{1B}[H"
    for (number, line) in screen.lines(table, width: Int(width), height: Int(height)).enumerated() {
      let isHead = line.contains("*") && line.contains(TopTable.Column.remote.title)
      text += (number > 0 ? "\r\n" : "") + (isHead ? "\u{1B}[7m\(line)\u{1B}[0m" : line) + "\u{1B}[K"
    }
    text += "\u{1B}[J"
    let bytes = Array(text.utf8)
    var offset = 0
    while offset < bytes.count {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(STDOUT_FILENO, $0.baseAddress! + offset, $0.count - offset)
      }
      guard count > 0 else { return }
      offset += count
    }
  }
}

extension TopTable.Column: ExpressibleByArgument {}
