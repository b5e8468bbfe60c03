import Buffers
import Wire

/// What is known about a fragment beside its bytes, which are payload by now: it travels in words of the packet's metadata
/// that mean nothing on its way here.
struct FragmentNote {
  /// Where the bytes belong in the whole payload; a multiple of 8.
  var offset: Int
  /// Others follow.
  var hasMore: Bool
  /// IPv4: its protocol, which is a part of the name (RFC 791 section 3.2). IPv6: what the fragment header names.
  var number: IPProtocol
  var identification: UInt32

  init(offset: Int, hasMore: Bool, number: IPProtocol, identification: UInt32) {
    (self.offset, self.hasMore, self.number, self.identification) = (offset, hasMore, number, identification)
  }
  init(of packet: borrowing Packet) {
    let word = packet.metadata.sequence
    offset = Int(word & 0xFFF8)
    hasMore = word & 1 != 0
    number = IPProtocol(rawValue: UInt8(truncatingIfNeeded: word &>> 24))
    identification = packet.metadata.flowHash
  }
  /// Puts it into the packet.
  func store(in packet: inout Packet) {
    packet.metadata.sequence = UInt32(number.rawValue) &<< 24 | UInt32(offset) | (hasMore ? 1 : 0)
    packet.metadata.flowHash = identification
  }
}

/// What the fragments of one packet have in common (RFC 791 section 3.2, RFC 8200 section 4.5).
struct FragmentName: Equatable {
  var source: IPAddress
  var destination: IPAddress
  var identification: UInt32
  /// 0 for IPv6.
  var number: UInt8
  var interface: UInt16

  init(_ packet: borrowing Packet, _ note: FragmentNote) {
    source = packet.metadata.source
    destination = packet.metadata.destination
    identification = note.identification
    number = destination.isIPv4 ? note.number.rawValue : 0
    interface = packet.metadata.interface
  }

  /// Where they are put together, whichever context they came in by.
  func home(of contexts: Int) -> Int {
    let mixed = (source.low ^ destination.low &<< 1 ^ UInt64(identification)) &* 0x9E37_79B9_7F4A_7C15
    return Int(mixed &>> 33) % contexts
  }
}
