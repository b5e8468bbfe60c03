import Wire

/// What a traffic key is made for: one direction of one connection (RFC 5925 section 5.2).
@frozen public struct TCPKeyContext: Hashable, Sendable {
  /// Who sends, and who receives.
  public var source: SocketAddress, destination: SocketAddress
  /// The sender's initial sequence number, and the receiver's; zero in a SYN without ACK, whose sender does not know it.
  public var sourceInitial: SequenceNumber, destinationInitial: SequenceNumber

  /// A direction.
  public init(
    from source: SocketAddress, _ sourceInitial: SequenceNumber, to destination: SocketAddress,
    _ destinationInitial: SequenceNumber
  ) {
    self.source = source
    self.destination = destination
    self.sourceInitial = sourceInitial
    self.destinationInitial = destinationInitial
  }
}

/// A code with its key, ready for a message.
enum KeyedCode: ByteSink {
  case sha1(HMACSHA1)
  case aes128(AESCMAC)

  mutating func update(_ byte: UInt8) {
    switch self {
    case .sha1(var code):
      code.update(byte)
      self = .sha1(code)
    case .aes128(var code):
      code.update(byte)
      self = .aes128(code)
    }
  }
  mutating func update(_ bytes: RawSpan) {
    switch self {
    case .sha1(var code):
      code.update(bytes)
      self = .sha1(code)
    case .aes128(var code):
      code.update(bytes)
      self = .aes128(code)
    }
  }
  consuming func finish() -> InlineBytes<20> {
    switch self {
    case .sha1(let code): code.finish()
    case .aes128(let code): code.finish()
    }
  }

  /// With a master key: the function that keys are derived by (RFC 5926 section 3.1.1).
  init(_ algorithm: TCPAuthenticationAlgorithm, master: TCPMasterKey) {
    switch algorithm {
    case .sha1: self = .sha1(master.withBytes { HMACSHA1(key: $0) })
    case .aes128:
      // RFC 4615 section 3: what is no AES key is made one.
      let key = master.withBytes { bytes in
        if bytes.byteCount == 16 { return InlineBytes<20>(bytes) ?? InlineBytes() }
        var extractor = AESCMAC(key: InlineArray(repeating: 0))
        extractor.update(bytes)
        return extractor.finish()
      }
      self = .aes128(AESCMAC(key: key))
    }
  }

  /// With a traffic key.
  init(_ algorithm: TCPAuthenticationAlgorithm, trafficKey key: InlineBytes<20>) {
    switch algorithm {
    case .sha1: self = .sha1(HMACSHA1(key: key.bytes))
    case .aes128: self = .aes128(AESCMAC(key: key))
    }
  }
}

extension AESCMAC {
  /// The first 16 bytes of `key`.
  fileprivate init(key: InlineBytes<20>) {
    var bytes = InlineArray<16, UInt8>(repeating: 0)
    for index in 0..<min(16, key.count) { bytes[index] = key[index] }
    self.init(key: bytes)
  }
}

extension TCPAuthenticationKey {
  /// The traffic key: 20 bytes (SHA1) or 16 (AES128). One round of the function is enough for each.
  func trafficKey(_ context: TCPKeyContext) -> InlineBytes<20> {
    var function = KeyedCode(algorithm, master: master)
    function.update(1)
    for byte in "TCP-AO".utf8 { function.update(byte) }
    function.update(context.source.address)
    function.update(context.destination.address)
    function.update(UInt64(context.source.port), bytes: 2)
    function.update(UInt64(context.destination.port), bytes: 2)
    function.update(UInt64(context.sourceInitial.rawValue), bytes: 4)
    function.update(UInt64(context.destinationInitial.rawValue), bytes: 4)
    let bits: UInt64 =
      switch algorithm {
      case .sha1: 160
      case .aes128: 128
      }
    function.update(bits, bytes: 2)
    return function.finish()
  }

  /// Ready for messages of a direction.
  func keyed(_ context: TCPKeyContext) -> KeyedCode {
    KeyedCode(algorithm, trafficKey: trafficKey(context))
  }
}

