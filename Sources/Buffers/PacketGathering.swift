extension PacketPoolRef {
  /// One packet of what `pieces` have, one after the other: in its slot if it fits there, else in memory beside it, copied
  /// once. Nil: there is no memory; the pieces are taken either way. Home context only.
  ///
  /// - Parameter byteCount: what the pieces have together, at most 64 KiB.
  public func gather(_ byteCount: Int, _ pieces: inout PacketQueue) -> Packet? {
    guard var packet = allocate() else {
      pieces.removeAll()
      return nil
    }
    let here = byteCount <= packet.tailroom ? byteCount : Self.slotShare
    packet.append(here)
    var (done, copied) = (0, 0)
    var piece = pieces.popFirst()
    // Fills `target` with what comes next.
    func fill(_ target: UnsafeMutableRawPointer, _ count: Int) {
      var left = count
      var at = unsafe target
      while left > 0, let source = piece.take() {
        let length = min(left, source.totalCount - done)
        unsafe source.copyBytes(from: done, count: length, into: at)
        unsafe at += length
        done += length
        left -= length
        copied += length
        if done == source.totalCount {
          done = 0
          piece = pieces.popFirst()
        } else {
          piece = consume source
        }
      }
    }
    unsafe fill(packet.dataAddress, here)
    if here < byteCount {
      unsafe forEachSpare { room in
        guard copied < byteCount, let base = room.baseAddress else { return }
        unsafe fill(base, min(room.count, byteCount - copied))
      }
    }
    pieces.removeAll()
    guard copied == byteCount else { return nil }
    attachSpare(byteCount - here, to: &packet)
    return packet
  }
}
