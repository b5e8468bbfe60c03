import Wire

/// IPv4 addresses within IPv6 ones, where something on the way may take a packet out of IPv6 and on to them.
enum EmbeddedAddresses {
  /// Those that an address stands for; none for nearly all.
  static func of(_ address: IPAddress) -> [IPAddress] {
    guard !address.isIPv4 else { return [] }
    let (high, low) = (address.high, address.low)
    let last = UInt32(truncatingIfNeeded: low)
    switch high >> 32 {
    // NAT64's own prefix (RFC 6052 section 2.1), and those of a network's choice (RFC 8215), whose length is not known.
    case 0x0064_FF9B where high & 0xFFFF_FFFF == 0: return [ipv4(last)]
    case 0x0064_FF9B where high >> 16 & 0xFFFF == 1: return translated(high, low)
    // Teredo's client, each bit of it turned (RFC 4380 section 4).
    case 0x2001_0000: return [ipv4(~last)]
    // 6to4 (RFC 3056 section 2).
    case let top where top >> 16 == 0x2002: return [ipv4(UInt32(truncatingIfNeeded: high >> 16))]
    // IPv4-compatible (RFC 4291 section 2.5.5.1), and IPv4-translated (RFC 2765 section 2.1).
    case 0 where high == 0 && [0, 0xFFFF_0000].contains(low >> 32): return [ipv4(last)]
    default: return []
    }
  }

  /// Behind a prefix of 48, 56, 64 and 96 bits, around the octet that is always 0 (RFC 6052 section 2.2).
  private static func translated(_ high: UInt64, _ low: UInt64) -> [IPAddress] {
    let behind = low << 8
    let of48 = UInt32(truncatingIfNeeded: high & 0xFFFF) << 16 | UInt32(behind >> 48)
    let of56 = UInt32(truncatingIfNeeded: high & 0xFF) << 24 | UInt32(behind >> 40)
    let all = [of48, of56, UInt32(behind >> 32), UInt32(truncatingIfNeeded: low)]
    // What would be of 0/8 is the wrong length, unless there is nothing else.
    let likely = all.filter { $0 >> 24 != 0 }
    return (likely.isEmpty ? all : likely).map(ipv4)
  }

  private static func ipv4(_ word: UInt32) -> IPAddress { IPAddress(IPv4Address(word)) }
}
