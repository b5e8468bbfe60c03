public import Buffers
public import Wire

extension VirtioNetHeader {
  /// What a packet leaves to the device.
  public init(_ offload: PacketOffload) {
    self.init()
    if offload.needsChecksum {
      flags = .needsChecksum
      (checksumStart, checksumOffset) = (offload.checksumStart, offload.checksumOffset)
    }
    switch offload.segmentation {
    case .none: return
    case .tcp4: kind = .tcp4
    case .tcp6: kind = .tcp6
    case .udp: kind = .udp
    }
    headerLength = offload.headerLength
    segmentSize = offload.segmentSize
  }
}

extension Packet {
  /// What became of a frame that was received with a header in front.
  public enum VirtioVerdict: Hashable, Sendable {
    /// It is a packet, or a super-segment of TCP, which is taken as one.
    case taken
    /// It stands for datagrams, which are to be cut (``cutReceived(link:pool:into:)``).
    case datagrams
    /// Header and frame do not fit together.
    case refused
  }

  /// Notes what the header says of the frame that the packet is. Total: neither of the two is believed before it was
  /// looked at.
  public mutating func take(_ header: VirtioNetHeader, link: LinkLayer) -> VirtioVerdict {
    metadata.offload = PacketOffload()
    if header.flags.contains(.needsChecksum) {
      // Its sender is on this machine, and never made it.
      guard Int(header.checksumStart) + Int(header.checksumOffset) + 2 <= count else { return .refused }
      metadata.flags.insert(.checksumVerified)
    } else if header.flags.contains(.dataValid) {
      metadata.flags.insert(.checksumVerified)
    }
    if header.kind == .none { return .taken }
    guard let layout = layout(link), header.segmentSize > 0, layout.payload < totalCount else {
      return .refused
    }
    let expected: VirtioNetHeader.Kind =
      switch layout.segmentation {
      case .tcp4: .tcp4
      case .tcp6: .tcp6
      case .udp, .none: .udp
      }
    guard header.kind == expected else { return .refused }
    let size = Int(header.segmentSize)
    let segments = (totalCount - layout.payload + size - 1) / size
    metadata.offload.segmentSize = header.segmentSize
    metadata.offload.segmentCount = UInt16(segments)
    if layout.isTCP { return .taken }
    return segments <= Self.datagramLimit ? .datagrams : .refused
  }
  /// Datagrams that one may stand for, as Linux has it (UDP_MAX_SEGMENTS).
  private static var datagramLimit: Int { 128 }

  /// Cuts what ``take(_:link:)`` found to be datagrams. False: some or all are missing, for want of packets, or because
  /// they are too large for one. `pool` is the calling context's.
  public func cutReceived(link: LinkLayer, pool: PacketPoolRef, into queue: inout PacketQueue) -> Bool {
    guard let layout = layout(link) else { return false }
    return Segmentation.cut(
      self, layout, size: Int(metadata.offload.segmentSize),
      isVerified: metadata.flags.contains(.checksumVerified), pool: pool, into: &queue)
  }

  /// Makes the segments that a super-segment stands for, whole and with their checksums, one after the other at the start of
  /// `room`, and calls `body` with the length of each: for a driver whose other side takes none, and which has no packets to
  /// make them of. The owner of the queue's gate.
  ///
  /// - Returns: false where the packet is none, a segment does not fit into `room`, or `body` said that it is enough.
  public func forEachSegment(
    link: LinkLayer, in room: UnsafeMutableRawBufferPointer, _ body: (Int) -> Bool
  ) -> Bool {
    guard let layout = layout(link), layout.segmentation == metadata.offload.segmentation else {
      return false
    }
    return unsafe Segmentation.forEach(
      self, layout, size: Int(metadata.offload.segmentSize), in: room, body)
  }

  /// Where its headers lie; nil: it is neither TCP nor UDP, or not whole.
  private func layout(_ link: LinkLayer) -> TransportLayout? {
    switch link {
    case .ip: return TransportLayout(self, network: 0)
    case .ethernet:
      guard let header = try? EthernetHeader.parse(bytes) else { return nil }
      switch header.type {
      case .ipv4, .ipv6: return TransportLayout(self, network: header.byteCount)
      default: return nil
      }
    }
  }
}
