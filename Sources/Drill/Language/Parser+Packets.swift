import Wire

extension Parser {
  /// `<` or `>`, what carries the packet, what its IP header says, its ports, and what it is.
  mutating func packet() throws(ScriptError) -> PacketDescription {
    let place = try peek().position
    let direction: PacketDescription.Direction =
      try take().kind == .sign(UInt8(ascii: "<")) ? .inbound : .outbound
    var packet = PacketDescription(direction, .udp(0))
    while let carrier = try carrier() { packet.carriers.append(carrier) }
    let quote = try earlyQuote()
    try internetWords(into: &packet)
    if try takeWord(ifNext: "encap") {
      guard try takeWord(ifNext: "psp") else { throw unexpected(try take(), wanted: "'psp'") }
      if try takeWord(ifNext: "spi") { _ = try number("spi", as: UInt32.self) }
      packet.carriers.append(.psp)
    }
    if try takeWord(ifNext: "udp") {
      packet.ports = try ports()
      packet.content = .udp(try parenthesizedSize())
      return packet
    }
    if try takeWord(ifNext: "udplite") { throw ScriptError(.unsupported("UDP-Lite"), at: place) }
    if try takeWord(ifNext: "sctp") { throw ScriptError(.unsupported("SCTP"), at: place) }
    if try takeWord(ifNext: "icmp") {
      packet.content = .icmp(try message(quoting: quote))
      return packet
    }
    if quote != nil { throw unexpected(try take(), wanted: "'icmp'") }
    packet.ports = try ports()
    let segment = try segment(direction)
    if segment.options == nil, direction == .inbound { throw ScriptError(.anyOptionsInbound, at: place) }
    packet.content = .tcp(segment)
    packet.encapsulation = try encapsulation()
    return packet
  }

  // MARK: What carries it

  private mutating func carrier() throws(ScriptError) -> PacketDescription.Carrier? {
    let token = try peek()
    switch token.kind {
    case .word("ipv4"), .word("ipv6"):
      _ = try take()
      var ignored = PacketDescription(.inbound, .udp(0))
      try internetWords(into: &ignored)
      let source = try address(beforeColon: false)
      try takeSign(">")
      let destination = try address(beforeColon: true)
      try takeSign(":")
      return .internet(isIPv6: token.kind == .word("ipv6"), source: source, destination: destination)
    case .word("gre"), .word("GREv0"):
      _ = try take()
      try skip(to: ":")
      return .gre
    case .word("mpls"):
      _ = try take()
      try skip(to: ":")
      return .mpls
    default: return nil
    }
  }

  /// An address, of the carrier's family or not; without the colon that ends a carrier.
  private mutating func address(beforeColon: Bool) throws(ScriptError) -> String {
    let token = try peek()
    var text = try takeRaw(stoppingAt: [UInt8(ascii: ">")])
    if beforeColon, text.hasSuffix(":") {
      text.removeLast()
      // The colon is wanted again by whoever reads on.
      var colon = token
      colon.range = token.range.lowerBound + text.utf8.count..<token.range.lowerBound + text.utf8.count + 1
      colon.position.column += text.utf8.count
      rewind(to: colon)
    }
    guard IPAddress(text) != nil else { throw unexpected(token, wanted: "an address") }
    return text
  }

  /// Takes what a carrier says up to its colon: the runner does not build it.
  private mutating func skip(to sign: Character) throws(ScriptError) {
    while true {
      let token = try take()
      if token.kind == .sign(sign.asciiValue!) { return }
      if token.kind == .end { throw unexpected(token, wanted: "'\(sign)'") }
    }
  }

  // MARK: Words about the IP header

