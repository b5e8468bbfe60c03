import Buffers
import Exclusion
import TCP
import Wire

/// Which segments of a run count as one for acknowledgments, by the rules of Linux's `tcp_gro_receive`: each follows the
/// one before it in sequence, says the same but for its text, holds no more than it, and what came before was not
/// pushed; up to 64 KiB.
///
/// Super-segments are GRO's work already, and Linux acknowledges each. Those that came together are here: none waits for
/// another, and one acknowledgment for a few of them says as much, pushed or not. It is one system call less for each.
struct JoinedText {
  /// Bytes of the segments joined so far.
  private var bytes = 0
  private static var limit: Int { 65_535 }
  /// The same for super-segments: four of them.
  private static var superLimit: Int { 4 * 65_535 }

  /// Whether the segment in `next` is one with `segment`, whose payload `text` is.
  @inline(__always) mutating func isFollowed(
    _ text: borrowing Packet, _ segment: TCPSegment, by next: ItemRef?
  ) -> Bool {
    let count = text.totalCount
    let isSuper = segment.segmentSize > 0
    guard let next, count > 0, segment.flags == .ack || isSuper && segment.flags == [.ack, .psh] else {
      bytes = 0
      return false
    }
    let packet = Packet(item: next)
    let joins = Self.follows(packet, segment, isSuper ? .max : count, count, text.metadata.trafficClass)
    let total = bytes + count + packet.totalCount
    _ = packet.intoItem()
    bytes = joins && total <= (isSuper ? Self.superLimit : Self.limit) ? bytes + count : 0
    return bytes > 0
  }

  private static func follows(
    _ packet: borrowing Packet, _ segment: TCPSegment, _ most: Int, _ count: Int, _ trafficClass: UInt8
  ) -> Bool {
    let bytes = packet.bytes
    guard let next = try? TCPView(bytes) else { return false }
    let text = packet.totalCount - next.headerByteCount
    return next.sequence == segment.sequence + count && next.acknowledgment == segment.acknowledgment
      && next.flags.subtracting(.psh) == .ack && next.window == segment.window
      && repeats(next.options, segment.options) && text > 0 && text <= most
      && packet.metadata.trafficClass == trafficClass
  }

  /// Whether options are the same; only none, and timestamps alone as everyone sends them, are looked at.
  private static func repeats(_ bytes: RawSpan, _ options: TCPOptions) -> Bool {
    guard bytes.byteCount == options.byteCount else { return false }
    if bytes.byteCount == 0 { return true }
    guard bytes.byteCount == 12, let stamps = options.timestamps else { return false }
    return bytes.uint32(at: 0) == 0x0101_080A && bytes.uint32(at: 4) == stamps.value
      && bytes.uint32(at: 8) == stamps.echo
  }
}
