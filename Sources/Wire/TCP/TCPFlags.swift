/// The control bits of a TCP header (RFC 9293 section 3.1), with AE of RFC 9768 above them.
@frozen public struct TCPFlags: OptionSet, Hashable, Sendable {
  /// The low nine bits, as they follow the data offset in the header.
  public var rawValue: UInt16
  /// Bits above the ninth are dropped.
  @inlinable
  public init(rawValue: UInt16) { self.rawValue = rawValue & 0x1FF }

  /// No more data from the sender.
  @inlinable public static var fin: Self { .init(rawValue: 0x001) }
  /// Synchronise sequence numbers.
  @inlinable public static var syn: Self { .init(rawValue: 0x002) }
  /// Reset the connection.
  @inlinable public static var rst: Self { .init(rawValue: 0x004) }
  /// Push.
  @inlinable public static var psh: Self { .init(rawValue: 0x008) }
  /// The acknowledgment field counts.
  @inlinable public static var ack: Self { .init(rawValue: 0x010) }
  /// The urgent pointer counts.
  @inlinable public static var urg: Self { .init(rawValue: 0x020) }
  /// ECN echo.
  @inlinable public static var ece: Self { .init(rawValue: 0x040) }
  /// Congestion window reduced.
  @inlinable public static var cwr: Self { .init(rawValue: 0x080) }
  /// Accurate ECN.
  @inlinable public static var ae: Self { .init(rawValue: 0x100) }
}

extension TCPFlags: CustomStringConvertible {
  /// As `SYN ACK`; `-` for none.
  public var description: String {
    let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"]
    let set = names.indices.filter { rawValue >> UInt16($0) & 1 != 0 }
    return set.isEmpty ? "-" : set.map { names[$0] }.joined(separator: " ")
  }
}