/// A traffic key that is kept for a connection's segments. Its memory is wiped when it is let go.
@safe final class KeptTrafficKey {  // the pointer stays inside
  private let memory: UnsafeMutablePointer<KeyedCode>

  init(_ code: KeyedCode) {
    unsafe memory = .allocate(capacity: 1)
    unsafe memory.initialize(to: code)
  }
  deinit {
    // A ``KeyedCode`` is plain bytes; as with ``TCPMasterKey`` the compiler cannot know that nobody will look.
    unsafe UnsafeMutableRawPointer(memory).initializeMemory(
      as: UInt8.self, repeating: 0, count: MemoryLayout<KeyedCode>.size)
    unsafe memory.deallocate()
  }

  /// A copy, for a message.
  var code: KeyedCode { unsafe memory.pointee }
}

/// What makes the code of one segment: a key, and what is not in the segment itself.
public struct TCPSegmentCode {
  /// The option's IDs.
  public let keyID: UInt8, nextKeyID: UInt8
  /// Bytes of the code.
  public let byteCount: Int
  private let code: KeyedCode
  private let sequenceExtension: UInt32
  private let coversOptions: Bool

  init(
    _ key: TCPAuthenticationKey, _ code: KeyedCode, keyID: UInt8, nextKeyID: UInt8, sequenceExtension: UInt32
  ) {
    self.keyID = keyID
    self.nextKeyID = nextKeyID
    self.code = code
    self.sequenceExtension = sequenceExtension
    byteCount = key.algorithm.codeByteCount
    coversOptions = key.coversOptions
  }

  /// The code of a segment with `key` in a direction, for who knows all of it: the other end's segments in tests and
  /// scripts.
  public init(
    _ key: TCPAuthenticationKey, _ context: TCPKeyContext, keyID: UInt8, nextKeyID: UInt8,
    sequenceExtension: UInt32
  ) {
    self.init(
      key, key.keyed(context), keyID: keyID, nextKeyID: nextKeyID, sequenceExtension: sequenceExtension)
  }

  /// The option with a code of zeros, over which the code is computed (RFC 5925 section 5.1).
  public var withZeros: TCPAuthentication {
    var code = InlineBytes<16>()
    for _ in 0..<byteCount { code.append(0) }
    return TCPAuthentication(keyIdentifier: keyID, nextKeyIdentifier: nextKeyID, code: code)
  }

  /// Begins with the pseudo header and the header (RFC 5925 section 5.1).
  ///
  /// - Parameters:
  ///   - header: the whole header, with any checksum and any code.
  ///   - option: where the option begins in it, in bytes; the whole option is within.
  ///   - byteCount: the whole segment's length.
  ///   - source: the sender's address.
  ///   - destination: the receiver's address.
  public func begin(
    header: RawSpan, option: Int, byteCount: Int, source: IPAddress, destination: IPAddress
  ) -> TCPCodeInProgress {
    var code = code
    code.update(UInt64(sequenceExtension), bytes: 4)
    code.updatePseudoHeader(from: source, to: destination, byteCount: byteCount)
    code.updateFixedHeader(header)
    let end = option + Int(header.uint8(at: option + 1))
    if coversOptions { code.update(header.extracting(TCPHeader.fixedByteCount..<option)) }
    code.update(header.extracting(option..<option + 4))
    for _ in option + 4..<end { code.update(0) }
    if coversOptions { code.update(header.extracting(end..<header.byteCount)) }
    return TCPCodeInProgress(code: code, byteCount: self.byteCount)
  }
}

/// A code that has taken a header in, and waits for the text.
public struct TCPCodeInProgress {
  fileprivate var code: KeyedCode
  fileprivate let byteCount: Int

  /// The next bytes of the text.
  public mutating func add(_ text: RawSpan) { code.update(text) }

  /// The code.
  public consuming func finish() -> InlineBytes<16> { code.finish().first(byteCount) }

  /// Whether it is the one that came. Takes equally long wherever they differ.
  public consuming func matches(_ other: InlineBytes<16>) -> Bool {
    code.finish().first(byteCount).isSameCode(as: other)
  }
}
