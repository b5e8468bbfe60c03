// Segments that are authenticated: by RFC 5925 (keys), or by RFC 2385 (signatures). Which of them, and with what, is found
// out once, when a connection or a half-open one begins; from there on every segment has its code, both ways, resets and
// those of TIME-WAIT included, or it is not taken.

import Buffers
import Exclusion
import TCP
import Wire

/// How segments of one flow are authenticated, both ways.
enum SegmentAuthentication {
  /// Not at all. What comes signed is dropped; what comes with the option for keys may be.
  case none(refusesUnknown: Bool)
  /// The socket speaks under keys only, and has none for this peer.
  case refused
  /// A digest with a shared secret (RFC 2385).
  case digest(TCPSecret)
  /// A code with keys (RFC 5925).
  case keys(TCPAuthenticatedConnection)

  /// What a flow has by a socket's settings. Who has keys for a peer does not use signatures (RFC 5925 section 8).
  init(_ settings: TCPAuthenticationSettings, _ signatures: [TCPSignatureKey], _ key: FlowKey) {
    if !settings.keys.isEmpty,
      let connection = TCPAuthenticatedConnection(settings, local: key.local, remote: key.remote)
    {
      self = .keys(connection)
    } else if settings.isRequired {
      self = .refused
    } else if !signatures.isEmpty, let secret = signatures.secret(for: key.remoteAddress) {
      self = .digest(secret)
    } else {
      self = .none(refusesUnknown: settings.refusesUnknown)
    }
  }

  /// What a segment that leaves gets.
  func outgoing(_ sequence: SequenceNumber, _ flags: TCPFlags) -> SegmentProtection {
    switch self {
    case .none, .refused: .none
    case .digest(let secret): .digest(secret)
    case .keys(let connection): .code(connection.outgoing(sequence, flags))
    }
  }

  /// Segments go as they are.
  var isNone: Bool {
    switch self {
    case .none, .refused: true
    case .digest, .keys: false
    }
  }
  /// Segments are authenticated with keys.
  var hasKeys: Bool { if case .keys = self { true } else { false } }

  /// The handshake's numbers are known, and the IDs in the peer's segments.
  func resume(local: SequenceNumber, remote: SequenceNumber, _ option: TCPAuthentication?) {
    guard case .keys(let connection) = self, let option else { return }
    connection.resume(
      local: local, remote: remote, keyID: option.keyIdentifier, nextKeyID: option.nextKeyIdentifier)
  }
}

/// What one segment is authenticated with.
enum SegmentProtection {
  case none
  case digest(TCPSecret)
  case code(TCPSegmentCode)
}

extension SegmentBuilder {
  /// Writes the header with the digest's option, which stands first, and then the digest and the checksum.
  static func finishSigned(
    _ header: TCPHeader, _ source: IPAddress, _ destination: IPAddress, _ order: TCPOptionOrder,
    _ secret: TCPSecret, into packet: inout Packet
  ) {
    var header = header
    header.options.md5Digest = InlineBytes()
    packet.prepend(header.byteCount)
    var bytes = packet.mutableBytes
    header.emit(into: &bytes, order: order)
    var signature = TCPSignature(
      header: bytes.bytes, byteCount: bytes.byteCount, source: source, destination: destination)
    signature.add(bytes.bytes.extracting(header.byteCount..<bytes.byteCount))
    signature.digest(secret).emit(into: &bytes, at: TCPSignature.digestOffset)
    InternetChecksum.seal(
      &bytes, at: TCPHeader.checksumOffset, source: source, destination: destination, protocol: .tcp)
  }

  /// The same with a key's code: after all other options have their values (RFC 5925 section 7.4).
  static func finishCoded(
    _ header: TCPHeader, _ source: IPAddress, _ destination: IPAddress, _ order: TCPOptionOrder,
    _ code: TCPSegmentCode, into packet: inout Packet
  ) {
    var header = header
    header.options.authentication = code.withZeros
    packet.prepend(header.byteCount)
    var bytes = packet.mutableBytes
    header.emit(into: &bytes, order: order)
    var message = code.begin(
      header: bytes.bytes.extracting(0..<header.byteCount), option: TCPHeader.fixedByteCount,
      byteCount: bytes.byteCount, source: source, destination: destination)
    message.add(bytes.bytes.extracting(header.byteCount..<bytes.byteCount))
    message.finish().emit(into: &bytes, at: TCPHeader.fixedByteCount + 4)
    InternetChecksum.seal(
      &bytes, at: TCPHeader.checksumOffset, source: source, destination: destination, protocol: .tcp)
  }

  /// Whether a segment that arrived, whose header has so many bytes, is authenticated as it must be, and not where it
  /// must not. What is wrong with it is counted. Before anything of it counts (RFC 5925 section 7.5).
  ///
  /// - Parameter isOpening: in SYN-SENT.
  static func isAuthentic(
    _ packet: borrowing Packet, _ segment: TCPSegment, _ headerCount: Int,
    _ authentication: SegmentAuthentication,
    isOpening: Bool, _ sockets: SocketContextRef
  ) -> Bool {
    switch authentication {
    case .none(let refusesUnknown):
      if segment.options.md5Digest != nil {
        sockets.counters.signaturesUnexpected.increment()
        return false
      }
      guard segment.options.authentication != nil else { return true }
      sockets.counters.authenticationUnknown.increment()
      return !refusesUnknown
    case .refused:
      if segment.options.authentication != nil {
        sockets.counters.authenticationKeyNotFound.increment()
      } else {
        sockets.counters.authenticationRequired.increment()
      }
      return false
    case .digest(let secret): return isSigned(packet, segment, headerCount, secret, sockets)
    case .keys(let connection):
      return hasCode(packet, segment, headerCount, connection, isOpening: isOpening, sockets)
    }
  }

