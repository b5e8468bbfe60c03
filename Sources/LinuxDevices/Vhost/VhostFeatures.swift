import Buffers
import Wire

/// Features of a network device and its rings, by their bits (virtio 1.2 sections 5.1.3 and 6), that are offered and may
/// be used.
struct VhostFeatures: OptionSet, Hashable, Sendable {
  let rawValue: UInt64

  /// The guest may leave checksums to us.
  static let checksum = VhostFeatures(rawValue: 1 << 0)
  /// We may leave checksums to the guest.
  static let guestChecksum = VhostFeatures(rawValue: 1 << 1)
  /// The guest takes super-segments of TCP over IPv4, over IPv6.
  static let guestTCP4 = VhostFeatures(rawValue: 1 << 7)
  static let guestTCP6 = VhostFeatures(rawValue: 1 << 8)
  /// It may send them.
  static let hostTCP4 = VhostFeatures(rawValue: 1 << 11)
  static let hostTCP6 = VhostFeatures(rawValue: 1 << 12)
  /// A frame for the guest may take several of its buffers.
  static let mergedBuffers = VhostFeatures(rawValue: 1 << 15)
  /// Guests of old (before virtio 1.0) need to be told that a header may lie anywhere.
  static let anyLayout = VhostFeatures(rawValue: 1 << 27)
  static let indirect = VhostFeatures(rawValue: 1 << 28)
  static let eventIndex = VhostFeatures(rawValue: 1 << 29)
  /// Of the vhost-user protocol: it has features of its own, and rings are enabled one by one.
  static let protocolFeatures = VhostFeatures(rawValue: 1 << 30)
  /// virtio 1.0 or later.
  static let version1 = VhostFeatures(rawValue: 1 << 32)

  /// Of a device that leaves nothing to its other side.
  static let plain: VhostFeatures = [
    .mergedBuffers, .anyLayout, .indirect, .eventIndex, .protocolFeatures, .version1,
  ]
  /// Of one that does.
  static let offloading: VhostFeatures = [
    .plain, .checksum, .guestChecksum, .guestTCP4, .guestTCP6, .hostTCP4, .hostTCP6,
  ]
  /// Of the protocol's own: VHOST_USER_PROTOCOL_F_REPLY_ACK.
  static let replyAcknowledged: UInt64 = 1 << 3

  /// Bytes of the longest header: with a number of buffers at its end.
  static var headerBytes: Int { VirtioNetHeader.byteCount + 2 }
  /// Bytes of the header in front of each frame. Guests of old have it short, unless buffers are merged (section 5.1.6.1).
  var frameHeaderBytes: Int {
    isDisjoint(with: [.version1, .mergedBuffers]) ? VirtioNetHeader.byteCount : Self.headerBytes
  }

  /// Whether the guest takes super-segments of a kind.
  func take(_ segmentation: PacketSegmentation) -> Bool {
    switch segmentation {
    case .none: true
    case .tcp4: isSuperset(of: [.guestChecksum, .guestTCP4])
    case .tcp6: isSuperset(of: [.guestChecksum, .guestTCP6])
    case .udp: false
    }
  }
}