  /// `[ect0]`, `(tos 0x28)`, `[ttl 64]`, `[ect0, flowlabel 0x1]`, `(hlim 3)`, `(class 0x28)`.
  private mutating func internetWords(into packet: inout PacketDescription) throws(ScriptError) {
    let end: Character
    if try takeSign(ifNext: "[") {
      end = "]"
    } else if try takeSign(ifNext: "(") {
      end = ")"
    } else {
      return
    }
    repeat {
      let token = try take()
      switch token.kind {
      case .word("noecn"): packet.typeOfService = .ecn(0)
      case .word("ect1"): packet.typeOfService = .ecn(1)
      case .word("ect0"): packet.typeOfService = .ecn(2)
      case .word("ce"): packet.typeOfService = .ecn(3)
      case .word("ect01") where packet.direction == .outbound: packet.typeOfService = .capable
      case .word("tos"), .word("class"): packet.typeOfService = .byte(try number("tos", as: UInt8.self))
      case .word("ttl"), .word("hlim"): packet.timeToLive = try number("ttl", as: UInt8.self)
      case .word("flowlabel"):
        packet.flowLabel = try number("flowlabel", as: UInt32.self, limit: 0xF_FFFF)
      default: throw unexpected(token, wanted: "ect0, ect1, ce, noecn, tos, ttl or flowlabel")
      }
    } while try takeSign(ifNext: ",")
    try takeSign(end)
  }

  private mutating func ports() throws(ScriptError) -> PortPair? {
    let token = try peek()
    guard case .integer = token.kind else { return nil }
    _ = try take()
    guard try takeSign(ifNext: ">") else {
      rewind(to: token)
      return nil
    }
    rewind(to: token)
    return try portPair()
  }

  private mutating func portPair() throws(ScriptError) -> PortPair {
    let source = try number("a port", as: UInt16.self)
    try takeSign(">")
    return PortPair(source: source, destination: try number("a port", as: UInt16.self))
  }

  /// `/udp(a > b)`.
  private mutating func encapsulation() throws(ScriptError) -> PortPair? {
    guard try takeSign(ifNext: "/") else { return nil }
    guard try takeWord(ifNext: "udp") else { throw unexpected(try take(), wanted: "'udp'") }
    try takeSign("(")
    let ports = try portPair()
    try takeSign(")")
    return ports
  }

  // MARK: Segments

  private mutating func segment(_ direction: PacketDescription.Direction) throws(ScriptError)
    -> SegmentDescription
  {
    let (flags, marks) = try flags()
    var segment = SegmentDescription(flags: flags, sequence: SequenceRange(start: 0, length: 0))
    segment.acknowledgedMarks = marks
    let first = try peek()
    if first.kind == .ellipsis {
      guard direction == .outbound else { throw unexpected(first, wanted: "a sequence number") }
      _ = try take()
      segment.sequence.length = try parenthesizedSize()
      segment.sequenceOrigin = .unknown
    } else {
      segment.sequence = try sequence()
      if try takeSign(ifNext: "!") { segment.sequenceOrigin = .wire }
    }
    if try takeWord(ifNext: "ack") { segment.acknowledgment = try number("ack", as: UInt32.self) }
    if try takeWord(ifNext: "win") { segment.window = try number("win", as: UInt16.self) }
    if try takeWord(ifNext: "urg") { segment.urgentPointer = try number("urg", as: UInt16.self) }
    let place = try peek().position
    if try takeSign(ifNext: "<") {
      var takesAny = try peek().kind == .ellipsis
      // A dialect writes `<nocheck>`.
      if takesAny { _ = try take() } else { takesAny = try takeWord(ifNext: "nocheck") }
      if takesAny {
        segment.options = nil
      } else {
        var options: [OptionDescription] = []
        repeat { options.append(try option()) } while try takeSign(ifNext: ",")
        guard options.reduce(0, { $0 + $1.byteCount }) <= 40 else {
          throw ScriptError(.optionsTooLong, at: place)
        }
        segment.options = options
      }
      try takeSign(">")
    }
    return segment
  }

