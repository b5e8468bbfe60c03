import ArgumentParser
import Glibc

/// `sluice ss`.
struct SocketsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ss",
    abstract: "The sockets of a running stack.",
    discussion: """
      Asks a `sluice run`, `serve` or `gateway` of yours that runs on this host. Recv-Q are bytes that arrived and were not \
      read, Send-Q bytes that were written and are not acknowledged. With --info the engine's view of each connection is \
      added on a line of its own: round trip and its variation, windows, segments, what was sent, acknowledged, received, \
      repeated. Of a connection that a thread was inside of at the moment it is missing.

      Examples:
        sluice ss
        sluice ss --info --state established
        sluice ss --all --json
      """)

  @OptionGroup var report: ReportOptions
  @Flag(name: .shortAndLong, help: "Listeners and UDP sockets, too.")
  var all = false
  @Flag(name: .shortAndLong, help: "Listeners and UDP sockets only.")
  var listening = false
  @Flag(name: .shortAndLong, help: "What the engine says of each connection.")
  var info = false
  @Option(help: ArgumentHelp("Connections in this state only, such as established.", valueName: "name"))
  var state: String?
  @Option(help: ArgumentHelp("Connections of each context at most, 1 to 10000.", valueName: "number"))
  var limit = 1000
  @Flag(help: "An array of objects.")
  var json = false

  mutating func validate() throws {
    guard (1...ReportSocket.connectionLimit).contains(limit) else {
      throw ValidationError("--limit is from 1 to \(ReportSocket.connectionLimit), not \(limit).")
    }
  }

  func run() throws {
    let document = try report.connect().state(connections: limit)
    let sockets = wanted(document["sockets"]["list"].elements)
    if json { return print(JSON.array(sockets).text, terminator: "") }
    print(lines(sockets).joined(separator: "\n"))
    let found = document["tables"].member("connections")?.count ?? 0
    let shown = document["sockets"]["list"].elements.count { $0["remote"].string != nil }
    if found > shown { complain("\(shown) of \(found) connections. --limit shows more.") }
  }

  /// Of all sockets those that are asked for.
  func wanted(_ sockets: [JSON]) -> [JSON] {
    sockets.filter { socket in
      guard socket["remote"].string != nil else { return (all || listening) && state == nil }
      return !listening && (state == nil || socket["state"].string?.lowercased() == state?.lowercased())
    }
  }

  /// A table, with columns as wide as what is in them.
  func lines(_ sockets: [JSON]) -> [String] {
    let head = ["Netid", "State", "Recv-Q", "Send-Q", "Local", "Peer"]
    let rows = sockets.map { socket in
      [
        socket["protocol"].string ?? "", socket["state"].string ?? "", "\(socket["unread"].count)",
        "\(socket["unacknowledged"].count)", socket["local"].string ?? "", socket["remote"].string ?? "*",
      ]
    }
    let widths = head.indices.map { column in ([head] + rows).map { $0[column].count }.max() ?? 0 }
    func line(_ row: [String]) -> String {
      let cells = row.enumerated().map { column, text in
        [2, 3].contains(column) ? Quantity.right(text, widths[column]) : Quantity.left(text, widths[column])
      }
      let text = cells.joined(separator: "  ")
      return String(text[..<(text.lastIndex { $0 != " " }.map { text.index(after: $0) } ?? text.startIndex)])
    }
    var lines = [line(head)]
    for (socket, row) in zip(sockets, rows) {
      lines.append(line(row))
      if info, socket.member("roundTrip") != nil { lines.append("     " + Self.details(socket)) }
    }
    return lines
  }

  private static func details(_ socket: JSON) -> String {
    var words = [
      socket["congestionControl"].string ?? "",
      "rtt:\(milliseconds(socket["roundTrip"]))/\(milliseconds(socket["roundTripVariation"]))",
      "minrtt:\(milliseconds(socket["minimumRoundTrip"]))",
      "rto:\(socket["retransmissionTimeout"].count / 1000)", "mss:\(socket["segment"].count)",
      "cwnd:\(socket["congestionWindow"].count)",
    ]
    if let threshold = socket.member("slowStartThreshold"), threshold.value > 0 {
      words.append("ssthresh:\(threshold.count)")
    }
    for (word, name) in [
      ("snd_wnd", "sendWindow"), ("rcv_wnd", "receiveWindow"), ("rcv_buf", "receiveBuffer"),
      ("unacked", "outstanding"), ("bytes_sent", "bytesSent"), ("bytes_acked", "bytesAcknowledged"),
      ("bytes_received", "bytesReceived"), ("segs_out", "segmentsSent"), ("segs_in", "segmentsReceived"),
      ("retrans", "retransmissions"), ("ooo", "outOfOrder"),
    ] { words.append("\(word):\(socket[name].count)") }
    if let rate = socket.member("pacingRate"), rate.value > 0 {
      words.append("pacing_rate:\(Quantity.rate(rate.value))bps")
    }
    words += ["context:\(socket["context"].count)", "mem:\(socket["memory"].count)"]
    return words.joined(separator: " ")
  }

  /// Of microseconds, as `ss` writes it.
  private static func milliseconds(_ value: JSON) -> String {
    let thousandths = value.count
    let rest = "\(thousandths % 1000)"
    return "\(thousandths / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
  }
}
