import Timing
import Wire

// What was parsed, as text that parses to the same again.

extension Script: CustomStringConvertible {
  /// The script, an event a line.
  public var description: String {
    var lines = options.map(\.description)
    if let setUp { lines.append("`\(setUp.text)`") }
    lines += events.map(\.description)
    if let cleanUp { lines.append("`\(cleanUp.text)`") }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension ScriptOption: CustomStringConvertible {
  /// `--name=value`.
  public var description: String {
    guard let value else { return "--\(name)" }
    // A quotation mark inside was written bare, and within it may stand blanks.
    if value.contains("\"") { return "--\(name)=\(value)" }
    // What begins like a comment would be one.
    let isPlain =
      !value.isEmpty && !value.hasPrefix("#") && !value.hasPrefix("/")
      && value.utf8.allSatisfy { !$0.isBlank && $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "`") }
    return isPlain ? "--\(name)=\(value)" : "--\(name)=\"\(value)\""
  }
}

extension ScriptEvent: CustomStringConvertible {
  /// Its time and what happens.
  public var description: String {
    if case .call(let call) = action, let end = call.end {
      return "\(time)...\(end.seconds) \(call)"
    }
    return "\(time) \(action)"
  }
}

extension EventTime: CustomStringConvertible {
  /// As scripts write it.
  public var description: String {
    switch self {
    case .absolute(let time): time.seconds
    case .relative(let time): "+\(time.seconds)"
    case .absoluteRange(let start, let end): "\(start.seconds)~\(end.seconds)"
    case .relativeRange(let start, let end): "+\(start.seconds)~+\(end.seconds)"
    case .any: "*"
    }
  }
}

extension Nanoseconds {
  /// In seconds with six digits of fraction, or nine where they are needed.
  var seconds: String {
    let magnitude = count.magnitude
    let fraction = String(magnitude % 1_000_000_000 + 1_000_000_000).dropFirst()
    let digits = fraction.hasSuffix("000") ? fraction.dropLast(3) : fraction
    return "\(count < 0 ? "-" : "")\(magnitude / 1_000_000_000).\(digits)"
  }
}

extension EventAction: CustomStringConvertible {
  /// As scripts write it.
  public var description: String {
    switch self {
    case .packet(let packet): packet.description
    case .call(let call): call.description
    case .shell(let command): "`\(command.text)`"
    case .code(let text): "%{ \(text) }%"
    }
  }
}

extension ScriptCall: CustomStringConvertible {
  /// The call, what it returns, and its error.
  public var description: String {
    let call = "\(name)(\(arguments.map(\.description).joined(separator: ", "))) = \(result)"
    return call + (errorName.map { " \($0)" } ?? "") + (note.map { " (\($0))" } ?? "")
  }
}

extension ScriptExpression: CustomStringConvertible {
  /// As scripts write it.
  public var description: String {
    switch self {
    case .ellipsis: "..."
    case .number(let value, let hexadecimal): hexadecimal ? "0x\(String(value, radix: 16))" : String(value)
    case .word(let word): word
    case .string(let text, let partial): partial ? "\"\(text)\"..." : "\"\(text)\""
    case .union(let parts): parts.map(\.description).joined(separator: "|")
    case .list(let items): "[\(items.map(\.description).joined(separator: ", "))]"
    case .structure(let fields): "{\(fields.map(\.description).joined(separator: ", "))}"
    case .call(let name, let arguments): "\(name)(\(arguments.map(\.description).joined(separator: ", ")))"
    }
  }
}

extension ScriptField: CustomStringConvertible {
  /// As scripts write it.
  public var description: String {
    guard let name else { return value.description }
    return "\(name)\(argument.map { "(\($0))" } ?? "")=\(value)"
  }
}

extension PacketDescription: CustomStringConvertible {
  /// As scripts write it.
  public var description: String {
    var words = [direction == .inbound ? "<" : ">"]
    var security: String?
    for carrier in carriers {
      switch carrier {
      case .internet(let isIPv6, let source, let destination):
        words.append("\(isIPv6 ? "ipv6" : "ipv4") \(source) > \(destination):")
      case .gre: words.append("gre :")
      case .mpls: words.append("mpls :")
      case .psp: security = "encap psp"
      }
    }
    var header: [String] = []
    switch typeOfService {
    case .any: break
    case .ecn(let bits): header.append(["noecn", "ect1", "ect0", "ce"][Int(bits & 3)])
    case .capable: header.append("ect01")
    case .byte(let byte): header.append("tos 0x\(String(byte, radix: 16))")
    }
    if let timeToLive { header.append("ttl \(timeToLive)") }
    if let flowLabel { header.append("flowlabel 0x\(String(flowLabel, radix: 16))") }
    if !header.isEmpty { words.append("[\(header.joined(separator: ", "))]") }
    if let security { words.append(security) }
    let ports = ports.map { "\($0.source) > \($0.destination)" }
    switch content {
    case .tcp(let segment):
      if let ports { words.append(ports) }
      words.append(segment.description)
      if let encapsulation { words.append("/udp(\(encapsulation.source) > \(encapsulation.destination))") }
    case .udp(let size):
      words.append("udp")
      if let ports { words.append(ports) }
      words.append("(\(size))")
    case .icmp(let message): words.append(message.description)
    }
    return words.joined(separator: " ")
  }
}

extension SequenceRange: CustomStringConvertible {
  /// `1:1001(1000)`.
  public var description: String { "\(start):\(end)(\(length))" }
}

extension SegmentDescription: CustomStringConvertible {
  /// As scripts write it.
  public var description: String {
    let range =
      switch sequenceOrigin {
      case .connection: "\(sequence)"
      case .wire: "\(sequence)!"
      case .unknown: "...(\(sequence.length))"
      }
    var words = ["\(flagWord) \(range)"]
    if let acknowledgment { words.append("ack \(acknowledgment)") }
    if let window { words.append("win \(window)") }
    if urgentPointer != 0 { words.append("urg \(urgentPointer)") }
    if let options {
      if !options.isEmpty { words.append("<\(options.map(\.description).joined(separator: ","))>") }
    } else {
      words.append("<...>")
    }
    return words.joined(separator: " ")
  }

