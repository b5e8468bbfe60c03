import TCP
import Timing
import Wire

/// Runs one script against one host.
///
/// Time is the host's, virtual: it goes on to the next event of the script, or of the stack while a packet is
/// awaited. Nothing else moves it, so what the stack does takes no time.
struct DrillRun {
  let script: Script
  var options: DrillOptions
  let host: DrillHost
  /// When the script began.
  let start: Instant
  var translation: CallTranslation
  var check = CallCheck()
  var interpreter = CodeInterpreter()
  /// The connection that packets and code are about: the last that was made.
  var flow: Flow?
  /// Connections before it that still have a descriptor.
  var others: [Flow] = []
  /// What the stack sent and no event has looked at.
  var sent: [DrillHost.Emission] = []
  /// The call that waits, and when it started.
  var blocked: BlockedCall?
  var log: [String] = []
  var warnings: [DrillFailure] = []
  /// Settings of a script of defaults that the host does not have.
  private var refused: Set<String> = []
  /// What had been counted when a command last asked to count anew.
  private var counted: [String: UInt64] = [:]
  /// The time of the event before, as the script has it; nil at the first.
  var lastTime: Nanoseconds?
  /// Whether the event before was a packet from the network.
  var lastWasInbound = false
  private var remotePorts: UInt16 = 40_000

  /// A call that a script says blocks.
  struct BlockedCall {
    var call: ScriptCall
    var line: Int
    var handle: CallHandle
    var isDeclared: Bool
    var start: Nanoseconds
    var end: Nanoseconds
    var descriptor: Int64?
  }

  /// Why a script ends before its end.
  enum Stop: Error {
    case failed(DrillFailure)
    case skipped(String)
  }

  /// How long a call that should have ended is waited for, and a packet that should have come, so that the report can
  /// tell when it did.
  static let patience = Nanoseconds.seconds(2)

  init(_ script: Script, options: DrillOptions, host: DrillHost, translation: CallTranslation) {
    self.script = script
    self.options = options
    self.host = host
    self.translation = translation
    start = host.now
    check.values = translation.values
    check.start = start
    check.tolerance = options.tolerance
  }

  /// The time of the script.
  var now: Nanoseconds { host.now - start }

  // MARK: The loop

  mutating func run() throws(Stop) {
    if let setUp = script.setUp { try shell(setUp) }
    for event in script.events {
      try self.event(event)
      note()
    }
    try finishBlocked(within: .seconds(1))
    if let blocked {
      throw .failed(
        failure(blocked.line, "the call still waits at the end of the script", expected: "\(blocked.call)"))
    }
  }

  private mutating func event(_ event: ScriptEvent) throws(Stop) {
    let isInbound = if case .packet(let packet) = event.action { packet.direction == .inbound } else { false }
    // Packets that follow each other count from each other, all other relative events from the moment.
    let base = isInbound && lastWasInbound ? lastTime ?? now : now
    let due: Due =
      switch event.time {
      case .absolute(let time): Due(time, time)
      case .relative(let time): Due(base + time, base + time)
      case .absoluteRange(let first, let last): Due(first, last)
      case .relativeRange(let first, let last): Due(base + first, base + last)
      case .any: Due(base, nil)
      }
    if let lastTime, case .absolute = event.time, due.first < lastTime, !wasRelative {
      throw .failed(failure(event.line, "time goes backward: \(due.first.seconds) after \(lastTime.seconds)"))
    }
    if case .packet(let packet) = event.action, packet.isFastOpen, refused.contains("net.ipv4.tcp_fastopen") {
      throw .skipped("line \(event.line): TCP fast open")
    }
    switch event.action {
    case .packet(let packet) where packet.direction == .outbound: try expect(packet, event.line, due)
    case .packet(let packet):
      try reach(due, event.line, "the packet")
      try inject(packet, event.line)
    case .call(let call):
      // A call waits for the one that blocks, as one program's would.
      if blocked != nil {
        try reach(due, event.line, nil)
        try finishBlocked(within: .seconds(1))
      }
      try reach(due, event.line, "the call")
      try make(call, event.line, due, base: base, isRelative: isRelative(event.time))
    case .shell(let command):
      try reach(due, event.line, "the command")
      try shell(command)
    case .code(let code):
      try reach(due, event.line, "the code")
      try run(code, event.line)
    }
    lastTime = due.first
    lastWasInbound = isInbound
    wasRelative = isRelative(event.time)
  }

