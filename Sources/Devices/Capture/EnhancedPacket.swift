/// The head of an Enhanced Packet Block (pcapng section 4.3); the frame follows it in the block.
struct EnhancedPacket {
  var interface: UInt32
  /// Nanoseconds since 1970.
  var time: UInt64
  /// Bytes of the frame that the block holds.
  var capturedCount: Int
  /// Bytes of the frame on the link.
  var originalCount: Int
  var direction: PcapNG.Direction
  /// Frames lost between the one before and this one.
  var drops: UInt64

  static let headerCount = 28
  /// Type and total length: what every block begins with.
  static let prefixCount = 8
  static let lengthOffset = 4
  static let timeOffset = 12

  /// Where the options begin: the frame is padded to a whole word.
  private var optionsOffset: Int { Self.headerCount + (capturedCount + 3) & ~3 }
  /// `epb_flags`, `epb_dropcount` if any were lost, the end of options, the total length once more.
  var blockCount: Int { optionsOffset + 8 + (drops == 0 ? 0 : 12) + 4 + 4 }

  /// The most that a frame of `count` bytes needs.
  static func largestBlock(frame count: Int) -> Int {
    EnhancedPacket(
      interface: 0, time: 0, capturedCount: count, originalCount: count, direction: .inbound, drops: 1
    ).blockCount
  }

  /// Where the frame lies in the block.
  var frameRange: Range<Int> { Self.headerCount..<Self.headerCount + capturedCount }

  /// Writes everything but the frame.
  ///
  /// - Precondition: `block` holds exactly `blockCount` bytes.
  func emit(into block: inout MutableRawSpan) {
    precondition(block.byteCount == blockCount)
    let length = UInt32(blockCount)
    block.store(PcapNG.BlockType.enhancedPacket, at: 0)
    block.store(length, at: Self.lengthOffset)
    block.store(interface, at: 8)
    block.store(UInt32(truncatingIfNeeded: time >> 32), at: Self.timeOffset)
    block.store(UInt32(truncatingIfNeeded: time), at: Self.timeOffset + 4)

    var offset = optionsOffset
    block.store(UInt32(0), at: offset - 4)  // the padding; the frame covers the rest of the word
    block.store(UInt32(capturedCount), at: 20)
    block.store(UInt32(originalCount), at: 24)
    block.store(UInt16(2), at: offset)  // epb_flags
    block.store(UInt16(4), at: offset + 2)
    block.store(direction.rawValue, at: offset + 4)
    offset += 8
    if drops != 0 {
      block.store(UInt16(4), at: offset)  // epb_dropcount
      block.store(UInt16(8), at: offset + 2)
      block.store(drops, at: offset + 4)
      offset += 12
    }
    block.store(UInt32(0), at: offset)  // opt_endofopt
    block.store(length, at: offset + 4)
  }
}

extension MutableRawSpan {
  fileprivate mutating func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int)
  {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
  }
}
