/// Option kinds (IANA TCP parameters).
@usableFromInline enum TCPOptionKind {
  @inlinable static var end: UInt8 { 0 }
  @inlinable static var padding: UInt8 { 1 }
  @inlinable static var mss: UInt8 { 2 }
  @inlinable static var windowScale: UInt8 { 3 }
  @inlinable static var sackPermitted: UInt8 { 4 }
  @inlinable static var sack: UInt8 { 5 }
  @inlinable static var timestamps: UInt8 { 8 }
  @inlinable static var digest: UInt8 { 19 }
  @inlinable static var userTimeout: UInt8 { 28 }
  @inlinable static var authentication: UInt8 { 29 }
  @inlinable static var fastOpen: UInt8 { 34 }
  @inlinable static var accurateECN0: UInt8 { 172 }
  @inlinable static var accurateECN1: UInt8 { 174 }
  @inlinable static var experiment: UInt8 { 254 }
  /// The identifier of the Fast Open experiment.
  @inlinable static var fastOpenExperiment: UInt16 { 0xF989 }
}

extension TCPOptions {
  /// Parses the bytes between the fixed header and the payload. Of an option that comes twice the last one
  /// counts; bytes after the end-of-list option are not looked at.
  ///
  /// Throws `.badOption` if a length is below 2 or runs past the end (RFC 9293 section 3.1, MUST-7), or if
  /// MD5 and authentication come together, or authentication twice, or with a length below 4 (RFC 5925 section 2.2).
  public static func parse(_ bytes: RawSpan) throws(WireError) -> TCPOptions {
    var options = TCPOptions()
    try options.read(bytes)
    return options
  }

  /// The same for options that are none yet, in their place.
  @inline(__always) mutating func read(_ bytes: RawSpan) throws(WireError) {
    // Nearly every segment of a connection with timestamps.
    if bytes.byteCount == 12, bytes.uint32(at: 0) == 0x0101_080A {
      present = .timestamps
      stamps = TCPTimestamps(value: bytes.uint32(at: 4), echo: bytes.uint32(at: 8))
    } else if bytes.byteCount == 20, bytes.uint16(at: 0) == 0x0204, bytes.uint32(at: 4) == 0x0402_080A,
      bytes.uint32(at: 16) &>> 8 == 0x01_0303
    {
      // Nearly every SYN, as Linux orders them.
      present = .usualSyn
      segmentSize = bytes.uint16(at: 2)
      stamps = TCPTimestamps(value: bytes.uint32(at: 8), echo: bytes.uint32(at: 12))
      shift = min(bytes.uint8(at: 19), 14)
    } else {
      try readEach(bytes)
    }
  }

  @inline(never) private mutating func readEach(_ bytes: RawSpan) throws(WireError) {
    let end = bytes.byteCount
    var at = 0
    while at < end {
      let kind = bytes.uint8(at: at)
      if kind == TCPOptionKind.end { break }
      if kind == TCPOptionKind.padding {
        at += 1
        continue
      }
      guard end - at >= 2 else { throw .badOption(kind: kind, offset: at) }
      let length = Int(bytes.uint8(at: at + 1))
      guard length >= 2, length <= end - at else { throw .badOption(kind: kind, offset: at) }
      guard take(kind, bytes.extracting(at + 2..<at + length)) else {
        throw .badOption(kind: kind, offset: at)
      }
      at += length
    }
  }

  /// Where the authentication option begins in a header that was parsed, in bytes; nil: it has none. What its code
  /// covers depends on the place (RFC 5925 section 5.1).
  public static func authenticationOffset(header: RawSpan) -> Int? {
    var at = TCPHeader.fixedByteCount
    while at + 4 <= header.byteCount {
      let kind = header.uint8(at: at)
      if kind == TCPOptionKind.authentication { return at }
      if kind == TCPOptionKind.end { return nil }
      at += kind == TCPOptionKind.padding ? 1 : max(2, Int(header.uint8(at: at + 1)))
    }
    return nil
  }

