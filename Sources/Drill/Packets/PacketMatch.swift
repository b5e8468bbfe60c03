import Wire

/// Compares what the stack sent with what the script expects.
struct PacketMatch {
  /// Options are compared without padding, in any order.
  var ignoresOptionOrder = false
  /// Microseconds of a tick of the stack's time stamps; 0 does not look at their values.
  var stampTick = 0
  /// How many microseconds a time stamp may be off.
  var stampTolerance: Int64 = 4000

  /// Whether `next` goes on where `last` ends, so that one large segment would have carried both: a script that
  /// expects such a segment is content with its parts. PSH is looked at in the last only, and FIN may only be there.
  func continues(_ last: SentPacket, _ next: SentPacket) -> String? {
    guard let before = last.description.segment, let after = next.description.segment else {
      return "another packet stands between the parts of a segment"
    }
    if after.sequence.start != before.sequence.end { return "the next segment is not adjacent" }
    if after.acknowledgment != before.acknowledgment { return "the parts acknowledge different data" }
    if last.description.encapsulation != next.description.encapsulation {
      return "the parts travel in different datagrams"
    }
    if before.flags.subtracting(.psh) != after.flags.subtracting([.psh, .fin]) {
      return "the parts of the segment have different flags"
    }
    return nil
  }

  /// One segment of its parts.
  func merged(_ parts: [SentPacket]) -> SentPacket? {
    guard var whole = parts.last, let first = parts.first, var segment = whole.description.segment,
      let start = first.description.segment
    else { return parts.first }
    segment.sequence = SequenceRange(
      start: start.sequence.start,
      length: parts.reduce(0) { $0 + ($1.description.segment?.sequence.length ?? 0) })
    whole.description.content = .tcp(segment)
    whole.isPayloadZero = parts.allSatisfy(\.isPayloadZero)
    whole.time = first.time
    return whole
  }

  /// What was sent, in the script's numbers, with what the script says of the IP header and no more.
  ///
  /// The flow learns time stamps.
  func inScript(_ packet: SentPacket, expecting script: PacketDescription, flow: inout Flow)
    -> PacketDescription
  {
    var actual = packet.description
    switch (script.typeOfService, actual.typeOfService) {
    case (.any, _): actual.typeOfService = .any
    case (.ecn, .byte(let byte)), (.capable, .byte(let byte)): actual.typeOfService = .ecn(byte & 3)
    default: break
    }
    if script.timeToLive == nil { actual.timeToLive = nil }
    if script.flowLabel == nil { actual.flowLabel = nil }
    if script.ports != nil {
      actual.ports = PortPair(source: packet.source.port, destination: packet.destination.port)
    }
    guard var segment = actual.segment else { return actual }
    let isSYN = segment.flags.contains(.syn)
    let origin = script.segment?.sequenceOrigin ?? .connection
    if origin == .connection {
      segment.sequence.start &-= flow.localOffset(isSYN: isSYN)
    }
    segment.sequenceOrigin = origin
    let offset = flow.remoteOffset(isSYN: isSYN)
    if let number = segment.acknowledgment { segment.acknowledgment = number &- offset }
    if script.segment?.acknowledgedMarks != nil {
      segment.acknowledgedMarks = segment.flags.marks
      segment.flags.subtract([.ae, .cwr, .ece])
    }
    let isAnyOption = script.segment.map { $0.options == nil } ?? false
    let expected = script.segment?.options?.compactMap {
      if case .timestamps(let value, _) = $0 { value } else { nil as UInt32? }
    }
    segment.options = segment.options?.map { option in
      switch option {
      case .sack(let blocks):
        return .sack(blocks.map { SequencePair($0.left &- offset, $0.right &- offset) })
      case .timestamps(let value, _) where isAnyOption:
        flow.learn(unnamed: value)
        return option
      case .timestamps(let value, let echo):
        guard let name = expected?.first else { return option }
        return .timestamps(value: flow.learn(stamp: value, script: name), echo: echo)
      default: return option
      }
    }
    actual.content = .tcp(segment)
    return actual
  }

