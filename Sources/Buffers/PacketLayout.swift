/// Where things lie in a packet's slot, in bytes from its start.
///
/// ```
/// 0     WorkItem, owning pool, generation          (Exclusion's)
/// 32    metadata       88
/// 120   start           2   of the bytes, in the data region
/// 122   count           2   of the bytes in the data region
/// 124   attachment      4   pieces in the upper 8 bits, their bytes in the lower 24
/// 128   data region  1920   headroom, bytes, tailroom, and at its end the pieces, last one first
/// ```
@usableFromInline enum PacketLayout {
  @usableFromInline static var slotBytes: Int { 2048 }
  @usableFromInline static var metadata: Int { 32 }
  /// In the metadata, and on the line of `attachment`, which is looked at for every packet that is freed.
  @usableFromInline static var creditOwner: Int { 72 }
  @usableFromInline static var start: Int { 120 }
  @usableFromInline static var count: Int { 122 }
  @usableFromInline static var attachment: Int { 124 }
  @usableFromInline static var data: Int { 128 }
  @usableFromInline static var capacity: Int { slotBytes - data }
  @usableFromInline static var pieceBytes: Int { 16 }
}
