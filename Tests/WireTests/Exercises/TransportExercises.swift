import Chance
import Wire

extension SeededGenerator {
  mutating func inlineBytes(_ count: Int) -> InlineBytes<16> {
    var result = InlineBytes<16>()
    for _ in 0..<count { result.append(any()) }
    return result
  }

  /// Options that find room in a header together.
  mutating func tcpOptions() -> TCPOptions {
    var options = TCPOptions()
    switch below(5) {
    case 0:
      options.timestamps = TCPTimestamps(value: any(), echo: any())
    case 1:
      if bool() { options.mss = any() }
      if bool() { options.windowScale = UInt8(below(15)) }
      options.sackPermitted = bool()
      if bool() { options.timestamps = TCPTimestamps(value: any(), echo: any()) }
      if bool() { options.fastOpenCookie = inlineBytes(bool() ? 0 : 4 + 2 * below(7)) }
      options.fastOpenIsExperimental = bool()
    case 2:
      if bool() { options.timestamps = TCPTimestamps(value: any(), echo: any()) }
      for _ in 0..<below(options.timestamps == nil ? 5 : 4) {
        options.sack.append(SACKBlock(left: .init(any()), right: .init(any())))
      }
    case 3:
      if bool() { options.timestamps = TCPTimestamps(value: any(), echo: any()) }
      for _ in 0..<below(options.timestamps == nil ? 4 : 2) {
        options.sack.append(SACKBlock(left: .init(any()), right: .init(any())))
      }
      options.accurateECN = TCPAccurateECN(
        order: bool() ? .capable0First : .capable1First, count: below(4), capable0: any(), experienced: any(),
        capable1: any())
    default:
      if bool() { options.md5Digest = inlineBytes(16) }
      if bool() {
        options.authentication = TCPAuthentication(
          keyIdentifier: any(), nextKeyIdentifier: any(), code: inlineBytes(below(17)))
      }
      if bool() { options.timestamps = TCPTimestamps(value: any(), echo: any()) }
      if bool() { options.userTimeout = TCPUserTimeout(rawValue: any()) }
    }
    return options
  }

  mutating func tcpHeader() -> TCPHeader {
    TCPHeader(
      sourcePort: any(), destinationPort: any(), sequence: .init(any()), acknowledgment: .init(any()),
      flags: TCPFlags(rawValue: any()), window: any(), urgentPointer: any(), options: tcpOptions())
  }
}

extension Exercise {
  static let udp = Exercise(name: "udp") { random in
    let payload = random.bytes(random.below(32))
    let header = UDPHeader(
      sourcePort: random.any(), destinationPort: random.any(), payloadByteCount: payload.count)
    let datagram = emitting(header.byteCount + payload.count) { span in
      header.emit(into: &span)
      for (index, byte) in payload.enumerated() { span.set(byte, at: header.byteCount + index) }
      InternetChecksum.seal(
        &span, at: UDPHeader.checksumOffset, source: IPAddress(exerciseSource),
        destination: IPAddress(exerciseDestination), protocol: .udp)
    }
    return datagram + random.bytes(random.below(8))
  } read: { bytes in
    consume(try? QuotedTransport.parse(bytes))
    guard let view = try? UDPView(bytes), let header = try? UDPHeader.parse(bytes) else { return .refused }
    guard view.payload.byteCount + header.byteCount == Int(header.length) else { return .wrong("lengths") }
    consume(
      view.isChecksumValid(source: IPAddress(exerciseSource), destination: IPAddress(exerciseDestination)))
    let second = again(Int(header.length)) {
      header.emit(into: &$0)
    } _: { span throws(WireError) in
      try UDPHeader.parse(span)
    }
    return compare(header, second)
  }

  static let tcp = Exercise(name: "tcp") { random in
    let header = random.tcpHeader()
    let payload = random.bytes(random.below(32))
    return emitting(header.byteCount + payload.count) { span in
      header.emit(into: &span)
      for (index, byte) in payload.enumerated() { span.set(byte, at: header.byteCount + index) }
      InternetChecksum.seal(
        &span, at: TCPHeader.checksumOffset, source: IPAddress(exerciseSource),
        destination: IPAddress(exerciseDestination), protocol: .tcp)
    }
  } read: { bytes in
    consume(try? TCPOptions.parse(bytes))
    let glance = TCPGlance(bytes)
    guard let view = try? TCPView(bytes), let (header, count) = try? TCPHeader.parse(bytes) else {
      return glance == nil ? .refused : .wrong("a glance at what is no header")
    }
    // What a glance says is what the header says, and that it has no other options.
    var plain = TCPOptions()
    plain.timestamps = header.options.timestamps
    let isWhole = count == 32 && bytes.uint32(at: 20) == 0x0101_080A || count == 20
    guard (glance != nil) == isWhole else { return .wrong("a glance sees \(String(describing: glance))") }
    if let glance {
      guard glance.sequence == header.sequence, glance.acknowledgment == header.acknowledgment,
        glance.flags == header.flags, glance.window == header.window, glance.headerByteCount == count,
        header.options == plain, glance.hasTimestamps == (plain.timestamps != nil),
        glance.timestamps == plain.timestamps ?? TCPTimestamps(value: 0, echo: 0)
      else { return .wrong("a glance sees \(glance)") }
      guard sumsAsWritten(glance, header) else { return .wrong("the words of \(glance)") }
    }
    guard count == view.headerByteCount, count + view.payload.byteCount == bytes.byteCount else {
      return .wrong("lengths")
    }
    consume(
      view.isChecksumValid(source: IPAddress(exerciseSource), destination: IPAddress(exerciseDestination)))
    func next(_ header: TCPHeader) -> TCPHeader? {
      again(header.byteCount) {
        header.emit(into: &$0)
      } _: { span throws(WireError) in
        let (header, count) = try TCPHeader.parse(span)
        guard count == span.byteCount else { throw .badHeaderLength(count) }
        return header
      }
    }
    guard header.byteCount <= 60, header.byteCount % 4 == 0 else {
      return .wrong("length \(header.byteCount)")
    }
    guard let second = next(header) else { return .wrong("\(header) is refused") }
    // Aligned as we write them, options may need more room than they came in; then some are left out.
    if second.byteCount > 40, next(second) == second { return .understood }
    return compare(header, second)
  }
}

/// Whether a header of these fields, written with the checksum that its words add up to, is right as bytes.
private func sumsAsWritten(_ glance: TCPGlance, _ header: TCPHeader) -> Bool {
  let (source, destination) = (IPAddress(exerciseSource), IPAddress(exerciseDestination))
  var sum = InternetChecksum()
  sum.addPseudoHeader(
    source: source, destination: destination, protocol: .tcp, byteCount: glance.headerByteCount)
  sum.add(words: glance.sum(sourcePort: header.sourcePort, destinationPort: header.destinationPort))
  let checksum = sum.finish()
  let written = emitting(glance.headerByteCount) {
    glance.emit(
      into: &$0, sourcePort: header.sourcePort, destinationPort: header.destinationPort, checksum: checksum)
  }
  let left = unsafe InternetChecksum.of(
    written.span.bytes, source: source, destination: destination, protocol: .tcp)
  return left == 0
}
