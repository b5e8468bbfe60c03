/// What `sluice top` draws, and what its keys do: a screen is made of a state and a size, and nothing else.
struct TopScreen {
  var column = TopTable.Column.rateOut
  var isReversed = false
  /// First row that is shown.
  var offset = 0
  var filter = ""
  /// What is typed behind `/` is the filter.
  var isTyping = false
  var isHelp = false
  var isPaused = false
  /// Seconds between two looks.
  var delay = 1.0
  static let delays: ClosedRange<Double> = 0.25...60
  /// Rows of the table that the last screen had room for.
  private(set) var page = 1

  init() {}

  // MARK: Keys

  /// What a key asks of the loop.
  enum Answer { case draw, look, quit, nothing }

  /// Takes keys as a terminal sends them; a sequence of an arrow or such comes whole.
  mutating func press(_ bytes: [UInt8]) -> Answer {
    if isTyping { return type(bytes[...]) }
    if let step = Self.moves.first(where: { $0.keys.contains(bytes) })?.step { return move(step) }
    var answer = Answer.nothing
    for (place, byte) in bytes.enumerated() {
      switch Character(UnicodeScalar(byte)) {
      case "q", "\u{3}": return .quit
      case "h", "?": isHelp.toggle()
      case " ":
        answer = .look
        continue
      case "p": isPaused.toggle()
      case "<", ",": turn(-1)
      case ">", ".": turn(1)
      case "r", "R", "I": isReversed.toggle()
      case "i": column = .rateIn
      case "o": column = .rateOut
      case "t": column = .roundTrip
      case "w": column = .window
      case "s": column = .sendQueue
      case "u": column = .receiveQueue
      case "a": column = .again
      case "l": column = .local
      case "m": column = .remote
      case "+": delay = min(delay * 2, Self.delays.upperBound)
      case "-": delay = max(delay / 2, Self.delays.lowerBound)
      case "/":
        (isTyping, filter) = (true, "")
        return type(bytes[(place + 1)...])
      case "\u{1B}": (isHelp, filter) = (false, "")
      case "j": _ = move(.line(1))
      case "k": _ = move(.line(-1))
      case "g": _ = move(.first)
      case "G": _ = move(.last)
      default: continue
      }
      answer = .draw
    }
    return answer
  }

  private enum Step { case line(Int), page(Int), first, last }
  private static let moves: [(keys: [[UInt8]], step: Step)] = [
    ([Array("\u{1B}[A".utf8), Array("\u{1B}OA".utf8)], .line(-1)),
    ([Array("\u{1B}[B".utf8), Array("\u{1B}OB".utf8)], .line(1)),
    ([Array("\u{1B}[5~".utf8)], .page(-1)), ([Array("\u{1B}[6~".utf8)], .page(1)),
    ([Array("\u{1B}[H".utf8), Array("\u{1B}[1~".utf8), Array("\u{1B}OH".utf8)], .first),
    ([Array("\u{1B}[F".utf8), Array("\u{1B}[4~".utf8), Array("\u{1B}OF".utf8)], .last),
  ]
  /// Behind every row.
  private static let far = 1 << 40

  private mutating func move(_ step: Step) -> Answer {
    switch step {
    case .line(let count): offset += count
    case .page(let count): offset += count * page
    case .first: offset = 0
    case .last: offset = Self.far
    }
    offset = max(0, offset)
    return .draw
  }

  private mutating func turn(_ step: Int) {
    let all = TopTable.Column.allCases
    let place = all.firstIndex(of: column) ?? 0
    column = all[(place + step + all.count) % all.count]
  }

  private mutating func type(_ bytes: ArraySlice<UInt8>) -> Answer {
    for byte in bytes {
      switch byte {
      case 3: return .quit
      case 13, 10: isTyping = false
      case 27:
        (isTyping, filter) = (false, "")
        return .draw  // the rest of a sequence is no text
      case 8, 127: _ = filter.popLast()
      case 32...126 where filter.count < 64: filter.append(Character(UnicodeScalar(byte)))
      default: continue
      }
    }
    offset = 0
    return .draw
  }

