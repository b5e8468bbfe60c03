/// What `sluice top` shows: connections with what they did between two states of a stack, in the order that was asked for.
struct TopTable {
  /// One connection.
  struct Row {
    var local = ""
    var remote = ""
    var state = ""
    var context = 0
    /// Bytes a second that the peer acknowledged, and that arrived from it.
    var rateOut = 0.0
    var rateIn = 0.0
    /// Microseconds; 0 before the first measurement.
    var roundTrip = 0.0
    /// In segments.
    var window = 0
    /// In bytes.
    var sendWindow = 0.0
    var receiveWindow = 0.0
    var sendQueue = 0.0
    var receiveQueue = 0.0
    /// Segments a second that were sent again.
    var again = 0.0
  }

  /// What rows are sorted by, and a column of the table.
  enum Column: String, CaseIterable {
    case local, remote, state, context, rateIn, rateOut, roundTrip, window, sendWindow, receiveWindow,
      sendQueue,
      receiveQueue, again

    var title: String {
      switch self {
      case .local: "LOCAL"
      case .remote: "REMOTE"
      case .state: "STATE"
      case .context: "CTX"
      case .rateIn: "IN/s"
      case .rateOut: "OUT/s"
      case .roundTrip: "RTT"
      case .window: "CWND"
      case .sendWindow: "SNDWND"
      case .receiveWindow: "RCVWND"
      case .sendQueue: "SENDQ"
      case .receiveQueue: "RECVQ"
      case .again: "AGAIN"
      }
    }
    /// Of numbers; the texts share what is left of the line.
    var width: Int? {
      switch self {
      case .local, .remote: nil
      case .state: 11
      case .context: 3
      case .rateIn, .rateOut, .roundTrip, .sendWindow, .receiveWindow, .sendQueue, .receiveQueue: 6
      case .window, .again: 5
      }
    }
    var isText: Bool { self == .local || self == .remote || self == .state }

    func text(_ row: Row) -> String {
      switch self {
      case .local: row.local
      case .remote: row.remote
      case .state: row.state
      case .context: "\(row.context)"
      case .rateIn: Quantity.rate(row.rateIn)
      case .rateOut: Quantity.rate(row.rateOut)
      case .roundTrip: Quantity.time(row.roundTrip)
      case .window: "\(row.window)"
      case .sendWindow: Quantity.bytes(row.sendWindow)
      case .receiveWindow: Quantity.bytes(row.receiveWindow)
      case .sendQueue: Quantity.bytes(row.sendQueue)
      case .receiveQueue: Quantity.bytes(row.receiveQueue)
      case .again: Quantity.count(row.again)
      }
    }
    /// What it is sorted by, if that is a number.
    func number(_ row: Row) -> Double {
      switch self {
      case .local, .remote, .state: 0
      case .context: Double(row.context)
      case .rateIn: row.rateIn
      case .rateOut: row.rateOut
      case .roundTrip: row.roundTrip
      case .window: Double(row.window)
      case .sendWindow: row.sendWindow
      case .receiveWindow: row.receiveWindow
      case .sendQueue: row.sendQueue
      case .receiveQueue: row.receiveQueue
      case .again: row.again
      }
    }
    func comesBefore(_ a: Row, _ b: Row) -> Bool {
      isText ? text(a) < text(b) : number(a) > number(b)
    }
  }

  let rates: StackRates
  let rows: [Row]
  /// Of the stack.
  let version: String
  let process: Int
  let command: String
  let link: String
  let uptime: Int
  /// Bytes of sockets, and of how many in all.
  let memory: Double
  let memoryLimit: Double
  /// Connections by state, those that there are.
  let states: [(String, Int)]

  init(from before: JSON, to now: JSON) {
    rates = StackRates(from: before, to: now)
    let seconds = rates.seconds
    func key(_ socket: JSON) -> String? {
      guard let local = socket["local"].string, let remote = socket["remote"].string else { return nil }
      return "\(local) \(remote)"
    }
    var earlier: [String: JSON] = [:]
    for socket in before["sockets"]["list"].elements { if let key = key(socket) { earlier[key] = socket } }
    rows = now["sockets"]["list"].elements.compactMap { socket in
      guard let key = key(socket) else { return nil }
      // Of one that came since, all is new; of one that could not be looked at there are no rates.
      let old = earlier[key]
      func rate(_ name: String) -> Double {
        guard let later = socket.member(name)?.value else { return 0 }
        if let old, old.member(name) == nil { return 0 }
        let before = old?[name].value ?? 0
        return later < before ? 0 : (later - before) / seconds
      }
      var row = Row()
      row.local = socket["local"].string ?? ""
      row.remote = socket["remote"].string ?? ""
      row.state = socket["state"].string ?? ""
      row.context = socket["context"].count
      row.rateOut = rate("bytesAcknowledged")
      row.rateIn = rate("bytesReceived")
      row.again = rate("retransmissions")
      row.roundTrip = socket["roundTrip"].value
      row.window = socket["congestionWindow"].count
      row.sendWindow = socket["sendWindow"].value
      row.receiveWindow = socket["receiveWindow"].value
      row.sendQueue = socket["unacknowledged"].value
      row.receiveQueue = socket["unread"].value
      return row
    }
    version = now["version"].string ?? "?"
    process = now["process"]["id"].count
    command = now["process"]["command"].string ?? ""
    link = now["process"]["link"].string ?? ""
    uptime = now["uptimeSeconds"].count
    memory = now["memory"]["used"].members.reduce(0) { $0 + $1.1.value }
    memoryLimit = now["memory"]["hard"].value
    states = now["tcp"].members.map { ($0.0, $0.1.count) }.filter { $0.1 > 0 }
  }

  /// Rows that have `filter` in a name or a state, sorted.
  func rows(by column: Column, isReversed: Bool, filter: String) -> [Row] {
    let wanted = filter.lowercased()
    let found =
      wanted.isEmpty
      ? rows
      : rows.filter { "\($0.local) \($0.remote) \($0.state)".lowercased().contains(wanted) }
    // Among equals the order of names, so that lines stay where they are.
    let sorted = found.sorted { a, b in
      if column.comesBefore(a, b) { return true }
      if column.comesBefore(b, a) { return false }
      return (a.remote, a.local) < (b.remote, b.local)
    }
    return isReversed ? sorted.reversed() : sorted
  }

  var json: JSON {
    .object { document in
      document["process"] = .number(process)
      document["rates"] = rates.json
      document["connections"] = .array(
        rows.map { row in
          .object {
            $0["local"] = .text(row.local)
            $0["remote"] = .text(row.remote)
            $0["state"] = .text(row.state)
            $0["context"] = .number(row.context)
            $0["bitsIn"] = .real(row.rateIn * 8)
            $0["bitsOut"] = .real(row.rateOut * 8)
            $0["roundTripMicroseconds"] = .real(row.roundTrip)
            $0["congestionWindow"] = .number(row.window)
            $0["sendWindow"] = .real(row.sendWindow)
            $0["receiveWindow"] = .real(row.receiveWindow)
            $0["sendQueue"] = .real(row.sendQueue)
            $0["receiveQueue"] = .real(row.receiveQueue)
            $0["retransmissions"] = .real(row.again)
          }
        })
    }
  }
}
