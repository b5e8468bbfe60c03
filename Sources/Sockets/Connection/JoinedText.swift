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

  /// Whether the segment `next`, if one comes, is one with `this`.
  @inline(__always) mutating func isFollowed(_ this: ArrivingSegment, by next: ArrivingSegment) -> Bool {
    let isSuper = this.segmentSize > 0
    let count = this.count
    guard let segment = this.glance, let follower = next.glance, count > 0, next.count > 0,
      segment.flags == .ack || isSuper && segment.flags == [.ack, .psh],
      follower.sequence == segment.sequence + count, follower.acknowledgment == segment.acknowledgment,
      follower.flags.subtracting(.psh) == .ack, follower.window == segment.window,
      follower.headerByteCount == segment.headerByteCount, follower.timestamps == segment.timestamps,
      isSuper || next.count <= count, this.trafficClass == next.trafficClass,
      bytes + count + next.count + follower.headerByteCount <= (isSuper ? Self.superLimit : Self.limit)
    else {
      bytes = 0
      return false
    }
    bytes += count
    return true
  }

  /// The same of two that say the same, and have `count` bytes of text each behind a header of so many.
  @inline(__always) mutating func isFollowedByAlike(count: Int, headerByteCount: Int) -> Bool {
    guard bytes + 2 * count + headerByteCount <= Self.limit else { return false }
    bytes += count
    return true
  }
}