  /// `S.`, `.`, `-`, `SEW`, `P.5`, `P5.`.
  private mutating func flags() throws(ScriptError) -> (TCPFlags, marks: UInt8?) {
    var flags = TCPFlags()
    var count: UInt8?
    let token = try peek()
    switch token.kind {
    case .sign(UInt8(ascii: "-")):
      _ = try take()
      return ([], nil)
    case .word(let word):
      _ = try take()
      for letter in word {
        switch letter {
        case "F": flags.insert(.fin)
        case "S": flags.insert(.syn)
        case "R": flags.insert(.rst)
        case "P": flags.insert(.psh)
        case "U": flags.insert(.urg)
        case "E": flags.insert(.ece)
        case "W", "C": flags.insert(.cwr)
        case "A", "N": flags.insert(.ae)
        case "0"..."7" where count == nil: count = letter.wholeNumberValue.map { UInt8($0) }
        default: throw ScriptError(.unknownFlag(String(letter)), at: token.position)
        }
      }
    case .sign(UInt8(ascii: ".")), .fraction: break
    default: throw unexpected(token, wanted: "TCP flags")
    }
    // `.5` is lexed as a number: the acknowledgment's dot, and the counter ACE.
    let dot = try peek()
    switch dot.kind {
    case .sign(UInt8(ascii: ".")):
      _ = try take()
      flags.insert(.ack)
    case .fraction:
      _ = try take()
      let text = lexer.text(dot.range)
      guard count == nil, text.hasPrefix("."), text.utf8.count == 2, let marks = UInt8(text.dropFirst()),
        marks < 8
      else {
        throw ScriptError(.outOfRange(field: "ACE", limit: 7), at: dot.position)
      }
      flags.insert(.ack)
      return (flags, marks)
    default:
      // A count is an acknowledgment's.
      if count != nil { throw unexpected(dot, wanted: "'.'") }
    }
    return (flags, count)
  }

  /// `1:1001(1000)`.
  mutating func sequence() throws(ScriptError) -> SequenceRange {
    let place = try peek().position
    let start = try number("a sequence number", as: UInt32.self)
    try takeSign(":")
    let end = try number("a sequence number", as: UInt32.self)
    let length = try parenthesizedSize()
    guard end == start &+ UInt32(length) else { throw ScriptError(.inconsistentSequence, at: place) }
    return SequenceRange(start: start, length: length)
  }

  private mutating func option() throws(ScriptError) -> OptionDescription {
    let token = try take()
    guard case .word(let name) = token.kind else { throw unexpected(token, wanted: "a TCP option") }
    switch name {
    case "nop": return .noOperation
    case "eol": return .endOfList
    case "mss": return .maximumSegmentSize(try number("mss", as: UInt16.self))
    case "wscale": return .windowScale(try number("wscale", as: UInt8.self))
    case "sackOK": return .sackPermitted
    case "sack": return .sack(try blocks())
    case "TS":
      guard try takeWord(ifNext: "val") else { throw unexpected(try take(), wanted: "'val'") }
      let value = try number("val", as: UInt32.self)
      guard try takeWord(ifNext: "ecr") else { throw unexpected(try take(), wanted: "'ecr'") }
      return .timestamps(value: value, echo: try number("ecr", as: UInt32.self))
    case "FO": return .fastOpen(cookie: try hexadecimal(limit: 38))
    case "FOEXP": return .fastOpenExperimental(cookie: try hexadecimal(limit: 36))
    case "md5":
      if try takeWord(ifNext: "valid") { return .md5Valid }
      if try takeWord(ifNext: "wrong") { return .md5Wrong }
      return .md5(digest: try hexadecimal(limit: 16))
    case "ao":
      guard try takeWord(ifNext: "keyid") else { throw unexpected(try take(), wanted: "'keyid'") }
      let key = try number("keyid", as: UInt8.self)
      guard try takeWord(ifNext: "rnext") else { throw unexpected(try take(), wanted: "'rnext'") }
      let next = try number("rnext", as: UInt8.self)
      if try takeWord(ifNext: "wrong") { return .authentication(key: key, next: next, .wrong) }
      guard try takeWord(ifNext: "mac") else { return .authentication(key: key, next: next, .valid) }
      return .authentication(key: key, next: next, .bytes(try hexadecimal(limit: 36)))
    case "ECN": return try accurateECN()
    default: throw unexpected(token, wanted: "a TCP option")
    }
  }

