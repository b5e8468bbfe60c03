// getsockopt and setsockopt: what every level has in common. The options themselves: OptionTable.

import Sockets

extension DrillHost {
  func getOption(_ endpoint: Endpoint, _ level: Int32, _ name: Int32, _ size: Int) -> Step {
    guard size >= 0 else { return .fail(.EINVAL) }
    // TCP_INFO, and TCP_CC_INFO: what the congestion control has to tell is among it.
    if level == 6, name == 11 || name == 26 {
      var result = CallResult(0)
      result.info = info(endpoint)
      return .done(result)
    }
    return switch option(endpoint, level, name) {
    case .value(let value): got(value, size)
    case .refused(let errno): .fail(errno)
    case .unsupported(let reason): .unsupported(reason)
    }
  }

  private func got(_ value: OptionValue, _ size: Int) -> Step {
    var result = CallResult(0)
    result.option = value
    // A byte is what options of IP give to who has room for no more.
    if case .integer(let number) = value, (1...3).contains(size), (0...255).contains(number) {
      result.option = .byte(UInt8(number))
    }
    return .done(result)
  }

  func setOption(_ endpoint: Endpoint, _ level: Int32, _ name: Int32, _ value: OptionValue, _ size: Int?)
    -> Step
  {
    if case .null = value { return .fail(.EFAULT) }
    if let size, size < 0 { return .fail(.EINVAL) }
    return switch setOption(endpoint, level, name, value, given: size ?? value.byteCount) {
    case nil: .success()
    case .refused(let errno): .fail(errno)
    case .unsupported(let reason): .unsupported(reason)
    case .value: .success()
    }
  }

  /// The stack learns what is set now.
  func apply(_ endpoint: Endpoint) {
    let options = endpoint.streamOptions
    switch endpoint.phase {
    case .fresh(let fresh): fresh.setOptions(options)
    case .stream(let stream): stream.setOptions(options)
    case .listening(let listener): listener.setOptions(options)
    case .gone: break
    }
    settle()
  }
}

extension OptionValue {
  /// What the value has in memory, in bytes.
  var byteCount: Int {
    switch self {
    case .integer: 4
    case .byte: 1
    case .linger: 8
    case .time: 16
    case .string(let text): text.utf8.count
    case .bytes(let bytes): bytes.count
    case .records(let records): 256 * records.count
    case .null: 0
    }
  }
}

/// What became of an option that was asked for, or set.
enum OptionOutcome {
  case value(OptionValue)
  case refused(Errno)
  case unsupported(String)
}
