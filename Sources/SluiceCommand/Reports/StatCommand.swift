import ArgumentParser
import Glibc

/// `sluice stat`.
struct StatCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stat",
    abstract: "What a running stack has counted.",
    discussion: """
      Asks a `sluice run`, `serve` or `gateway` of yours that runs on this host, and prints the tables that its status page \
      has. With --interval a line every so many seconds instead: connections, bits and packets each way, segments that \
      were sent again, what was dropped, and how much of a processor the busiest context took. The first line is about the \
      first interval.

      Examples:
        sluice stat
        sluice stat --json
        sluice stat --interval 1 --count 10
      """)

  @OptionGroup var report: ReportOptions
  @Option(name: .shortAndLong, help: ArgumentHelp("A line every so many seconds.", valueName: "seconds"))
  var interval: Double?
  @Option(
    name: .shortAndLong, help: ArgumentHelp("As many lines; else until interrupted.", valueName: "number"))
  var count: Int?
  @Flag(help: "The state as JSON; with --interval one object each time.")
  var json = false

  mutating func validate() throws {
    if let interval, !(0.1...86_400).contains(interval) {
      throw ValidationError("--interval is from 0.1 to 86400 seconds, not \(interval).")
    }
    if let count, interval == nil || count < 1 {
      throw ValidationError("--count is 1 or more, and goes with --interval.")
    }
  }

  func run() throws {
    let client = try report.connect()
    guard let interval else {
      return print(json ? try client.document(connections: 100) : try client.text(), terminator: "")
    }
    var before = try client.state(connections: 0)
    var left = count ?? .max
    var number = 0
    while left > 0 {
      usleep(UInt32(interval * 1_000_000))
      let now = try client.state(connections: 0)
      let rates = StackRates(from: before, to: now)
      if json {
        print(rates.json.text, terminator: "")
      } else {
        if number % 20 == 0 { print(StackRates.head) }
        print(rates.line)
      }
      fflush(nil)
      before = now
      left -= 1
      number += 1
    }
  }
}

/// What happened between two states of a stack, by second.
struct StackRates {
  /// Seconds between the two.
  let seconds: Double
  /// Of all interfaces but the loopback one.
  let bytesIn: Double
  let bytesOut: Double
  let packetsIn: Double
  let packetsOut: Double
  let retransmissions: Double
  let drops: Double
  let connections: Int
  /// Bytes that wait for links.
  let waiting: Double
  /// Of a processor, by context.
  let loads: [Double]

  init(from before: JSON, to now: JSON) {
    let seconds = max(0.001, (now["monotonicNanoseconds"].value - before["monotonicNanoseconds"].value) / 1e9)
    self.seconds = seconds
    func rate(_ earlier: Double, _ later: Double) -> Double { max(0, later - earlier) / seconds }
    func sum(_ document: JSON, _ name: String) -> Double {
      document["interfaces"].elements.dropFirst().reduce(0) { $0 + $1[name].value }
    }
    func between(_ name: String) -> Double { rate(sum(before, name), sum(now, name)) }
    bytesIn = between("bytesReceived")
    bytesOut = between("bytesSent")
    packetsIn = between("packetsReceived")
    packetsOut = between("packetsSent")
    func socket(_ document: JSON, _ name: String) -> Double { document["protocols"]["sockets"][name].value }
    retransmissions = rate(socket(before, "segmentsRetransmitted"), socket(now, "segmentsRetransmitted"))
    func dropped(_ document: JSON) -> Double { document["drops"].members.reduce(0) { $0 + $1.1.value } }
    drops = rate(dropped(before), dropped(now))
    connections = now["tables"]["connections"].count
    waiting = now["interfaces"].elements.dropFirst().reduce(0) {
      $0 + $1["queueing"]["backlogBytes"].value + $1["queueing"]["bytesInFlight"].value
    }
    let earlier = before["softInterrupts"]["contexts"].elements.map { $0["processorNanoseconds"].value }
    let later = now["softInterrupts"]["contexts"].elements.map { $0["processorNanoseconds"].value }
    loads = zip(earlier, later).map { max(0, $1 - $0) / 1e9 / seconds }
  }

  static let head =
    "connections       in bps  packets/s      out bps  packets/s  again/s  drops/s  waiting   load"

  var line: String {
    [
      Quantity.right("\(connections)", 11), Quantity.right(Quantity.rate(bytesIn), 11),
      Quantity.right(Quantity.count(packetsIn), 9), Quantity.right(Quantity.rate(bytesOut), 11),
      Quantity.right(Quantity.count(packetsOut), 9), Quantity.right(Quantity.count(retransmissions), 7),
      Quantity.right(Quantity.count(drops), 7), Quantity.right(Quantity.bytes(waiting), 7),
      Quantity.right("\(Int(((loads.max() ?? 0) * 100).rounded()))%", 5),
    ].joined(separator: "  ")
  }

  var json: JSON {
    .object {
      $0["seconds"] = .real(seconds)
      $0["connections"] = .number(connections)
      $0["bitsIn"] = .real(bytesIn * 8)
      $0["bitsOut"] = .real(bytesOut * 8)
      $0["packetsIn"] = .real(packetsIn)
      $0["packetsOut"] = .real(packetsOut)
      $0["retransmissions"] = .real(retransmissions)
      $0["drops"] = .real(drops)
      $0["waiting"] = .real(waiting)
      $0["loads"] = .array(loads.map { .real($0) })
    }
  }
}