  var flagWord: String {
    let letters: [(TCPFlags, String)] = [
      (.fin, "F"), (.syn, "S"), (.rst, "R"), (.psh, "P"), (.urg, "U"), (.ece, "E"), (.cwr, "W"), (.ae, "A"),
    ]
    let word = letters.filter { flags.contains($0.0) }.map(\.1).joined()
    if let acknowledgedMarks { return word + ".\(acknowledgedMarks)" }
    if flags.contains(.ack) { return word + "." }
    return word.isEmpty ? "-" : word
  }
}

extension OptionDescription: CustomStringConvertible {
  /// As scripts write it.
  public var description: String {
    switch self {
    case .noOperation: "nop"
    case .endOfList: "eol"
    case .maximumSegmentSize(let size): "mss \(size)"
    case .windowScale(let shift): "wscale \(shift)"
    case .sackPermitted: "sackOK"
    case .sack(let blocks): "sack " + blocks.map { "\($0.left):\($0.right)" }.joined(separator: " ")
    case .timestamps(let value, let echo): "TS val \(value) ecr \(echo)"
    case .fastOpen(let cookie): cookie.isEmpty ? "FO" : "FO \(Self.hexadecimal(cookie))"
    case .fastOpenExperimental(let cookie): cookie.isEmpty ? "FOEXP" : "FOEXP \(Self.hexadecimal(cookie))"
    case .md5(let digest): digest.isEmpty ? "md5" : "md5 \(Self.hexadecimal(digest))"
    case .md5Valid: "md5 valid"
    case .md5Wrong: "md5 wrong"
    case .authentication(let key, let next, .valid): "ao keyid \(key) rnext \(next)"
    case .authentication(let key, let next, .wrong): "ao keyid \(key) rnext \(next) wrong"
    case .authentication(let key, let next, .bytes(let bytes)):
      "ao keyid \(key) rnext \(next) mac" + (bytes.isEmpty ? "" : " \(Self.hexadecimal(bytes))")
    case .accurateECN(let first, let values):
      "ECN "
        + zip(first == .capableZero ? ["e0b", "ceb", "e1b"] : ["e1b", "ceb", "e0b"], values)
        .map { "\($0) \($1)" }.joined(separator: " ")
    case .other(let kind, let bytes): "option \(kind) \(Self.hexadecimal(bytes))"
    }
  }

  private static func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { String(UInt16($0) + 0x100, radix: 16).dropFirst() }.joined()
  }
}

extension MessageDescription: CustomStringConvertible {
  /// As scripts write it.
  public var description: String {
    var words = ["icmp \(type)"]
    if let code { words.append(code) }
    if let mtu { words.append("mtu \(mtu)") }
    if let identifier { words.append("id \(identifier)") }
    switch quote {
    case nil: break
    case .tcp(let range):
      words.append("[\(range)\(quotedEncapsulation.map { "/udp(\($0.source) > \($0.destination))" } ?? "")]")
    case .udp(let size): words.append("[udp (\(size))]")
    case .raw(let size): words.append("[raw (\(size))]")
    }
    return words.joined(separator: " ")
  }
}
