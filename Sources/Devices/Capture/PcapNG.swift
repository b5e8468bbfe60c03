/// The pcapng file format (draft-ietf-opsawg-pcapng), as far as Sluice writes it: little-endian blocks, times
/// in nanoseconds, one section. Pure: bytes into memory, no file and no clock.
public enum PcapNG {
  /// Block type codes, section 11.1.
  public enum BlockType {
    /// Section Header Block, section 4.1.
    public static var sectionHeader: UInt32 { 0x0A0D_0D0A }
    /// Interface Description Block, section 4.2.
    public static var interfaceDescription: UInt32 { 1 }
    /// Interface Statistics Block, section 4.6.
    public static var interfaceStatistics: UInt32 { 5 }
    /// Enhanced Packet Block, section 4.3.
    public static var enhancedPacket: UInt32 { 6 }
  }

  /// What the first bytes of a captured frame are.
  public enum LinkType: UInt16, Sendable {
    /// LINKTYPE_ETHERNET: frames from the destination address on, without preamble and check sequence.
    case ethernet = 1
    /// LINKTYPE_RAW: IPv4 or IPv6, told apart by the version field.
    case raw = 101
  }

  /// Which way a frame went, as `epb_flags` says it.
  public enum Direction: UInt32, Sendable {
    /// From the link into the stack.
    case inbound = 1
    /// From the stack onto the link.
    case outbound = 2
  }

  /// Totals of one interface, for its statistics block.
  public struct Statistics: Sendable {
    /// Nanoseconds since 1970 at which the capture began.
    public var start: UInt64
    /// Nanoseconds since 1970 at which it ended.
    public var end: UInt64
    /// Frames that the interface carried, in both directions.
    public var frames: UInt64
    /// Frames among them that the capture had no room for.
    public var drops: UInt64

    /// Totals between `start` and `end`, nanoseconds since 1970.
    public init(start: UInt64, end: UInt64, frames: UInt64, drops: UInt64) {
      self.start = start
      self.end = end
      self.frames = frames
      self.drops = drops
    }
  }

  /// The Section Header Block: byte order, version 1.0, unknown section length, and who wrote it.
  public static func sectionHeader(application: String) -> [UInt8] {
    var block = BlockBuilder(type: BlockType.sectionHeader)
    block.append(UInt32(0x1A2B_3C4D))
    block.append(UInt16(1))
    block.append(UInt16(0))
    block.append(UInt64.max)
    block.appendOption(code: 4, bytes: Array(application.utf8))  // shb_userappl
    return block.finish()
  }

  /// An Interface Description Block; the first one in a section is interface 0.
  ///
  /// - Parameter snapLength: bytes kept of each frame, 0 for no limit.
  public static func interfaceDescription(name: String, linkType: LinkType, snapLength: Int) -> [UInt8] {
    var block = BlockBuilder(type: BlockType.interfaceDescription)
    block.append(linkType.rawValue)
    block.append(UInt16(0))
    block.append(UInt32(clamping: snapLength))
    block.appendOption(code: 2, bytes: Array(name.utf8))  // if_name
    block.appendOption(code: 9, bytes: [9])  // if_tsresol: 10^-9 s
    return block.finish()
  }

  /// An Interface Statistics Block.
  public static func interfaceStatistics(interface: UInt32, _ statistics: Statistics) -> [UInt8] {
    var block = BlockBuilder(type: BlockType.interfaceStatistics)
    block.append(interface)
    block.append(UInt32(truncatingIfNeeded: statistics.end >> 32))
    block.append(UInt32(truncatingIfNeeded: statistics.end))
    // Times in options are two words as well, the upper one first.
    block.appendOption(code: 2, words: [statistics.start >> 32, statistics.start])  // isb_starttime
    block.appendOption(code: 3, words: [statistics.end >> 32, statistics.end])  // isb_endtime
    block.appendOption(code: 4, words: [statistics.frames, statistics.frames >> 32])  // isb_ifrecv
    block.appendOption(code: 7, words: [statistics.drops, statistics.drops >> 32])  // isb_osdrop
    return block.finish()
  }
}

/// Builds one block in an array. Not for the packet path: packets are formatted in place.
private struct BlockBuilder {
  private var bytes: [UInt8] = []
  private var hasOptions = false

  init(type: UInt32) {
    append(type)
    append(UInt32(0))  // the total length, known at the end
  }

  mutating func append(_ value: some FixedWidthInteger) {
    for byte in 0..<value.bitWidth / 8 { bytes.append(UInt8(truncatingIfNeeded: value >> (byte * 8))) }
  }

  mutating func appendOption(code: UInt16, bytes value: [UInt8]) {
    // An option's length is 16 bits: a longer text is cut.
    let value = value.prefix(Int(UInt16.max))
    append(code)
    append(UInt16(value.count))
    bytes += value
    while !bytes.count.isMultiple(of: 4) { bytes.append(0) }
    hasOptions = true
  }

  /// The lower halves of `words`, in this order.
  mutating func appendOption(code: UInt16, words: [UInt64]) {
    appendOption(
      code: code,
      bytes: words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } })
  }

  mutating func finish() -> [UInt8] {
    if hasOptions { append(UInt32(0)) }  // opt_endofopt
    let length = UInt32(bytes.count + 4)
    append(length)
    for byte in 0..<4 { bytes[4 + byte] = UInt8(truncatingIfNeeded: length >> (byte * 8)) }
    return bytes
  }
}
