import Wire

/// A secret that two ends share: 1...80 bytes.
@frozen public struct TCPSecret: Hashable, Sendable {
  let bytes: InlineBytes<80>

  /// Nil if `bytes` are none, or more than 80.
  public init?(_ bytes: some Sequence<UInt8>) {
    var kept = InlineBytes<80>()
    for byte in bytes where !kept.append(byte) { return nil }
    guard kept.count > 0 else { return nil }
    self.bytes = kept
  }
}

/// Whose segments are signed, and with which secret (Linux: TCP_MD5SIG_EXT).
@frozen public struct TCPSignatureKey: Hashable, Sendable {
  /// The peers' network.
  public var network: IPAddress
  /// How many of its bits count: 0...32 (IPv4), 0...128 (IPv6).
  public var prefixLength: UInt8
  /// What is shared with them.
  public var secret: TCPSecret

  /// A key for a network; for one peer with all bits.
  public init(network: IPAddress, prefixLength: UInt8, secret: TCPSecret) {
    self.network = network
    self.prefixLength = prefixLength
    self.secret = secret
  }

  /// Whether it is for the peer at `address`.
  public func covers(_ address: IPAddress) -> Bool {
    address.isIn(network, prefixLength: prefixLength)
  }
}

extension [TCPSignatureKey] {
  /// The secret shared with the peer at `address`: that of the longest prefix that covers it.
  public func secret(for address: IPAddress) -> TCPSecret? {
    var best: TCPSignatureKey?
    for key in self where key.covers(address) && key.prefixLength >= best?.prefixLength ?? 0 { best = key }
    return best?.secret
  }
}

/// The MD5 signature option, RFC 2385: a digest over the pseudo header, the header without options, the text, and the
/// secret. Obsolete (RFC 5925), and what many routers still have.
public struct TCPSignature {
  /// Bytes of options that it needs in every segment, padding included.
  public static var optionBytes: UInt8 { 20 }
  /// Where the digest stands in a segment that `TCPHeader` has written: the option is the first.
  public static var digestOffset: Int { TCPHeader.fixedByteCount + 4 }

  private var hash = BlockHash<MD5>()

  /// Begins with the pseudo header and the header.
  ///
  /// - Parameters:
  ///   - header: the segment's first 20 bytes, with any checksum.
  ///   - byteCount: the whole segment's length.
  ///   - source: the sender's address.
  ///   - destination: the receiver's address.
  public init(header: RawSpan, byteCount: Int, source: IPAddress, destination: IPAddress) {
    hash.updatePseudoHeader(from: source, to: destination, byteCount: byteCount)
    hash.updateFixedHeader(header)
  }

  /// The next bytes of the text.
  public mutating func add(_ text: RawSpan) { hash.update(text) }

  /// The digest: 16 bytes.
  public consuming func digest(_ secret: TCPSecret) -> InlineBytes<16> {
    hash.update(secret.bytes.bytes)
    return hash.finish().first(16)
  }

  /// Whether two digests are the same. Takes equally long wherever they differ: who tries learns nothing from the time.
  public static func isEqual(_ left: InlineBytes<16>, _ right: InlineBytes<16>) -> Bool {
    left.count == 16 && left.isSameCode(as: right)
  }
}
