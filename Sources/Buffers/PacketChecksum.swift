public import Wire

// Checksums over a packet whose bytes lie in several pieces.
extension Packet {
  /// Adds `count` bytes from `offset`, attached ones too. Traps when the packet does not have them.
  public func add(from offset: Int, count wanted: Int, to sum: inout InternetChecksum) {
    forEachSpan(from: offset, count: wanted) { sum.add($0) }
  }

  /// The checksum of the whole packet, a transport header and its payload, under a pseudo header: 0 if it holds its
  /// right checksum.
  @inlinable @inline(__always) public func checksum(
    source: IPAddress, destination: IPAddress, protocol number: IPProtocol
  ) -> UInt16 {
    if attachedCount == 0 {
      return InternetChecksum.of(bytes, source: source, destination: destination, protocol: number)
    }
    var sum = InternetChecksum()
    sum.addPseudoHeader(
      source: source, destination: destination, protocol: number, byteCount: totalCount)
    add(from: 0, count: totalCount, to: &sum)
    return sum.finish()
  }

  /// The packet is received as it was sent, on the same machine: a checksum that was left to a device need not be made,
  /// as the bytes never were on a wire.
  @inlinable public mutating func arriveAsSent() {
    guard metadata.offload.needsChecksum else { return }
    metadata.offload.needsChecksum = false
    metadata.flags.insert(.checksumVerified)
  }

  /// Does what the packet's ``PacketOffload/needsChecksum`` leaves to a device. False, and nothing was done: the
  /// checksum's field is not in the slot.
  public mutating func completeChecksum() -> Bool {
    let offload = metadata.offload
    let start = Int(offload.checksumStart)
    let field = start + Int(offload.checksumOffset)
    guard field + 2 <= count else { return false }
    var sum = InternetChecksum()
    add(from: start, count: totalCount - start, to: &sum)
    let checksum = sum.finish()
    var bytes = mutableBytes
    // To TCP both forms of zero are the same; to UDP a zero says that there is no checksum (RFC 768).
    bytes.set(checksum == 0 ? 0xFFFF : checksum, at: field)
    metadata.offload.needsChecksum = false
    return true
  }

  /// Moves the attached bytes into the slot. False, and the packet is as it was: they do not fit.
  public mutating func gather() -> Bool {
    let attached = attachedCount
    guard attached <= Packet.capacity &- startOffset &- count else { return false }
    guard attached > 0 else { return true }
    let end = unsafe dataAddress + count
    // By way of another place: the list of pieces lies in the slot's tailroom.
    unsafe withUnsafeTemporaryAllocation(byteCount: attached, alignment: 8) { bytes in
      guard let base = bytes.baseAddress else { return }
      unsafe copyBytes(from: count, count: attached, into: base)
      trimBack(attached)
      unsafe end.copyMemory(from: base, byteCount: attached)
    }
    append(attached)
    return true
  }
}