  /// Takes one option, given its data. False if it contradicts one taken before.
  private mutating func take(_ kind: UInt8, _ data: RawSpan) -> Bool {
    switch (kind, data.byteCount) {
    case (TCPOptionKind.mss, 2): mss = data.uint16(at: 0)
    case (TCPOptionKind.windowScale, 1): windowScale = data.uint8(at: 0)
    case (TCPOptionKind.sackPermitted, 0): sackPermitted = true
    case (TCPOptionKind.sack, 8), (TCPOptionKind.sack, 16), (TCPOptionKind.sack, 24),
      (TCPOptionKind.sack, 32):
      sack = SACKBlocks()
      for at in stride(from: 0, to: data.byteCount, by: 8) {
        sack.append(
          SACKBlock(
            left: SequenceNumber(data.uint32(at: at)), right: SequenceNumber(data.uint32(at: at + 4))))
      }
    case (TCPOptionKind.timestamps, 8):
      timestamps = TCPTimestamps(value: data.uint32(at: 0), echo: data.uint32(at: 4))
    case (TCPOptionKind.userTimeout, 2): userTimeout = TCPUserTimeout(rawValue: data.uint16(at: 0))
    case (TCPOptionKind.fastOpen, 0), (TCPOptionKind.fastOpen, 4...16):
      guard data.byteCount & 1 == 0 else { break }
      fastOpenCookie = InlineBytes(data)
      fastOpenIsExperimental = false
    case (TCPOptionKind.experiment, 2), (TCPOptionKind.experiment, 6...18):
      guard data.uint16(at: 0) == TCPOptionKind.fastOpenExperiment, data.byteCount & 1 == 0 else { break }
      fastOpenCookie = InlineBytes(data.extracting(2..<data.byteCount))
      fastOpenIsExperimental = true
    case (TCPOptionKind.accurateECN0, _): accurateECN = .parse(.capable0First, data)
    case (TCPOptionKind.accurateECN1, _): accurateECN = .parse(.capable1First, data)
    case (TCPOptionKind.digest, 16):
      guard !present.contains(.authentication) else { return false }
      md5Digest = InlineBytes(data)
    case (TCPOptionKind.authentication, 0...1): return false
    case (TCPOptionKind.authentication, 2...18):
      guard present.isDisjoint(with: [.digest, .authentication]) else { return false }
      if let code = InlineBytes<16>(data.extracting(2..<data.byteCount)) {
        authentication = TCPAuthentication(
          keyIdentifier: data.uint8(at: 0), nextKeyIdentifier: data.uint8(at: 1), code: code)
      }
    default: break
    }
    return true
  }

  /// What finds room in 40 bytes, in the order in which it is written.
  @frozen @usableFromInline struct Layout {
    @usableFromInline var present: Present = []
    @usableFromInline var sackCount = 0
    @usableFromInline var byteCount = 0
    @inlinable init() {}

    @inlinable @inline(__always)
    mutating func place(_ option: Present, _ count: Int) {
      guard byteCount + count <= 40 else { return }
      present.formUnion(option)
      byteCount += count
    }
  }

  @inlinable
  var layout: Layout {
    var layout = Layout()
    if present.contains(.digest) { layout.place(.digest, 20) }
    if present.contains(.authentication) {
      layout.place(.authentication, padded(4 + signature.count))
    }
    if present.contains(.mss) { layout.place(.mss, 4) }
    if present.contains(.timestamps) {
      layout.place(present.intersection([.timestamps, .sackPermitted]), 12)
    } else if present.contains(.sackPermitted) {
      layout.place(.sackPermitted, 4)
    }
    if present.contains(.windowScale) { layout.place(.windowScale, 4) }
    if !sack.isEmpty {
      layout.sackCount = max(0, min(sack.count, (40 - layout.byteCount - 4) / 8))
      if layout.sackCount > 0 { layout.byteCount += 4 + 8 * layout.sackCount }
    }
    if present.contains(.accurate) {
      layout.place(
        .accurate,
        TCPAccurateECN.room(fields: Int(feedback.count), beforeSACK: layout.sackCount > 0))
    }
    if present.contains(.fastOpen) {
      layout.place(.fastOpen, padded((fastOpenIsExperimental ? 4 : 2) + cookie.count))
    }
    if present.contains(.userTimeout) { layout.place(.userTimeout, 4) }
    return layout
  }

  @inlinable @inline(__always)
  func padded(_ count: Int) -> Int { (count + 3) & ~3 }

  /// Bytes that `emit` writes: a multiple of 4 in 0...40.
  @inlinable public var byteCount: Int {
    if hasOnlyTimestamps { return 12 }
    if isOfUsualSyn { return 20 }
    return isEmpty ? 0 : layout.byteCount
  }