  /// What is not as expected, in words; empty if nothing is.
  func differences(_ script: PacketDescription, _ actual: PacketDescription, flow: inout Flow) -> [String] {
    var found: [String] = []
    func note<Value: Equatable>(_ name: String, _ expected: Value, _ got: Value) {
      if expected != got { found.append("\(name): expected \(expected), sent \(got)") }
    }
    switch (script.typeOfService, actual.typeOfService) {
    case (.any, _): break
    case (.capable, .ecn(let bits)):
      if bits != 1 && bits != 2 { found.append("ECN: expected ECT, sent \(bits)") }
    case (.ecn(let bits), .ecn(let sent)): note("ECN bits", bits, sent)
    case (.byte(let byte), .byte(let sent)): note("type of service", byte, sent)
    default: found.append("type of service")
    }
    if let expected = script.timeToLive { note("time to live", expected, actual.timeToLive ?? 0) }
    if let expected = script.flowLabel, !flow.accepts(label: actual.flowLabel ?? 0, script: expected) {
      found.append("flow label: 0x\(String(actual.flowLabel ?? 0, radix: 16)) is not the one meant")
    }
    if let expected = script.ports, let sent = actual.ports, expected != sent {
      found.append(
        "ports: expected \(expected.source) > \(expected.destination), sent \(sent.source) > \(sent.destination)"
      )
    }
    note("in UDP", script.encapsulation?.text ?? "no", actual.encapsulation?.text ?? "no")
    switch (script.content, actual.content) {
    case (.tcp(let expected), .tcp(let sent)): found += differences(expected, sent)
    case (.udp(let expected), .udp(let sent)): note("payload", expected, sent)
    case (.icmp(let expected), .icmp(let sent)):
      note("ICMP type", expected.type, sent.type)
      note("ICMP code", expected.code ?? "0", sent.code ?? "0")
    default: found.append("another protocol")
    }
    return found
  }

  private func differences(_ script: SegmentDescription, _ actual: SegmentDescription) -> [String] {
    var found: [String] = []
    func note<Value: Equatable>(_ name: String, _ expected: Value, _ got: Value) {
      if expected != got { found.append("\(name): expected \(expected), sent \(got)") }
    }
    note("flags", script.flagWord, actual.flagWord)
    if script.sequenceOrigin != .unknown { note("seq", script.sequence.start, actual.sequence.start) }
    note("payload", script.sequence.length, actual.sequence.length)
    note("ack", script.acknowledgment ?? 0, actual.acknowledgment ?? 0)
    if let window = script.window { note("win", window, actual.window ?? 0) }
    note("urg", script.urgentPointer, actual.urgentPointer)
    if let options = script.options { found += differences(options, actual.options ?? []) }
    return found
  }

  private func differences(_ script: [OptionDescription], _ actual: [OptionDescription]) -> [String] {
    let expected = ignoresOptionOrder ? unpadded(script) : script
    let sent = ignoresOptionOrder ? unpadded(actual) : actual
    func text(_ options: [OptionDescription]) -> String {
      options.isEmpty ? "none" : "<\(options.map(\.description).joined(separator: ","))>"
    }
    guard expected.count == sent.count, zip(expected, sent).allSatisfy(isSame) else {
      return ["options: expected \(text(script)), sent \(text(actual))"]
    }
    return []
  }

  /// Without padding, in the order of their names.
  private func unpadded(_ options: [OptionDescription]) -> [OptionDescription] {
    options.filter { $0 != .noOperation && $0 != .endOfList }
      .sorted { $0.description < $1.description }
  }

  private func isSame(_ script: OptionDescription, _ actual: OptionDescription) -> Bool {
    guard case .timestamps(let value, let echo) = script, case .timestamps(let sent, let sentEcho) = actual
    else {
      return script == actual
    }
    guard stampTick > 0 else { return echo == sentEcho }
    let off = Int64(Int32(bitPattern: sent &- value)).magnitude
    return echo == sentEcho && Int64(off) * Int64(stampTick) <= stampTolerance
  }
}

extension PortPair {
  fileprivate var text: String { "\(source) > \(destination)" }
}
