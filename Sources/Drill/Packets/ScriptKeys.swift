import TCP
import Wire

/// The keys that a script's packets are authenticated with (RFC 5925), as the stack names them, and the secrets that they
/// are signed with (RFC 2385): those that its calls gave the stack, and those that it told this tool alone. What a script
/// removes from the stack the other side still has.
struct ScriptKeys: Equatable {
  private(set) var all: [TCPAuthenticationKey] = []
  /// The last one is what `md5 valid` signs with.
  private var secrets: [TCPSecret] = []

  var isEmpty: Bool { all.isEmpty && secrets.isEmpty }
  mutating func add(_ key: TCPAuthenticationKey) { all.append(key) }
  mutating func add(_ secret: TCPSecret) { secrets.append(secret) }

  static func == (left: Self, right: Self) -> Bool {
    left.all.count == right.all.count && left.secrets == right.secrets
  }

  /// `--tcp_ao_key=SNDID:RCVID:ALGORITHM:SECRET`, with `:noopts` at the end where other options are not covered. Nil: it
  /// is none.
  static func parse(_ text: String) -> TCPAuthenticationKey? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard (4...5).contains(parts.count), let sendID = UInt8(parts[0]), let receiveID = UInt8(parts[1]),
      let algorithm = algorithm(parts[2]), let master = TCPMasterKey(Array(parts[3].utf8)),
      parts.count == 4 || parts[4] == "noopts"
    else { return nil }
    return TCPAuthenticationKey(
      network: IPAddress(IPv4Address(0)), prefixLength: 0, sendID: sendID, receiveID: receiveID,
      algorithm: algorithm, coversOptions: parts.count == 4, master: master)
  }

  /// The algorithm that Linux calls so, or the RFC.
  static func algorithm(_ name: String) -> TCPAuthenticationAlgorithm? {
    switch name {
    case "hmac(sha1)", "sha1", "SHA1": .sha1
    case "cmac(aes128)", "cmac(aes)", "aes128", "AES128": .aes128
    default: nil
    }
  }

  // MARK: Segments

  /// Puts codes where the script says `ao`, and makes those wrong that are to be.
  func seal(
    _ segment: inout [UInt8], _ option: OptionDescription, _ flow: Flow
  ) throws(PacketProblem) {
    if option == .md5Valid || option == .md5Wrong {
      return try sign(&segment, isWrong: option == .md5Wrong, flow)
    }
    guard case .authentication(let keyID, let nextKeyID, let written) = option else { return }
    if case .bytes = written { return }
    guard let key = all.last(where: { $0.receiveID == keyID }) else {
      throw .malformed("no key is known whose RecvID is \(keyID): a call or --tcp_ao_key has to name it")
    }
    let code = code(
      of: segment, key, keyID, nextKeyID, from: flow.remote, flow.remoteInitial, to: flow.local,
      flow.localInitial)
    guard var code, let place = offset(segment) else { throw .malformed("the options end before the code") }
    if written == .wrong { code[code.count - 1] ^= 1 }
    segment.replaceSubrange(place + 4..<place + 4 + code.count, with: code)
  }

  /// The option of a segment that the stack sent, with `valid` in the place of a code that is right.
  func judged(_ option: OptionDescription, segment: [UInt8], _ flow: Flow) -> OptionDescription {
    if case .md5(let written) = option {
      let isRight = secrets.contains {
        Self.digest(of: segment, $0, from: flow.local, to: flow.remote) == written
      }
      return isRight ? .md5Valid : option
    }
    guard case .authentication(let keyID, let nextKeyID, .bytes(let written)) = option else { return option }
    let isRight = all.contains { key in
      key.sendID == keyID
        && code(
          of: segment, key, keyID, nextKeyID, from: flow.local, flow.localInitial, to: flow.remote,
          flow.remoteInitial) == written
    }
    return isRight ? .authentication(key: keyID, next: nextKeyID, .valid) : option
  }

  private func sign(_ segment: inout [UInt8], isWrong: Bool, _ flow: Flow) throws(PacketProblem) {
    guard let secret = secrets.last else {
      throw .malformed("no secret is known: a call or --tcp_md5_secret has to name it")
    }
    var digest = Self.digest(of: segment, secret, from: flow.remote, to: flow.local)
    if isWrong { digest[15] ^= 1 }
    guard let place = Self.signatureOffset(segment), place + 18 <= segment.count else {
      throw .malformed("the options end before the digest")
    }
    segment.replaceSubrange(place + 2..<place + 18, with: digest)
  }

  /// Where the option begins.
  private static func signatureOffset(_ segment: [UInt8]) -> Int? {
    let end = Int(segment[12] >> 4) * 4
    var at = TCPHeader.fixedByteCount
    while at < end, segment[at] != 19 {
      guard segment[at] != 0 else { return nil }
      if segment[at] == 1 {
        at += 1
      } else {
        guard at + 1 < end, segment[at + 1] >= 2 else { return nil }
        at += Int(segment[at + 1])
      }
    }
    return at < end ? at : nil
  }

  private static func digest(
    of segment: [UInt8], _ secret: TCPSecret, from source: SocketAddress, to destination: SocketAddress
  ) -> [UInt8] {
    let bytes = unsafe segment.span.bytes
    var signature = TCPSignature(
      header: bytes, byteCount: segment.count, source: source.address, destination: destination.address)
    signature.add(bytes.extracting(Int(segment[12] >> 4) * 4..<segment.count))
    let digest = signature.digest(secret)
    return (0..<digest.count).map { digest[$0] }
  }

  private func offset(_ segment: [UInt8]) -> Int? {
    let headerCount = Int(segment[12] >> 4) * 4
    return unsafe TCPOptions.authenticationOffset(header: segment.span.bytes.extracting(0..<headerCount))
  }

  private func code(
    of segment: [UInt8], _ key: TCPAuthenticationKey, _ keyID: UInt8, _ nextKeyID: UInt8,
    from source: SocketAddress, _ sourceInitial: UInt32, to destination: SocketAddress,
    _ destinationInitial: UInt32
  ) -> [UInt8]? {
    guard let place = offset(segment) else { return nil }
    let bytes = unsafe segment.span.bytes
    let isFirst = segment[13] & 0x12 == 0x02
    let sequence = bytes.uint32(at: 4)
    let initial = isFirst ? sequence : sourceInitial
    // Scripts do not go twice around.
    let distance = Int64(Int32(bitPattern: sequence &- initial))
    let high = UInt32(truncatingIfNeeded: (Int64(initial) + distance) >> 32)
    let context = TCPKeyContext(
      from: source, SequenceNumber(initial), to: destination,
      SequenceNumber(isFirst ? 0 : destinationInitial))
    let segmentCode = TCPSegmentCode(
      key, context, keyID: keyID, nextKeyID: nextKeyID, sequenceExtension: high)
    let headerCount = Int(segment[12] >> 4) * 4
    var message = segmentCode.begin(
      header: bytes.extracting(0..<headerCount), option: place, byteCount: segment.count,
      source: source.address,
      destination: destination.address)
    message.add(bytes.extracting(headerCount..<segment.count))
    let code = message.finish()
    return (0..<code.count).map { code[$0] }
  }
}