  // MARK: Drawing

  /// Lines of the screen, none longer than `width`; as many as `height` at most.
  mutating func lines(_ table: TopTable, width: Int, height: Int) -> [String] {
    var lines = Self.summary(table, width)
    if isTyping || !filter.isEmpty { lines.append("filter: \(filter)\(isTyping ? "_" : "")") }
    if isPaused { lines.append("paused: p goes on") }
    if isHelp { return (lines + [""] + Self.help).prefix(height).map { String($0.prefix(width)) } }
    let rows = table.rows(by: column, isReversed: isReversed, filter: filter)
    lines.append("")
    let columns = Self.columns(width)
    lines.append(
      line(columns, width) { column in column == self.column ? "\(column.title)*" : column.title })
    page = max(1, height - lines.count)
    offset = min(offset, max(0, rows.count - page))
    for row in rows.dropFirst(offset).prefix(page) { lines.append(line(columns, width) { $0.text(row) }) }
    return lines.prefix(height).map { String($0.prefix(width)) }
  }

  private static func summary(_ table: TopTable, _ width: Int) -> [String] {
    let rates = table.rates
    let loads = rates.loads.enumerated().map { "\($0):\(Int(($1 * 100).rounded()))%" }
    return [
      "sluice \(table.command) \(table.process), up \(table.uptime) s, \(table.link) link, version \(table.version)",
      "connections: \(rates.connections)  "
        + table.states.map { "\($0.1) \($0.0)" }.joined(separator: ", "),
      "contexts:    \(loads.joined(separator: " "))",
      "in:          \(Quantity.rate(rates.bytesIn))bit/s  \(Quantity.count(rates.packetsIn)) packets/s    "
        + "out: \(Quantity.rate(rates.bytesOut))bit/s  \(Quantity.count(rates.packetsOut)) packets/s",
      "waiting:     \(Quantity.bytes(rates.waiting))B at links    again: \(Quantity.count(rates.retransmissions))/s    "
        + "drops: \(Quantity.count(rates.drops))/s    "
        + "sockets: \(Quantity.bytes(table.memory))B of \(Quantity.bytes(table.memoryLimit))B",
    ]
  }

  /// Those that there is room for, the less important ones left out.
  private static func columns(_ width: Int) -> [TopTable.Column] {
    var left = TopTable.Column.allCases
    let dispensable: [TopTable.Column] = [
      .context, .receiveWindow, .sendWindow, .again, .state, .window, .local,
    ]
    for column in dispensable where names(left, width) < 21 { left.removeAll { $0 == column } }
    return left
  }
  /// What each of the names gets.
  private static func names(_ columns: [TopTable.Column], _ width: Int) -> Int {
    let fixed = columns.reduce(0) { $0 + ($1.width ?? 0) } + columns.count - 1
    return max(8, (width - fixed) / max(1, columns.count { $0.width == nil }))
  }
  private func line(
    _ columns: [TopTable.Column], _ width: Int, _ text: (TopTable.Column) -> String
  ) -> String {
    let names = min(47, Self.names(columns, width))
    return columns.map { column in
      let width = column.width ?? names
      return column.isText ? Quantity.left(text(column), width) : Quantity.right(text(column), width)
    }.joined(separator: " ")
  }

  static let help = [
    "q, ^C     quit                        space  look now",
    "< >       sort by the next column     p      pause, and go on",
    "R, I      reverse                     + -    look less often, more often",
    "i o       sort by bits in, out        /      show only what has a text in it; Enter ends, Esc clears",
    "t w       by round trip, window       arrows, PgUp, PgDn, Home, End, j k g G   move",
    "s u a     by send queue, receive queue, what was sent again",
    "l m       by local, remote name       h, ?   this, and back",
    "",
    "IN/s and OUT/s are bits of payload that arrived and that the peer acknowledged; RTT the smoothed round trip;",
    "CWND in segments; SNDWND and RCVWND what the peer and we offer; SENDQ what is written and not acknowledged,",
    "RECVQ what arrived and is not read; AGAIN segments a second that were sent again.",
  ]
}
