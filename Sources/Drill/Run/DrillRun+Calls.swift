import TCP
import Timing
import Wire

extension DrillRun {
  /// Makes a call of the script, and compares its outcome, now or when it ends.
  mutating func make(
    _ call: ScriptCall, _ line: Int, _ due: Due, base: Nanoseconds, isRelative: Bool
  ) throws(Stop) {
    let made: SystemCall
    let isAnswer = flow?.transport == .udp && flow?.stage == .packetReceived
    translation.replyAddress = isAnswer ? flow?.remote : nil
    do throws(CallProblem) {
      made = try translation.call(call)
    } catch {
      throw stop(error, call, line)
    }
    before(made)
    log.append("\(now.seconds) \(call.name)(\(call.arguments.map(\.description).joined(separator: ", ")))")
    let begun = now
    switch host.begin(made) {
    case .unsupported(let reason): throw .skipped("line \(line): \(call.name): \(reason)")
    case .done(let result):
      note()
      let end = call.end.map { isRelative ? base + $0 : $0 }
      try finish(
        BlockedCall(
          call: call, line: line, handle: CallHandle(number: 0), isDeclared: end != nil, start: due.first,
          end: end ?? begun), result)
    case .blocked(let handle):
      note()
      let end = call.end.map { isRelative ? base + $0 : $0 }
      blocked = BlockedCall(
        call: call, line: line, handle: handle, isDeclared: end != nil, start: due.first, end: end ?? begun)
      // A program that does not expect to wait does, and the script with it.
      if end == nil { try finishBlocked(within: Self.longestSurprise) }
      if end == nil, blocked != nil {
        throw .failed(failure(line, "the call waits, and the script does not say so", expected: "\(call)"))
      }
    }
  }

  /// How long a call is waited for of which the script does not say that it waits.
  private static let longestSurprise = Nanoseconds.seconds(10)

  func stop(_ problem: CallProblem, _ call: ScriptCall, _ line: Int) -> Stop {
    switch problem {
    case .unsupported(let what): .skipped("line \(line): \(call.name): \(what)")
    case .invalid(let what): .failed(failure(line, "\(call.name): \(what)", expected: "\(call)"))
    }
  }

  /// What a call means for the connection that the script is about, before it is made: what the stack sends in it must
  /// be known for the connection's.
  private mutating func before(_ call: SystemCall) {
    switch call {
    case .connect(let descriptor, .inet(let peer)): connecting(descriptor, peer)
    case .connect(let descriptor, .unspecified):
      if flow?.descriptor == descriptor { flow?.isDissolved = true }
    // A datagram's, or data in a SYN: MSG_FASTOPEN asks for it with Linux, the socket's option with BSD.
    case .sendto(let descriptor, _, _, .inet(let peer)), .sendmsg(let descriptor, _, .inet(let peer), _, _):
      connecting(descriptor, peer)
    // The other side has it too. One that is no key is refused by the call itself, which says why.
    case .setsockopt(_, level: 6, name: 38, .records(let records), size: _):
      if let key = try? records.first?.key(isIPv4: true) { options.keys.add(key) }
    case .setsockopt(_, level: 6, name: 14, .records(let records), size: _),
      .setsockopt(_, level: 6, name: 32, .records(let records), size: _):
      if let secret = (records.first?.text("key")).flatMap({ TCPSecret($0.utf8) }) {
        options.keys.add(secret)
      }
    default: break
    }
  }

  private mutating func connecting(_ descriptor: Int32, _ peer: SocketAddress) {
    if flow?.descriptor == descriptor, let old = flow, old.isDissolved {
      // Another connection of the same descriptor's: its numbers are its own.
      flow = Flow(stage: .new, transport: old.transport, local: old.local, remote: old.remote)
      flow?.descriptor = descriptor
    }
    guard flow?.descriptor == descriptor, flow?.stage == .new || flow?.stage == .connecting else { return }
    flow?.stage = .connecting
    flow?.remote = peer
  }

  /// Compares an outcome, and remembers what it means for descriptors and connections.
  mutating func compare(_ call: ScriptCall, _ result: CallResult, _ line: Int) throws(Stop) {
    log.append("\(now.seconds) \(call.name) = \(result.value)" + (result.errno.map { " \($0.name)" } ?? ""))
    let difference: String?
    do throws(CallProblem) {
      difference = try check.difference(call, result)
    } catch {
      throw stop(error, call, line)
    }
    if let difference {
      try fail(
        failure(line, "\(call.name): \(difference)", expected: "\(call)"), isFatal: options.isCallFailureFatal
      )
    }
    after(call, result)
  }

  private mutating func after(_ call: ScriptCall, _ result: CallResult) {
    guard result.value >= 0 else { return }
    // What is no number (`...`, `*`) names no descriptor: a refusal to read it as one means just that.
    if CallCheck.returnsDescriptor(call.name), let name = try? translation.values.integer(call.result) {
      translation.descriptors[name] = Int32(truncatingIfNeeded: result.value)
    }
    if call.name == "pipe", let list = call.arguments.first, case .list(let names) = list {
      for (name, descriptor) in zip(names, result.descriptors) {
        if let number = try? translation.values.integer(name) { translation.descriptors[number] = descriptor }
      }
    }
    let descriptor = Int32(truncatingIfNeeded: result.value)
    let argument = call.arguments.first.flatMap { try? translation.values.integer($0) }
    switch call.name {
    case "socket":
      let type = (try? translation.values.integer(call.arguments[1])) ?? 1
      keep()
      flow = Flow(
        stage: .new, transport: type & 0xF == 2 ? .udp : .tcp,
        local: SocketAddress(translation.bindAddress.address, port: 0),
        remote: translation.connectAddress)
      flow?.descriptor = descriptor
    case "listen":
      if let argument, flow?.descriptor == translation.descriptors[argument] { flow?.stage = .listening }
    case "accept", "accept4":
      guard let peer = result.address else { break }
      if flow?.remote == peer, flow?.descriptor == nil {
        flow?.descriptor = descriptor
      } else if let index = others.firstIndex(where: { $0.remote == peer && $0.descriptor == nil }) {
        let accepted = others.remove(at: index)
        keep()
        flow = accepted
        flow?.descriptor = descriptor
      }
    case "close":
      if let argument { translation.descriptors[argument] = nil }
    default: break
    }
  }

  /// Puts the connection aside for another.
  mutating func keep() {
    if let flow, flow.stage != .new, flow.stage != .listening { others.append(flow) }
    flow = nil
  }
}