  private static func isSigned(
    _ packet: borrowing Packet, _ segment: TCPSegment, _ headerCount: Int, _ secret: TCPSecret,
    _ sockets: SocketContextRef
  ) -> Bool {
    guard let digest = segment.options.md5Digest else {
      sockets.counters.signaturesMissing.increment()
      return false
    }
    var signature = TCPSignature(
      header: packet.bytes, byteCount: packet.totalCount, source: packet.metadata.source,
      destination: packet.metadata.destination)
    packet.forEachSpan(from: headerCount, count: packet.totalCount - headerCount) { signature.add($0) }
    if TCPSignature.isEqual(signature.digest(secret), digest) { return true }
    sockets.counters.signaturesWrong.increment()
    return false
  }

  private static func hasCode(
    _ packet: borrowing Packet, _ segment: TCPSegment, _ headerCount: Int,
    _ connection: TCPAuthenticatedConnection,
    isOpening: Bool, _ sockets: SocketContextRef
  ) -> Bool {
    guard let option = segment.options.authentication else {
      connection.counters.required += 1
      sockets.counters.authenticationRequired.increment()
      return false
    }
    if !packet.metadata.flags.contains(.authenticated) {
      switch connection.incoming(segment, option, isOpening: isOpening) {
      case .keyNotFound:
        connection.counters.keyNotFound += 1
        sockets.counters.authenticationKeyNotFound.increment()
        return false
      case .wrongLength: return refuse(connection, sockets)
      case .code(let code):
        let head = packet.bytes.extracting(0..<headerCount)
        guard let place = TCPOptions.authenticationOffset(header: head) else {
          return refuse(connection, sockets)
        }
        var message = code.begin(
          header: head, option: place, byteCount: packet.totalCount, source: packet.metadata.source,
          destination: packet.metadata.destination)
        packet.forEachSpan(from: headerCount, count: packet.totalCount - headerCount) { message.add($0) }
        guard message.matches(option.code) else { return refuse(connection, sockets) }
        sockets.counters.authenticationGood.increment()
      }
    }
    connection.accept(segment, option, isOpening: isOpening)
    return true
  }

  private static func refuse(_ connection: TCPAuthenticatedConnection, _ sockets: SocketContextRef) -> Bool {
    connection.counters.bad += 1
    sockets.counters.authenticationBad.increment()
    return false
  }
}

extension ListenerRef {
  /// How segments of a flow are authenticated before it is a connection. With keys this makes an object for one segment:
  /// beside the rounds of a hash that a handshake costs under keys it is little.
  func authentication(_ key: FlowKey) -> SegmentAuthentication {
    withOptions { options in
      if let refuses = options.refusesUnknown { return .none(refusesUnknown: refuses) }
      return SegmentAuthentication(options.value.authentication, options.value.signatures, key)
    }
  }

  /// The same for one that is half open: its numbers are known, and what its SYN's option said.
  func authentication(
    _ key: FlowKey, _ handshake: TCPHalfOpen, _ option: TCPAuthentication?
  ) -> SegmentAuthentication {
    let authentication = authentication(key)
    authentication.resume(local: handshake.initialSend, remote: handshake.initialReceive, option)
    return authentication
  }
}

extension ConnectionRef {
  /// Owner: the flow is known, and with it how its segments are authenticated.
  func settleAuthentication() {
    let owned = unsafe owned
    unsafe owned.pointee.authentication = SegmentAuthentication(
      owned.pointee.shape.authentication, owned.pointee.shape.signatures, shared.pointee.key)
    if case .none = unsafe owned.pointee.authentication {
      unsafe owned.pointee.isPlain = shared.pointee.key.encapsulation == 0
    } else {
      unsafe owned.pointee.isPlain = false
    }
  }

  /// Owner: whether what ICMP says is not believed, as anyone can send it (RFC 5925 section 7.8): hard errors in the
  /// synchronized states.
  func ignores(_ report: ReportedError, _ sockets: SocketContextRef) -> Bool {
    guard case .keys(let connection) = unsafe owned.pointee.authentication, !connection.acceptsNetworkErrors,
      unsafe owned.pointee.engine.state.isSynchronized
    else { return false }
    let isIPv4 = unsafe shared.pointee.key.remoteAddress.isIPv4
    switch report.kind {
    case .none, .host, .network, .timeExceeded, .other: return false
    case .port: break
    case .protocol, .tooBig: if !isIPv4 { return false }
    case .prohibited: if isIPv4 { return false }
    }
    connection.counters.ignoredErrors += 1
    sockets.counters.authenticationErrorsIgnored.increment()
    return true
  }
}

extension StreamShape {
  /// Bytes of options that every segment of a flow has for its authentication.
  func authenticationBytes(_ key: FlowKey) -> UInt8 {
    if !authentication.keys.isEmpty, authentication.keys.cover(remote: key.remote, localPort: key.localPort) {
      return TCPAuthentication.paddedByteCount
    }
    return !signatures.isEmpty && signatures.secret(for: key.remoteAddress) != nil
      ? TCPSignature.optionBytes : 0
  }
}
