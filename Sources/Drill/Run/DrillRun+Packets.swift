import Timing
import Wire

extension DrillRun {
  // MARK: In

  /// Injects a packet of the script.
  mutating func inject(_ packet: PacketDescription, _ line: Int) throws(Stop) {
    receive(packet)
    guard let flow else { return }
    let bytes: [UInt8]
    do throws(PacketProblem) {
      bytes = try PacketBuilder(flow: flow, scalesEchoes: options.scalesEchoes, keys: options.keys).build(
        packet)
    } catch {
      switch error {
      case .unsupported(let what): throw .skipped("line \(line): \(what)")
      case .unknownEcho, .malformed: throw .failed(failure(line, "\(error)", expected: "\(packet)"))
      }
    }
    log.append("\(now.seconds) \(packet)")
    note()
    let segment = packet.segment
    // As the original gives them to the kernel: whole, or, with `--mss`, as one that the kernel has joined.
    guard
      host.inject(
        bytes, isSegment: segment != nil, segmentSize: options.pieceSize ?? 0,
        payload: segment?.sequence.length ?? 0)
    else {
      throw .skipped("line \(line): a packet of \(bytes.count) bytes is larger than the stack's are")
    }
    note()
    try lookAtBlocked()
  }

  /// What a packet from the network means for the connection that the script is about.
  private mutating func receive(_ packet: PacketDescription) {
    let isTCP = packet.segment != nil
    let isUDP = if case .udp = packet.content { true } else { false }
    // A socket that neither listens nor connects answers nothing: the packet is for a port without a socket.
    let isFirst = isTCP ? flow?.stage == .listening || flow?.stage == .new : flow?.stage == .new && isUDP
    if flow == nil || isFirst {
      let listener = flow
      keep()
      var passive = Flow(
        stage: .packetReceived, transport: isTCP ? .tcp : .udp, local: translation.bindAddress,
        remote: SocketAddress(translation.connectAddress.address, port: nextRemotePort()))
      passive.remoteInitial = packet.segment?.sequence.start ?? 0
      if !isTCP { passive.descriptor = listener?.descriptor }
      flow = passive
    } else if let segment = packet.segment, segment.flags.contains(.syn) {
      if flow?.stage == .connecting || flow?.stage == .synSent {
        flow?.remoteInitial = segment.sequence.start
        flow?.stage = .open
      } else if flow?.wasReset == true, !segment.flags.contains(.ack) {
        // Its numbers count once the stack has answered it: the reset may not have been believed.
        flow?.nextRemoteInitial = segment.sequence.start
      }
    }
    if packet.segment?.flags.contains(.rst) == true { flow?.wasReset = true }
  }

  // MARK: Out

  /// Waits for the packet that the script expects, and compares it.
  mutating func expect(_ packet: PacketDescription, _ line: Int, _ due: Due) throws(Stop) {
    prepare(packet)
    let match = self.match(due)
    var parts: [SentPacket] = []
    var length = 0
    let wanted = packet.segment?.sequence.length ?? 0
    repeat {
      guard let next = try nextSent(expecting: packet, line, due) else {
        var reason = "no packet was sent up to \(now.seconds)"
        if !parts.isEmpty { reason = "only \(length) of \(wanted) bytes were sent up to \(now.seconds)" }
        return try fail(failure(line, reason, expected: "\(packet)"), isFatal: options.isPacketFailureFatal)
      }
      if let last = parts.last, let difference = match.continues(last, next) {
        let actual = parts.map { text($0) } + [text(next)]
        return try fail(
          failure(line, difference, expected: "\(packet)", actual: actual.joined(separator: "\n")),
          isFatal: options.isPacketFailureFatal)
      }
      parts.append(next)
      length += next.description.segment?.sequence.length ?? 0
    } while length < wanted && parts.last?.description.segment?.sequence.length ?? 0 > 0
      && !options.isStrictAboutSegments
    guard let whole = match.merged(parts) else { return }
    try compare(packet, whole, line, due, match)
  }

  private func match(_ due: Due) -> PacketMatch {
    let isStrict = options.isStrictAboutOptions ?? (translation.values.personality == .linux)
    var match = PacketMatch(ignoresOptionOrder: !isStrict, stampTick: options.stampTick)
    // Ticks add up from the start of the script, so the whole of it counts.
    match.stampTolerance = tolerance(for: due.first, since: .zero).count / 1000
    return match
  }

