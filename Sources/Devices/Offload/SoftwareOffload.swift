import Buffers
import Exclusion

extension TransmitQueueRef {
  /// A packet that leaves work to a device that does not do it: the work is done, and what comes of it is sent. The
  /// sender's context, with anything owned.
  func sendPrepared(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    let offloads = unsafe state.pointee.offloads
    let offload = packet.metadata.offload
    guard offload.segmentation == .none else { return sendCut(packet, &cx) }
    var isWhole = true
    if offload.needsChecksum, !offloads.contains(.checksum) { isWhole = packet.completeChecksum() }
    if packet.pieceCount > 0, !offloads.contains(.gathering) {
      let charge = packet.charge
      isWhole = packet.gather() && isWhole
      // It occupies less from here on, and that is what comes back when it has left.
      if packet.charge < charge { packet.credit?.give(charge - packet.charge) }
    }
    guard isWhole else { return unsafe state.pointee.counters.offloadDrops.increment() }
    submit(packet, &cx)
  }

  private func sendCut(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    var frames = PacketQueue()
    let isWhole = cut(packet, cx, into: &frames)
    if !isWhole { unsafe state.pointee.counters.offloadDrops.increment() }
    unsafe state.pointee.counters.softwareSegmented.increment()
    // Before the credit of the whole comes back, which may end its source.
    let credit = packet.credit
    credit?.take(frames.count * Packet.occupied)
    _ = consume packet
    submitAll(&frames, on: credit, &cx)
  }

  private func cut(
    _ packet: borrowing Packet, _ cx: borrowing SoftInterrupt, into frames: inout PacketQueue
  ) -> Bool {
    let offload = packet.metadata.offload
    let network = Int(packet.metadata.networkOffset) - packet.startOffset
    guard let pool = cx.transmitBatch.pool, let layout = TransportLayout(packet, network: network),
      layout.segmentation == offload.segmentation
    else { return false }
    return Segmentation.cut(
      packet, layout, size: Int(offload.segmentSize), pool: pool, into: &frames)
  }
}
