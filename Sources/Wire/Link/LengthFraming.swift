// Frames on a stream of bytes, each with its length in front: what QEMU's `-netdev stream` and `-netdev socket` speak.

/// Frames of up to a limit on a stream: four bytes of length, most significant first, and the frame.
public enum LengthFraming {
  /// Bytes of a length.
  public static var headerByteCount: Int { 4 }

  /// Appends a frame with its length.
  public static func encode(_ frame: RawSpan, into bytes: inout [UInt8]) {
    let count = UInt32(frame.byteCount)
    for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: count >> shift)) }
    unsafe frame.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }

  /// The length that stands at an offset, if all of it is there.
  public static func length(_ bytes: RawSpan, at offset: Int) -> Int? {
    offset + headerByteCount <= bytes.byteCount ? Int(bytes.uint32(at: offset)) : nil
  }
}

/// Finds frames on a stream, in whatever pieces it comes. Total: any bytes are frames, or end in a length beyond the limit,
/// behind which nothing is understood any more.
public struct LengthFramingDecoder: Sendable {
  /// The longest frame, in bytes.
  public let limit: Int
  /// A length was beyond the limit: the stream is of no use from there on.
  public private(set) var isBroken = false
  /// The beginning of a frame, with its length, whose rest is still to come.
  private var held: [UInt8] = []

  /// Takes frames of up to `limit` bytes, 1...16,777,216.
  public init(limit: Int) { self.limit = limit }

  /// Bytes that are held.
  public var heldCount: Int { held.count }

  /// Takes the next bytes of the stream, and calls `body` with each frame that they complete. An empty frame is none.
  public mutating func take(_ bytes: RawSpan, _ body: (RawSpan) -> Void) {
    var offset = 0
    if !held.isEmpty { offset = complete(bytes, body) }
    while !isBroken, let count = LengthFraming.length(bytes, at: offset) {
      guard count <= limit else {
        isBroken = true
        return
      }
      let end = offset + LengthFraming.headerByteCount + count
      guard end <= bytes.byteCount else { break }
      if count > 0 { body(bytes.extracting(offset + LengthFraming.headerByteCount..<end)) }
      offset = end
    }
    if !isBroken { hold(bytes, offset..<bytes.byteCount) }
  }

  /// Ends the frame that is held, as far as the bytes go; how many were used.
  private mutating func complete(_ bytes: RawSpan, _ body: (RawSpan) -> Void) -> Int {
    var used = 0
    while true {
      let wanted: Int
      if let count = unsafe LengthFraming.length(held.span.bytes, at: 0) {
        guard count <= limit else {
          isBroken = true
          held = []
          return used
        }
        wanted = LengthFraming.headerByteCount + count
      } else {
        wanted = LengthFraming.headerByteCount
      }
      let more = min(wanted - held.count, bytes.byteCount - used)
      hold(bytes, used..<used + more)
      used += more
      guard held.count == wanted else { return used }
      if wanted > LengthFraming.headerByteCount {
        unsafe body(held.span.bytes.extracting(LengthFraming.headerByteCount..<wanted))
      } else if unsafe LengthFraming.length(held.span.bytes, at: 0) != 0 {
        continue
      }
      held.removeAll(keepingCapacity: true)
      return used
    }
  }
  private mutating func hold(_ bytes: RawSpan, _ range: Range<Int>) {
    unsafe bytes.extracting(range).withUnsafeBytes { unsafe held.append(contentsOf: $0) }
  }
}
