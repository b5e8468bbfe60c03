import Timing

/// Compares the outcome of a call with what the script expects.
struct CallCheck {
  var values = ExpressionValues()
  /// The start of the script, which time stamps count from, and how far they may be off.
  var start = Instant.zero
  var tolerance = Nanoseconds.milliseconds(4)

  /// Calls that return a descriptor, of which any will do.
  static func returnsDescriptor(_ name: String) -> Bool {
    ["socket", "accept", "accept4", "open", "epoll_create", "epoll_create1"].contains(name)
  }

  /// What is not as expected, in words; nil if nothing is.
  func difference(_ call: ScriptCall, _ result: CallResult) throws(CallProblem) -> String? {
    let expectedError = call.errorName.flatMap { Errno(name: $0) }
    if let name = call.errorName, expectedError == nil { throw .unsupported("the error \(name)") }
    if call.result != .ellipsis {
      let expected = try values.integer(call.result)
      let isDescriptor = Self.returnsDescriptor(call.name) && expected >= 0
      let value = reported(call, result)
      guard isDescriptor ? value >= 0 : value == expected else {
        return "expected \(outcome(expected, call.errorName)), got \(outcome(value, result.errno?.name))"
      }
    }
    if let expectedError, result.errno != expectedError {
      return "expected \(expectedError.name), got \(result.errno?.name ?? "no error")"
    }
    guard result.value >= 0 || call.name == "recvmsg" else { return nil }
    return try written(call, result)
  }

  /// What the script would call the result: BSD has another number for O_NONBLOCK.
  private func reported(_ call: ScriptCall, _ result: CallResult) -> Int64 {
    guard values.personality == .bsd, call.name == "fcntl", call.arguments.count > 1,
      call.arguments[1] == .word("F_GETFL"), result.value >= 0
    else { return result.value }
    return result.value & ~0x800 | (result.value & 0x800 != 0 ? 4 : 0)
  }

  private func outcome(_ value: Int64, _ error: String?) -> String {
    "\(value)" + (error.map { " \($0)" } ?? "")
  }

  /// What the call wrote into memory.
  private func written(_ call: ScriptCall, _ result: CallResult) throws(CallProblem) -> String? {
    let arguments = call.arguments
    switch call.name {
    case "getsockopt" where arguments.count > 3: return try option(arguments[3], result)
    case "ioctl" where arguments.count > 2 && arguments[2].isList:
      return try integer("the integer", values.item(arguments[2]), result.integer)
    case "sendfile" where arguments.count > 2 && arguments[2].isList: return nil
    case "poll" where !arguments.isEmpty: return try polled(values.list(arguments[0]), result.pollEvents)
    case "epoll_wait" where arguments.count > 1 && result.value > 0:
      return try epolled(arguments[1], result.epollEvents)
    case "recvmsg" where arguments.count > 1: return try message(arguments[1], result)
    case "read" where arguments.count > 1, "recv" where arguments.count > 1,
      "recvfrom" where arguments.count > 1:
      guard case .string(let text, _) = arguments[1] else { return nil }
      return Array(text.utf8).starts(with: result.bytes) ? nil : "the bytes read are not \"\(text)\""
    default: return nil
    }
  }

  private func integer(_ what: String, _ expression: ScriptExpression, _ got: Int64?) throws(CallProblem)
    -> String?
  {
    if expression == .ellipsis { return nil }
    let expected = try values.integer(expression)
    // 0xffffffff and -1 are the same 32 bits.
    if let got, UInt32(truncatingIfNeeded: expected) == UInt32(truncatingIfNeeded: got),
      expected.magnitude <= UInt64(UInt32.max)
    {
      return nil
    }
    return expected == got ? nil : "\(what): expected \(expression), got \(got.map(String.init) ?? "none")"
  }

  private func option(_ expression: ScriptExpression, _ result: CallResult) throws(CallProblem) -> String? {
    if case .records(let got) = result.option { return try records(expression, got) }
    switch expression {
    case .ellipsis: return nil
    case .list(let items) where items.count == 1:
      if items[0] == .ellipsis { return nil }
      if case .structure = items[0] { return try option(items[0], result) }
      switch result.option {
      case .integer(let value): return try integer("the option", items[0], Int64(value))
      case .byte(let value): return try integer("the option", items[0], Int64(value))
      default: return "the option is \(result.option.map { "\($0)" } ?? "none"), no number"
      }
    case .string(let text, _):
      return result.option == .string(text)
        ? nil : "the option: expected \(text), got \(result.option.map { "\($0)" } ?? "none")"
    default:
      let expected = try values.option(expression, size: nil)
      return result.option == expected
        ? nil : "the option: expected \(expression), got \(result.option.map { "\($0)" } ?? "none")"
    }
  }

  /// Structures, of which the fields that the script writes are compared.
  private func records(_ expression: ScriptExpression, _ got: [OptionRecord]) throws(CallProblem) -> String? {
    if expression == .ellipsis { return nil }
    let expected = if case .list(let items) = expression { items } else { [expression] }
    guard expected.count <= got.count else {
      return "expected \(expected.count) structures, got \(got.count)"
    }
    for (item, record) in zip(expected, got) {
      for (name, value) in try values.record(item).fields where record.fields[name] != value {
        return "\(name): expected \(value), got \(record.fields[name].map { "\($0)" } ?? "none")"
      }
    }
    return nil
  }

  private func polled(_ expected: [ScriptExpression], _ got: [Int16]) throws(CallProblem) -> String? {
    for (index, entry) in expected.enumerated() {
      let wanted = try values.optionalField("revents", of: entry) ?? .integer(0)
      if let difference = try integer(
        "revents", wanted, got.indices.contains(index) ? Int64(got[index]) : nil)
      {
        return difference
      }
    }
    return nil
  }

  private func epolled(_ expression: ScriptExpression, _ got: [EpollEvent]) throws(CallProblem) -> String? {
    guard expression != .ellipsis else { return nil }
    let expected = if case .list(let items) = expression { items } else { [expression] }
    for (index, entry) in expected.enumerated() where index < got.count {
      let wanted = try values.epollEvent(entry)
      if wanted != got[index] {
        return "events: expected \(entry), got {events=0x\(String(got[index].events, radix: 16)), "
          + "data=\(got[index].data)}"
      }
    }
    return nil
  }

  private func message(_ expression: ScriptExpression, _ result: CallResult) throws(CallProblem) -> String? {
    if let flags = try values.optionalField("msg_flags", of: expression), result.value >= 0 {
      if let difference = try integer("msg_flags", flags, Int64(result.messageFlags)) { return difference }
    }
    guard result.value >= 0, let list = try values.optionalField("msg_control", of: expression),
      list != .ellipsis
    else { return nil }
    let expected = try values.control(list)
    guard expected.count == result.control.count, zip(expected, result.control).allSatisfy(isSame) else {
      return "control messages: expected \(list), got \(result.control)"
    }
    return nil
  }

  private func isSame(_ expected: ControlMessage, _ got: ControlMessage) -> Bool {
    guard case .times(let wanted) = expected.value, case .times(let times) = got.value,
      let time = wanted.first, let stamp = times.first
    else { return expected == got }
    let off = (Instant(nanoseconds: UInt64(clamping: stamp)) - start).count - time
    return expected.level == got.level && expected.type == got.type
      && off.magnitude <= tolerance.count.magnitude
  }
}
