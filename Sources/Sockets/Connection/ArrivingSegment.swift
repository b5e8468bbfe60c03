import Buffers
import Exclusion
import Wire

/// What a look at a segment of a run says, before its turn and in it.
struct ArrivingSegment {
  /// Its header; nil: there is no segment, or one with other options.
  var glance: TCPGlance?
  /// Bytes of its text; 0 without a header.
  var count = 0
  /// As in `TCPSegment`.
  var segmentSize: UInt16 = 0
  /// The traffic class of its IP header.
  var trafficClass: UInt8 = 0
  /// A router marked it (RFC 3168 section 5).
  var isExperienced: Bool { trafficClass & 3 == 3 }

  /// Looks at the packet whose slot is `item`, which stays where it is.
  @inline(__always) init(_ item: ItemRef?) {
    guard let item else { return }
    let packet = Packet(item: item)
    look(packet)
    _ = packet.intoItem()
  }

  /// The one that comes `number` segments after this one, all of which are as long and say the same.
  @inline(__always) func alike(after number: Int) -> ArrivingSegment {
    var other = self
    if let glance { other.glance = glance.repeated(at: glance.sequence + number * count) }
    return other
  }

  @inline(__always) private mutating func look(_ packet: borrowing Packet) {
    glance = TCPGlance(packet.bytes)
    if let glance { count = packet.totalCount - glance.headerByteCount }
    segmentSize = packet.metadata.offload.segmentSize
    trafficClass = packet.metadata.trafficClass
  }
}