  private var wasRelative = false

  private func isRelative(_ time: EventTime) -> Bool {
    switch time {
    case .relative, .relativeRange, .any: true
    case .absolute, .absoluteRange: false
    }
  }

  /// When an event is due, on the script's clock; `last` is nil for `*`.
  struct Due {
    var first: Nanoseconds
    var last: Nanoseconds?
    init(_ first: Nanoseconds, _ last: Nanoseconds?) {
      self.first = first
      self.last = last
    }
  }

  // MARK: Time

  /// How far an event may be off.
  func tolerance(for due: Nanoseconds, since last: Nanoseconds?) -> Nanoseconds {
    guard let last, last < due else { return options.tolerance }
    return max(
      options.tolerance, Nanoseconds(Int64(Double((due - last).count) * options.tolerancePercent / 100)))
  }

  /// Lets time go on to when an event is due. Being late already is a failure beyond the tolerance.
  private mutating func reach(_ due: Due, _ line: Int, _ what: String?) throws(Stop) {
    if due.first > now {
      try advance(to: due.first)
    } else if let what, now > due.first + tolerance(for: due.first, since: lastTime) {
      throw .failed(
        failure(line, "time: \(what) is due at \(due.first.seconds), and it is \(now.seconds)"))
    }
  }

  private mutating func advance(to time: Nanoseconds) throws(Stop) {
    while now < time, blocked != nil {
      host.advanceToNextEvent(limit: start + time)
      note()
      try lookAtBlocked()
    }
    if now < time { host.advance(to: start + time) }
    note()
    try lookAtBlocked()
  }

  /// Takes over what the stack sent.
  mutating func note() { sent += host.takeOutgoing() }

  // MARK: Calls that wait

  mutating func lookAtBlocked() throws(Stop) {
    guard let waiting = blocked, let result = host.poll(waiting.handle) else { return }
    blocked = nil
    try finish(waiting, result)
  }

  mutating func finish(_ waiting: BlockedCall, _ result: CallResult) throws(Stop) {
    let late = tolerance(for: waiting.end, since: waiting.start)
    try compare(waiting.call, result, waiting.line)
    guard waiting.isDeclared else { return }
    if now > waiting.end + late || now < waiting.end - late {
      try fail(
        failure(
          waiting.line,
          "time: the call is to return at \(waiting.end.seconds), and returned at \(now.seconds)",
          expected: "\(waiting.call)"), isFatal: true)
    }
  }

  /// Waits for a call that blocks, for so long at most.
  mutating func finishBlocked(within span: Nanoseconds) throws(Stop) {
    let limit = now + span
    while blocked != nil, now < limit {
      host.advanceToNextEvent(limit: start + limit)
      note()
      try lookAtBlocked()
    }
  }

  // MARK: Commands and code

