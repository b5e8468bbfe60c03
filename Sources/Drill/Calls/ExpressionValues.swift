import Wire

/// Reads values from the expressions of a script.
struct ExpressionValues {
  var personality = Personality.linux

  /// The value of a number, a name, a union of them, or `htons(…)`.
  func integer(_ expression: ScriptExpression) throws(CallProblem) -> Int64 {
    switch expression {
    case .number(let value, _): return value
    case .word(let name): return try constant(name)
    case .union(let parts):
      var value: Int64 = 0
      for part in parts { value |= try integer(part) }
      return value
    case .call("htons", let arguments) where arguments.count == 1,
      .call("htonl", let arguments) where arguments.count == 1:
      return try integer(arguments[0])
    case .call("inet_addr", let arguments):
      guard case .string(let text, _)? = arguments.first, let address = IPv4Address(text) else {
        throw .invalid("\(expression) is no address")
      }
      return Int64(address.rawValue.byteSwapped)
    case .ellipsis, .string, .list, .structure, .call:
      throw .invalid("\(expression) is no number")
    }
  }

  private func constant(_ name: String) throws(CallProblem) -> Int64 {
    if name == "NULL" { return 0 }
    if let errno = Errno(name: name) { return Int64(errno.rawValue) }
    // Their numbers are Linux's here, but BSD's scripts also write them as numbers.
    if let value = Numbers.value(name) { return value }
    throw .unsupported("the constant \(name)")
  }

  func int32(_ expression: ScriptExpression) throws(CallProblem) -> Int32 {
    let value = try integer(expression)
    guard let small = Int32(exactly: value) ?? UInt32(exactly: value).map(Int32.init(bitPattern:)) else {
      throw .invalid("\(expression) does not fit 32 bits")
    }
    return small
  }

  /// A count of bytes or entries that can be had.
  func count(_ expression: ScriptExpression) throws(CallProblem) -> Int {
    let value = try integer(expression)
    guard value >= 0 else { throw .invalid("\(expression) is no size") }
    guard value <= 64 << 20 else { throw .unsupported("a size of \(value) bytes") }
    return Int(value)
  }

  /// The items of `[…]`.
  func list(_ expression: ScriptExpression) throws(CallProblem) -> [ScriptExpression] {
    guard case .list(let items) = expression else { throw .invalid("\(expression) is no list") }
    return items
  }

  /// The only item of `[…]`.
  func item(_ expression: ScriptExpression) throws(CallProblem) -> ScriptExpression {
    let items = try list(expression)
    guard items.count == 1 else { throw .invalid("\(expression) has not one item") }
    return items[0]
  }

  /// The fields of `{…}`.
  func fields(_ expression: ScriptExpression) throws(CallProblem) -> [ScriptField] {
    guard case .structure(let fields) = expression else { throw .invalid("\(expression) is no structure") }
    return fields
  }

  /// A field of `{…}` by its name.
  func field(_ name: String, of expression: ScriptExpression) throws(CallProblem) -> ScriptExpression {
    guard let field = try fields(expression).first(where: { $0.name == name }) else {
      throw .invalid("\(expression) has no field \(name)")
    }
    return field.value
  }

  /// The field with one of these names, nil where there is none.
  func optionalField(_ names: String..., of expression: ScriptExpression) throws(CallProblem)
    -> ScriptExpression?
  {
    try fields(expression).first { field in field.name.map(names.contains) ?? false }?.value
  }

  // MARK: What calls take

  /// Bytes to send: `...` is zeros, a string itself, NULL a null pointer.
  func outgoing(_ expression: ScriptExpression, count: Int) throws(CallProblem) -> OutgoingBytes {
    switch expression {
    case .ellipsis: return .zeros(count)
    case .string(let text, _):
      let bytes = Array(text.utf8.prefix(count))
      return .bytes(bytes + [UInt8](repeating: 0, count: count - bytes.count))
    default:
      guard try integer(expression) == 0 else { throw .invalid("\(expression) is no buffer") }
      return .null(count)
    }
  }

  /// Memory to fill: `...` or a string that is expected in it, or NULL.
  func incoming(_ expression: ScriptExpression, count: Int) throws(CallProblem) -> IncomingSpace {
    switch expression {
    case .ellipsis, .string: return .space(count)
    default:
      guard try integer(expression) == 0 else { throw .invalid("\(expression) is no buffer") }
      return .null(count)
    }
  }

  /// The base and size of each entry of `[{..., 1000}, …]`.
  func vectors(_ expression: ScriptExpression) throws(CallProblem) -> [(base: ScriptExpression, count: Int)] {
    var vectors: [(base: ScriptExpression, count: Int)] = []
    for entry in try list(expression) {
      let fields = try fields(entry)
      guard fields.count == 2 else { throw .invalid("\(entry) is no iovec") }
      vectors.append((fields[0].value, try count(fields[1].value)))
    }
    return vectors
  }

