import Wire

/// What takes a message in, byte after byte: a hash, or a code with a key.
protocol ByteSink {
  /// One byte.
  mutating func update(_ byte: UInt8)
  /// Many bytes.
  mutating func update(_ bytes: RawSpan)
}

extension ByteSink {
  /// The lower bytes of a number, in network order.
  mutating func update(_ word: UInt64, bytes: Int) {
    for index in (0..<bytes).reversed() { update(UInt8(truncatingIfNeeded: word >> UInt64(8 * index))) }
  }

  /// An address as it stands in a header.
  mutating func update(_ address: IPAddress) {
    if !address.isIPv4 { update(address.high, bytes: 8) }
    update(address.low, bytes: address.isIPv4 ? 4 : 8)
  }

  /// The pseudo header of a segment, as for its checksum (RFC 9293 section 3.1).
  mutating func updatePseudoHeader(from source: IPAddress, to destination: IPAddress, byteCount: Int) {
    update(source)
    update(destination)
    if source.isIPv4 {
      update(UInt64(IPProtocol.tcp.rawValue), bytes: 2)
      update(UInt64(byteCount), bytes: 2)
    } else {
      update(UInt64(byteCount), bytes: 4)
      update(UInt64(IPProtocol.tcp.rawValue), bytes: 4)
    }
  }

  /// The fixed part of a header, with zero for the checksum.
  mutating func updateFixedHeader(_ header: RawSpan) {
    update(header.extracting(0..<TCPHeader.checksumOffset))
    update(0, bytes: 2)
    update(header.extracting(TCPHeader.checksumOffset + 2..<TCPHeader.fixedByteCount))
  }
}

extension InlineBytes {
  /// Whether two codes are the same. Takes equally long wherever they differ: who tries learns nothing from the time.
  func isSameCode(as other: Self) -> Bool {
    guard count == other.count else { return false }
    var difference: UInt8 = 0
    for index in 0..<count { difference |= self[index] ^ other[index] }
    return difference == 0
  }

  /// The first bytes.
  func first<let other: Int>(_ count: Int, as type: InlineBytes<other>.Type = InlineBytes<other>.self)
    -> InlineBytes<other>
  {
    var result = InlineBytes<other>()
    for index in 0..<min(count, self.count) { result.append(self[index]) }
    return result
  }
}

extension IPAddress {
  /// Whether it lies in a network, of whose bits `prefixLength` count.
  func isIn(_ network: IPAddress, prefixLength: UInt8) -> Bool {
    guard network.isIPv4 == isIPv4 else { return false }
    let bits = min(128, Int(prefixLength) + (isIPv4 ? 96 : 0))
    func mask(_ count: Int) -> UInt64 { count <= 0 ? 0 : count >= 64 ? .max : ~(.max >> UInt64(count)) }
    return (network.high ^ high) & mask(bits) == 0 && (network.low ^ low) & mask(bits - 64) == 0
  }
}