  private mutating func shell(_ command: ShellCommand) throws(Stop) {
    for effect in command.effects {
      switch effect {
      case .setting(let name, let value, let isDefault):
        guard case .unsupported(let reason) = host.settings.apply(sysctl: name, value: value) else {
          if name == "route.mtu" { host.changeRoutes() }
          break
        }
        guard isDefault else { throw .skipped("line \(command.line): \(name)=\(value): \(reason)") }
        refused.insert(name)
      case .sleep(let span): try advance(to: now + span)
      case .file(let path, let size): host.addFile(path, [UInt8](repeating: 0, count: size))
      case .count(let state, let expected):
        let count = host.connectionCount(state: state)
        guard count != expected else { break }
        throw .failed(
          failure(command.line, "\(count) connections are in state \(state)", expected: "`\(command.text)`"))
      case .exists(let state):
        guard host.connectionCount(state: state) == 0 else { break }
        throw .failed(
          failure(command.line, "no connection is in state \(state)", expected: "`\(command.text)`"))
      case .countAnew: counted = host.counters()
      case .counted(let name, let times):
        let count = host.counters()[name, default: 0] &- counted[name, default: 0]
        guard times.map({ $0 != count }) ?? (count == 0) else { break }
        throw .failed(
          failure(command.line, "\(name) was counted \(count) times", expected: "`\(command.text)`"))
      case .forgetPeers: host.forgetPeers()
      case .signatureKey(let peer, let secret):
        guard let network = IPAddress(peer), let secret = TCPSecret(secret.utf8) else {
          throw .skipped("line \(command.line): command: setkey for \(peer)")
        }
        let prefix: UInt8 = network.isIPv4 ? 32 : 128
        host.settings.signatureKeys.append(
          TCPSignatureKey(network: network, prefixLength: prefix, secret: secret))
      case .forgetSignatureKeys: host.settings.signatureKeys = []
      case .harmless: break
      case .unsupported(let what): throw .skipped("line \(command.line): command: \(what)")
      }
    }
  }

  private mutating func run(_ code: String, _ line: Int) throws(Stop) {
    let info = flow?.descriptor.flatMap { host.info($0) }
    do throws(CodeProblem) {
      let host = host
      try interpreter.run(code) { name in
        info?[name] ?? Numbers.value(name) ?? Self.freeBSDStates[name].map { Int64(host.number($0)) }
      }
    } catch {
      switch error {
      case .assertion(_, let message):
        let fields = info?.values.filter { code.contains($0.key) }.sorted { $0.key < $1.key }
        throw .failed(
          failure(
            line, message.map { "\(error.withoutMessage): \($0)" } ?? "\(error)", expected: "%{ \(code) }%",
            actual: fields?.map { "\($0.key) = \($0.value)" }.joined(separator: ", ")))
      case .unknownName(let name) where info == nil && name.hasPrefix("tcpi_"):
        throw .failed(failure(line, "no connection has a descriptor that \(name) could be asked of"))
      case .unsupported, .unknownName: throw .skipped("line \(line): \(error)")
      case .type: throw .failed(failure(line, "\(error)"))
      }
    }
    for text in interpreter.output { log.append("\(now.seconds) printed: \(text)") }
    interpreter.output = []
  }

  /// FreeBSD's names of states.
  private static let freeBSDStates: [String: TCPState] = [
    "TCPI_CLOSED": .closed, "TCPI_LISTEN": .listen, "TCPI_SYN_SENT": .synSent,
    "TCPI_SYN_RECEIVED": .synReceived, "TCPI_ESTABLISHED": .established, "TCPI_CLOSE_WAIT": .closeWait,
    "TCPI_FIN_WAIT_1": .finWait1, "TCPI_CLOSING": .closing, "TCPI_LAST_ACK": .lastAck,
    "TCPI_FIN_WAIT_2": .finWait2, "TCPI_TIME_WAIT": .timeWait,
  ]

  // MARK: Reports

  /// How many lines of the log a failure shows.
  private static let contextCount = 12

  func failure(_ line: Int, _ reason: String, expected: String? = nil, actual: String? = nil) -> DrillFailure
  {
    DrillFailure(
      line: line, reason: reason, expected: expected, actual: actual,
      context: Array(log.suffix(Self.contextCount)))
  }

  /// Ends the script, or only notes the failure where it is not fatal.
  mutating func fail(_ failure: DrillFailure, isFatal: Bool) throws(Stop) {
    if isFatal { throw .failed(failure) }
    warnings.append(failure)
  }

  /// A port that no connection of the script came from yet.
  mutating func nextRemotePort() -> UInt16 {
    remotePorts += 1
    return remotePorts
  }
}

extension CodeProblem {
  /// What an assertion says, without its message.
  var withoutMessage: String {
    if case .assertion(let text, _) = self { "assertion failed: \(text)" } else { description }
  }
}