  /// An address: `...` is the one given, `{sa_family=…, sin_port=…, sin_addr=…}` the one written.
  func address(_ expression: ScriptExpression, default given: SocketAddress) throws(CallProblem)
    -> AddressArgument
  {
    switch expression {
    case .ellipsis: return .inet(given)
    case .word("AF_UNSPEC"): return .unspecified
    case .structure:
      guard try integer(field("sa_family", of: expression)) != 0 else { return .unspecified }
      let port = try integer(try optionalField("sin_port", "sin6_port", of: expression) ?? .integer(0))
      let place =
        try optionalField("sin_addr", "sin6_addr", of: expression) ?? .string("0.0.0.0", partial: false)
      var text: String?
      if case .call(_, let arguments) = place, case .string(let inner, _)? = arguments.first { text = inner }
      if case .string(let inner, _) = place { text = inner }
      if place == .word("INADDR_ANY") { text = "0.0.0.0" }
      guard let text, let address = IPAddress(text), let port = UInt16(exactly: port) else {
        throw .invalid("\(expression) is no address")
      }
      return .inet(SocketAddress(address, port: port))
    default:
      guard try integer(expression) == 0 else { throw .invalid("\(expression) is no address") }
      return .null
    }
  }

  /// The value of a socket option, of so many bytes.
  func option(_ expression: ScriptExpression, size: Int?) throws(CallProblem) -> OptionValue {
    switch expression {
    case .list(let items) where items.count == 1:
      if case .structure = items[0] { return try option(items[0], size: size) }
      let value = try int32(items[0])
      return size == 1 ? .byte(UInt8(truncatingIfNeeded: value)) : .integer(value)
    case .list(let items) where !items.isEmpty && items.allSatisfy(\.isStructure):
      return .records(try items.map { (item) throws(CallProblem) in try record(item) })
    case .list(let items):
      var bytes: [UInt8] = []
      for item in items {
        bytes += try int32(item).wire.reversed()
      }
      return .bytes(bytes)
    case .string(let text, _): return text.contains("\\") ? .bytes(Self.unescaped(text)) : .string(text)
    case .structure:
      if let isOn = try optionalField("onoff", "l_onoff", of: expression) {
        let seconds = try optionalField("linger", "l_linger", of: expression)
        return .linger(isOn: try integer(isOn) != 0, seconds: try int32(seconds ?? .integer(0)))
      }
      if let seconds = try optionalField("tv_sec", of: expression) {
        return .time(
          seconds: try integer(seconds), microseconds: try integer(field("tv_usec", of: expression)))
      }
      if case .string(let name, _)? = try optionalField("function_set_name", of: expression) {
        return .string(name)
      }
      if try fields(expression).contains(where: { OptionRecord.names.contains($0.name ?? "") }) {
        return .records([try record(expression)])
      }
      throw .unsupported("the structure \(expression)")
    case .word("NULL"): return .null
    case .ellipsis: return .integer(0)
    default:
      let value = try int32(expression)
      // A bare 0 in the place of a pointer.
      return value == 0 ? .null : .integer(value)
    }
  }

  /// A structure by the names of its fields: texts and numbers.
  func record(_ expression: ScriptExpression) throws(CallProblem) -> OptionRecord {
    var record = OptionRecord([:])
    for field in try fields(expression) {
      guard let name = field.name else { throw .invalid("a field of \(expression) has no name") }
      if case .string(let text, _) = field.value {
        record.fields[name] = .text(text)
      } else {
        record.fields[name] = .number(try integer(field.value))
      }
    }
    return record
  }

  /// The bytes of a string with `\x` and two hexadecimal digits for bytes, and `\` before what stands for itself.
  private static func unescaped(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let letter = rest.popFirst() {
      guard letter == UInt8(ascii: "\\"), let next = rest.popFirst() else {
        bytes.append(letter)
        continue
      }
      let digits = String(decoding: rest.prefix(2), as: UTF8.self)
      if next == UInt8(ascii: "x"), let byte = UInt8(digits, radix: 16) {
        bytes.append(byte)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(next)
      }
    }
    return bytes
  }

  /// The events of `{events=…, fd=…}`, and the user's word in it.
  func epollEvent(_ expression: ScriptExpression) throws(CallProblem) -> EpollEvent {
    let events = try integer(field("events", of: expression))
    var data: Int64 = 0
    for name in ["fd", "ptr", "u32", "u64"] {
      if let value = try optionalField(name, of: expression) { data = try integer(value) }
    }
    return EpollEvent(events: UInt32(truncatingIfNeeded: events), data: UInt64(bitPattern: data))
  }

  /// Control messages, to send or that are expected. Times count from the start of the script.
  func control(_ expression: ScriptExpression) throws(CallProblem) -> [ControlMessage] {
    var messages: [ControlMessage] = []
    for entry in try list(expression) {
      messages.append(
        ControlMessage(
          level: try int32(field("cmsg_level", of: entry)), type: try int32(field("cmsg_type", of: entry)),
          value: try controlValue(field("cmsg_data", of: entry))))
    }
    return messages
  }

  private func controlValue(_ expression: ScriptExpression) throws(CallProblem) -> ControlMessage.Value {
    if case .list = expression { return .integer(try int32(item(expression))) }
    guard case .structure = expression else { return .integer(try int32(expression)) }
    if let seconds = try optionalField("scm_sec", of: expression) {
      return .times([try integer(seconds) * 1_000_000_000 + (try integer(field("scm_nsec", of: expression)))])
    }
    func number<Value: FixedWidthInteger>(_ name: String, _ type: Value.Type) throws(CallProblem) -> Value {
      Value(truncatingIfNeeded: try integer(field(name, of: expression)))
    }
    return .error(
      ExtendedError(
        errno: try number("ee_errno", Int32.self), origin: try number("ee_origin", UInt8.self),
        type: try number("ee_type", UInt8.self), code: try number("ee_code", UInt8.self),
        info: try number("ee_info", UInt32.self), data: try number("ee_data", UInt32.self)))
  }
}