  private mutating func blocks() throws(ScriptError) -> [SequencePair] {
    var blocks: [SequencePair] = []
    repeat {
      let left = try number("a sequence number", as: UInt32.self)
      try takeSign(":")
      blocks.append(SequencePair(left, try number("a sequence number", as: UInt32.self)))
    } while try isNumberNext() && blocks.count < 5
    return blocks
  }

  private mutating func isNumberNext() throws(ScriptError) -> Bool {
    if case .integer = try peek().kind { true } else { false }
  }

  /// `ECN e1b 1 ceb 0 e0b 1`: one to three counters of 24 bits, CE in the middle.
  private mutating func accurateECN() throws(ScriptError) -> OptionDescription {
    let token = try take()
    guard token.kind == .word("e0b") || token.kind == .word("e1b") else {
      throw unexpected(token, wanted: "'e0b' or 'e1b'")
    }
    let isZeroFirst = token.kind == .word("e0b")
    var values = [try number("a counter of ECN", as: UInt32.self, limit: 0xFF_FFFF)]
    if try takeWord(ifNext: "ceb") {
      values.append(try number("a counter of ECN", as: UInt32.self, limit: 0xFF_FFFF))
      if try takeWord(ifNext: isZeroFirst ? "e1b" : "e0b") {
        values.append(try number("a counter of ECN", as: UInt32.self, limit: 0xFF_FFFF))
      }
    }
    return .accurateECN(first: isZeroFirst ? .capableZero : .capableOne, values: values)
  }

  /// Pairs of hexadecimal digits, as many as there are: none before a comma or the end.
  private mutating func hexadecimal(limit: Int) throws(ScriptError) -> [UInt8] {
    let token = try peek()
    let digits: [UInt8]
    switch token.kind {
    // The digits themselves: leading zeros count.
    case .word, .integer, .hexadecimal:
      digits = token.substitute.map { Array($0.utf8) } ?? Array(lexer.bytes[token.range])
    default: return []
    }
    _ = try take()
    let values = digits.compactMap(\.hexValue)
    if values.count != digits.count, case .word(let name) = token.kind, name.utf8.allSatisfy(\.isCapital) {
      throw ScriptError(.undefined(name), at: token.position)
    }
    guard values.count == digits.count, digits.count % 2 == 0, digits.count <= 2 * limit else {
      throw ScriptError(
        .notHexadecimal(String(decoding: digits.prefix(80), as: UTF8.self)), at: token.position)
    }
    return stride(from: 0, to: values.count, by: 2).map { values[$0] << 4 | values[$0 + 1] }
  }

  // MARK: ICMP

  /// `[1:1001(1000)]` before `icmp`, where old scripts have it.
  private mutating func earlyQuote() throws(ScriptError) -> SequenceRange? {
    let start = try peek()
    guard try takeSign(ifNext: "[") else { return nil }
    guard try isNumberNext() else {
      rewind(to: start)
      return nil
    }
    let range = try sequence()
    try takeSign("]")
    return range
  }

  /// `icmp TYPE CODE mtu N id N [quote]`, without its first word.
  private mutating func message(quoting early: SequenceRange?) throws(ScriptError) -> MessageDescription {
    var message = MessageDescription(type: try takeWord("the type of an ICMP message"))
    message.quote = early.map { .tcp($0) }
    if case .word(let code) = try peek().kind, code != "mtu", code != "id" {
      _ = try take()
      message.code = code
    }
    if try takeWord(ifNext: "mtu") { message.mtu = try number("mtu", as: UInt32.self) }
    if try takeWord(ifNext: "id") { message.identifier = try number("id", as: UInt16.self) }
    guard try takeSign(ifNext: "[") else { return message }
    if try takeWord(ifNext: "udp") {
      message.quote = .udp(try parenthesizedSize())
    } else if try takeWord(ifNext: "raw") {
      message.quote = .raw(try parenthesizedSize())
    } else {
      message.quote = .tcp(try sequence())
      message.quotedEncapsulation = try encapsulation()
    }
    try takeSign("]")
    return message
  }

  private mutating func parenthesizedSize() throws(ScriptError) -> Int {
    try takeSign("(")
    let size = try number("the payload's size", as: UInt16.self)
    try takeSign(")")
    return Int(size)
  }
}