  /// Writes `byteCount` bytes from `offset` of `span`. `order` is that of a SYN's options; others have one order.
  public func emit(into span: inout MutableRawSpan, at offset: Int, order: TCPOptionOrder = .linux) {
    if hasOnlyTimestamps {
      span.set(0x0101_080A as UInt32, at: offset)
      span.set(stamps.value, at: offset + 4)
      return span.set(stamps.echo, at: offset + 8)
    }
    if isOfUsualSyn, order == .linux {
      span.set(0x0204_0000 | UInt32(segmentSize), at: offset)
      span.set(0x0402_080A as UInt32, at: offset + 4)
      span.set(stamps.value, at: offset + 8)
      span.set(stamps.echo, at: offset + 12)
      return span.set(0x0103_0300 | UInt32(shift), at: offset + 16)
    }
    guard !isEmpty else { return }
    let layout = layout
    let chosen = layout.present
    var at = offset
    if chosen.contains(.digest) {
      span.set(0x0101_1312 as UInt32, at: at)
      span.clear(at + 4..<at + 20)
      signature.bytes.emit(into: &span, at: at + 4)
      at += 20
    }
    if chosen.contains(.authentication) {
      span.set(TCPOptionKind.authentication, at: at)
      span.set(UInt8(4 + signature.count), at: at + 1)
      span.set(UInt8(truncatingIfNeeded: keys), at: at + 2)
      span.set(UInt8(truncatingIfNeeded: keys &>> 8), at: at + 3)
      signature.bytes.emit(into: &span, at: at + 4)
      at = pad(&span, from: at + 4 + signature.count, since: at)
    }
    if chosen.contains(.mss) {
      span.set(0x0204_0000 | UInt32(segmentSize), at: at)
      at += 4
    }
    if order == .bsd {
      at = emitSynBSD(layout, into: &span, at: at)
    } else {
      at = emitSyn(layout, into: &span, at: at)
    }
    if layout.sackCount > 0 { at = emitSACK(layout, into: &span, at: at) }
    if chosen.contains(.fastOpen) {
      let header = fastOpenIsExperimental ? 4 : 2
      span.set(fastOpenIsExperimental ? TCPOptionKind.experiment : TCPOptionKind.fastOpen, at: at)
      span.set(UInt8(header + cookie.count), at: at + 1)
      if fastOpenIsExperimental { span.set(TCPOptionKind.fastOpenExperiment, at: at + 2) }
      cookie.bytes.emit(into: &span, at: at + header)
      at = pad(&span, from: at + header + cookie.count, since: at)
    }
    if chosen.contains(.userTimeout) {
      span.set(0x1C04_0000 | UInt32(timeout.rawValue), at: at)
    }
  }

  /// SACK permitted, timestamps and window scale, as Linux orders them.
  private func emitSyn(_ layout: Layout, into span: inout MutableRawSpan, at start: Int) -> Int {
    let chosen = layout.present
    var at = start
    if chosen.contains(.timestamps) {
      // Two paddings or, in a SYN, the option that fits in their place.
      span.set(chosen.contains(.sackPermitted) ? 0x0402_080A : 0x0101_080A as UInt32, at: at)
      span.set(stamps.value, at: at + 4)
      span.set(stamps.echo, at: at + 8)
      at += 12
    }
    if chosen.contains(.accurate), layout.sackCount == 0 { at = emitAccurate(into: &span, at: at) }
    if chosen.contains(.sackPermitted), !chosen.contains(.timestamps) {
      span.set(0x0101_0402 as UInt32, at: at)
      at += 4
    }
    if chosen.contains(.windowScale) {
      span.set(0x0103_0300 | UInt32(shift), at: at)
      at += 4
    }
    return at
  }

  /// The same as BSD orders them: as many bytes in all.
  private func emitSynBSD(_ layout: Layout, into span: inout MutableRawSpan, at start: Int) -> Int {
    let chosen = layout.present
    var at = start
    if chosen.contains(.windowScale) {
      span.set(0x0103_0300 | UInt32(shift), at: at)
      at += 4
    }
    if chosen.contains(.timestamps) {
      span.set(chosen.contains(.sackPermitted) ? 0x0402_080A : 0x0101_080A as UInt32, at: at)
      span.set(stamps.value, at: at + 4)
      span.set(stamps.echo, at: at + 8)
      at += 12
    } else if chosen.contains(.sackPermitted) {
      // Padded by ends of the list, if it is the last.
      let rest: Present = [.fastOpen, .userTimeout, .accurate]
      span.set(sack.isEmpty && chosen.isDisjoint(with: rest) ? 0x0402_0000 : 0x0402_0101 as UInt32, at: at)
      at += 4
    }
    if chosen.contains(.accurate), layout.sackCount == 0 { at = emitAccurate(into: &span, at: at) }
    return at
  }

  /// Counters of accurate ECN, alone: padded behind.
  private func emitAccurate(into span: inout MutableRawSpan, at start: Int) -> Int {
    pad(&span, from: feedback.emit(into: &span, at: start), since: start)
  }

  /// Blocks of SACK, whose numbers stand on boundaries of four: what is in front of them, padding or the counters of
  /// accurate ECN, makes it so.
  private func emitSACK(_ layout: Layout, into span: inout MutableRawSpan, at start: Int) -> Int {
    var at = start
    if layout.present.contains(.accurate) {
      let end = feedback.emit(into: &span, at: start)
      at = (end - start) & 3 <= 2 ? end : pad(&span, from: end, since: start)
    }
    while (at - start) & 3 != 2 {
      span.set(TCPOptionKind.padding, at: at)
      at += 1
    }
    span.set(0x0500 | UInt16(2 + 8 * layout.sackCount), at: at)
    at += 2
    for index in 0..<layout.sackCount {
      span.set(sack[index].left.rawValue, at: at)
      span.set(sack[index].right.rawValue, at: at + 4)
      at += 8
    }
    return at
  }

  /// Fills up to a multiple of four bytes from `start` and returns where the next option begins.
  private func pad(_ span: inout MutableRawSpan, from end: Int, since start: Int) -> Int {
    let next = start + padded(end - start)
    for at in end..<next { span.set(TCPOptionKind.padding, at: at) }
    return next
  }
}