  private mutating func compare(
    _ script: PacketDescription, _ sent: SentPacket, _ line: Int, _ due: Due, _ match: PacketMatch
  ) throws(Stop) {
    guard var flow else { return }
    let actual = match.inScript(sent, expecting: script, flow: &flow)
    var differences = match.differences(script, actual, flow: &flow)
    self.flow = flow
    if !sent.isPayloadZero { differences.append("the payload is not what was written") }
    let time = sent.time - start
    let tolerance = tolerance(for: due.first, since: lastTime)
    if let last = due.last, time < due.first - tolerance || time > last + tolerance {
      let range = last == due.first ? "at \(last.seconds)" : "from \(due.first.seconds) to \(last.seconds)"
      differences.append("time: expected \(range), sent at \(time.seconds)")
    }
    guard !differences.isEmpty else { return }
    try fail(
      failure(
        line, differences.joined(separator: "; "), expected: "\(script)", actual: "\(time.seconds) \(actual)"),
      isFatal: options.isPacketFailureFatal)
  }

  /// What a packet that the script expects tells of the connection.
  private mutating func prepare(_ packet: PacketDescription) {
    guard let segment = packet.segment, segment.flags.contains(.syn) else { return }
    if let initial = flow?.nextRemoteInitial, segment.flags.contains(.ack) {
      flow?.remoteInitial = initial
      flow?.nextRemoteInitial = nil
      flow?.stage = .packetReceived
      flow?.wasReset = false
    }
    switch flow?.stage {
    case .connecting where !segment.flags.contains(.ack), .packetReceived where segment.flags.contains(.ack):
      flow?.scriptLocalInitial = segment.sequence.start
    case .new, .listening, .connecting, .packetReceived, .answered, .synSent, .open, nil: break
    }
  }

  /// The next packet of the connection that the stack sent, or will send in time.
  private mutating func nextSent(
    expecting script: PacketDescription, _ line: Int, _ due: Due
  ) throws(Stop) -> SentPacket? {
    let limit = max(
      due.last.map { $0 + tolerance(for: $0, since: lastTime) + Self.patience } ?? now + .seconds(3600), now)
    while true {
      while !sent.isEmpty {
        let emission = sent.removeFirst()
        var packet: SentPacket
        do throws(PacketProblem) {
          packet = try SentPacket(
            emission.bytes, at: emission.time, encapsulation: host.settings.encapsulationPort)
        } catch {
          throw .failed(failure(line, "what the stack sent is no packet: \(error)"))
        }
        guard isOfFlow(packet, expecting: script) else {
          log.append(
            "\((packet.time - start).seconds) passed over: \(packet.source) \(packet.description) \(packet.destination)"
          )
          continue
        }
        if let flow { packet.judge(emission.bytes, options.keys, flow) }
        log.append("\((packet.time - start).seconds) \(text(packet))")
        return packet
      }
      guard now < limit, host.nextDeadline != nil || blocked != nil else { return nil }
      guard host.advanceToNextEvent(limit: start + limit) || now < limit else { return nil }
      note()
      try lookAtBlocked()
    }
  }

  /// Whether a packet belongs to the connection that the script is about; learns its numbers from its first.
  private mutating func isOfFlow(_ packet: SentPacket, expecting script: PacketDescription) -> Bool {
    guard let flow else { return false }
    if case .icmp = script.content { return packet.transport == .icmpv4 || packet.transport == .icmpv6 }
    if let ports = script.ports, packet.source.port == ports.source,
      packet.destination.port == ports.destination
    {
      return packet.transport == flow.transport
    }
    guard packet.transport == flow.transport, packet.destination == flow.remote else { return false }
    guard flow.stage != .connecting else {
      if let segment = packet.description.segment {
        guard segment.flags.contains(.syn), !segment.flags.contains(.ack) else { return false }
        self.flow?.localInitial = segment.sequence.start
        self.flow?.stage = .synSent
      }
      self.flow?.local = packet.source
      return true
    }
    guard packet.source == flow.local else { return false }
    if flow.stage == .packetReceived, let segment = packet.description.segment,
      segment.flags.contains([.syn, .ack])
    {
      self.flow?.localInitial = segment.sequence.start
      self.flow?.stage = .answered
    }
    return true
  }

  /// A packet as the script would write it.
  func text(_ packet: SentPacket) -> String {
    guard var flow else { return "\(packet.description)" }
    var plain = packet
    plain.description.typeOfService = .any
    plain.description.timeToLive = nil
    plain.description.flowLabel = nil
    return "\(PacketMatch().inScript(plain, expecting: plain.description.plain, flow: &flow))"
  }
}

extension PacketDescription {
  /// The same without what a comparison would take for a time stamp's name.
  fileprivate var plain: PacketDescription {
    var packet = self
    if var segment {
      segment.options = nil
      packet.content = .tcp(segment)
    }
    return packet
  }
}
