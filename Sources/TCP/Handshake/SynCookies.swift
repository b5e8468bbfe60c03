import Exclusion
import Timing
import Wire

/// SYN cookies: a listener that has no room for half-open connections lets the peer keep them, in the sequence
/// number of the SYN-ACK (RFC 4987 section 3.6).
///
/// The cookie is, from the top: four bits of a counter of 64 seconds, one of selective acknowledgments, three bits for the
/// peer's segment size, and 24 bits of a keyed hash of both ends, IRS, and the eight bits before. What else was negotiated
/// fits into the low six bits of our timestamp, which the peer echoes: one of congestion notification, four of window
/// scale; the last stays 0. Without timestamps there is none of these two. Accurate feedback needs no bit: who was
/// agreed with on it says so in the flags of the ACK (RFC 9768 section 5.1).
@frozen public struct SynCookies: Sendable {
  private let key: HashKey

  /// Cookies under a secret of their own; one for each stack.
  public init(key: HashKey) { self.key = key }

  /// What the three bits stand for: common sizes, so that little is lost by rounding down.
  private static let segments: InlineArray<8, UInt16> = [216, 536, 1220, 1360, 1440, 1460, 4312, 8960]
  /// The low bits of a timestamp, and the scale that stands for none.
  private static let stampBits: UInt32 = 0x3F
  private static let noScale: UInt32 = 0xF
  private static let notificationBit: UInt32 = 0x20
  /// Beside the three bits.
  private static let selectiveBit: UInt32 = 8
  /// A cookie is good in its own interval and the next: for 64 to 128 seconds.
  private static let intervalNanoseconds: UInt64 = 64_000_000_000

  /// How long a cookie can be good after it was made.
  public static var lifetime: Nanoseconds { Nanoseconds(Int64(2 * intervalNanoseconds)) }

  /// The SYN-ACK that answers `syn` without anything being kept. Pure; any context may call it.
  ///
  /// - Parameters:
  ///   - syn: the segment, for which `TCPListenRule` said `open`.
  ///   - local: the listener's end.
  ///   - remote: the peer's end.
  ///   - timestampOffset: where the timestamp clock begins, from `InitialSequenceGenerator`.
  ///   - configuration: how the connection would behave.
  ///   - now: the time.
  public func synAck(
    _ syn: TCPSegment, local: SocketAddress, remote: SocketAddress, timestampOffset: UInt32,
    configuration: TCPConfiguration, now: Instant
  ) -> TCPOutgoing {
    var halfOpen = TCPHalfOpen(
      syn: syn, iss: SequenceNumber(0), timestampOffset: timestampOffset, configuration: configuration,
      now: now)
    var size: UInt32 = 0
    for index in 0..<8 where Self.segments[index] <= halfOpen.negotiation.segment { size = UInt32(index) }
    if halfOpen.negotiation.selective { size |= Self.selectiveBit }
    halfOpen.initialSend = cookie(Self.interval(now), size, syn.sequence, local, remote)
    if !halfOpen.negotiation.timestamps {
      halfOpen.negotiation.scale = nil
      if halfOpen.negotiation.notification == .classic { halfOpen.negotiation.notification = .none }
    }
    var reply = halfOpen.synAck(configuration, now: now)
    if var stamps = reply.options.timestamps {
      let scale = halfOpen.negotiation.scale.map(UInt32.init) ?? Self.noScale
      let bits =
        (halfOpen.negotiation.notification == .classic ? Self.notificationBit : 0) | scale << 1
      var value = stamps.value & ~Self.stampBits | bits
      // Our clock must not go back when the connection begins.
      if Int32(bitPattern: value &- stamps.value) > 0 { value &-= Self.stampBits + 1 }
      stamps.value = value
      reply.options.timestamps = stamps
    }
    return reply
  }

  /// The half-open connection that the peer kept for us, if `segment` carries a cookie of ours that is still good.
  /// Pure; any context may call it. Parameters as above.
  public func halfOpen(
    _ segment: TCPSegment, local: SocketAddress, remote: SocketAddress, timestampOffset: UInt32,
    configuration: TCPConfiguration, now: Instant
  ) -> TCPHalfOpen? {
    guard segment.flags.contains(.ack), segment.flags.isDisjoint(with: [.syn, .rst]) else { return nil }
    let initialSend = segment.acknowledgment - 1
    let initialReceive = segment.sequence - 1
    let size = initialSend.rawValue >> 24 & 0xF
    let current = Self.interval(now)
    // The four bits of the counter name one of the last 16 intervals.
    let age = (current &- UInt64(initialSend.rawValue >> 28)) & 15
    guard age <= 1, age <= current,
      cookie(current - age, size, initialReceive, local, remote) == initialSend
    else { return nil }
    var options = TCPOptions()
    options.mss = Self.segments[Int(size & 7)]
    options.sackPermitted = size & Self.selectiveBit != 0
    var flags: TCPFlags = .syn
    if let stamps = segment.options.timestamps {
      let bits = stamps.echo & Self.stampBits
      options.timestamps = stamps
      if bits >> 1 & 0xF != Self.noScale { options.windowScale = UInt8(bits >> 1 & 0xF) }
      if bits & Self.notificationBit != 0 { flags.formUnion([.ece, .cwr]) }
    }
    if configuration.congestionNotification.accepted == .accurate, flags == .syn, segment.flags.marks >= 2 {
      flags.formUnion(.notification)
    }
    let syn = TCPSegment(sequence: initialReceive, flags: flags, window: segment.window, options: options)
    return TCPHalfOpen(
      syn: syn, iss: initialSend, timestampOffset: timestampOffset, configuration: configuration, now: now)
  }

  private static func interval(_ now: Instant) -> UInt64 { now.nanoseconds / intervalNanoseconds }

  private func cookie(
    _ interval: UInt64, _ size: UInt32, _ initialReceive: SequenceNumber, _ local: SocketAddress,
    _ remote: SocketAddress
  ) -> SequenceNumber {
    var hasher = KeyedHasher(key)
    hasher.combine(local.address.high)
    hasher.combine(local.address.low)
    hasher.combine(remote.address.high)
    hasher.combine(remote.address.low)
    hasher.combine(UInt64(local.port) << 48 | UInt64(remote.port) << 32 | UInt64(initialReceive.rawValue))
    hasher.combine(interval << 8 | UInt64(size))
    let mark = UInt32(truncatingIfNeeded: hasher.finish()) & 0xFF_FFFF
    return SequenceNumber(UInt32(truncatingIfNeeded: interval & 15) << 28 | size << 24 | mark)
  }
}
