public import Timing
public import Wire

/// What the stack knows about a packet beside its bytes. It travels in the packet's slot (R9: nothing about a
/// packet is kept anywhere else), and belongs to whoever holds the packet.
@frozen public struct PacketMetadata: Sendable {
  /// Source address; filled by IP input, and by whoever originates a packet.
  public var source = IPAddress(high: 0, low: 0)
  /// Destination address; while a packet waits for a neighbour, the next hop's (NB-PEND).
  public var destination = IPAddress(high: 0, low: 0)
  /// When it came in, by the clock of the pass that read it; RTT samples use it (R10).
  public var arrival = Instant.zero
  /// Address of the account (``PacketCredit``) that is credited when the packet has left or is freed; 0: none.
  public var creditOwner: UInt = 0
  /// Address of the socket's block that the packet is under way for, from or to another context; 0: none. Whoever sets
  /// it sees to that block's life.
  public var owner: UInt = 0
  /// Keyed hash of the flow; 0 until it is known.
  public var flowHash: UInt32 = 0
  /// For the transport: TCP keeps the sequence number of the first byte here while a packet waits out of
  /// order, and until then, of a segment that came in UDP, the port of UDP that it came from.
  public var sequence: UInt32 = 0
  /// Work left to a device on output, or done by it on input.
  public var offload = PacketOffload()
  /// Index of the interface it came in by, or is to leave by.
  public var interface: UInt16 = 0
  /// Index of the queue of that interface.
  public var queue: UInt16 = 0
  /// Where the IP header begins, as ``Packet/startOffset`` counts: trimming and prepending do not change it.
  public var networkOffset: UInt16 = 0
  /// Where the transport header begins, counted in the same way.
  public var transportOffset: UInt16 = 0
  /// Facts of one bit.
  public var flags: PacketFlags = []
  /// TTL or hop limit as received, or as it is to be sent.
  public var hopLimit: UInt8 = 0
  /// IPv4 TOS or IPv6 traffic class: DSCP in the upper six bits, ECN in the lower two (RFC 2474, RFC 3168).
  public var trafficClass: UInt8 = 0

  /// Nothing is known.
  @inlinable public init() {}

  /// Whether a router marked the packet: ECN field CE, RFC 3168 section 5.
  @inlinable public var congestionExperienced: Bool { trafficClass & 3 == 3 }
}

/// One-bit facts about a packet.
@frozen public struct PacketFlags: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt8
  /// The flags that are set in `rawValue`.
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// It came by link-layer broadcast: never answered by an error (RFC 1122 section 3.2.2).
  @inlinable public static var linkBroadcast: PacketFlags { PacketFlags(rawValue: 1) }
  /// It came by link-layer multicast.
  @inlinable public static var linkMulticast: PacketFlags { PacketFlags(rawValue: 2) }
  /// Its transport checksum was verified, by a device or by us, or never left this machine.
  @inlinable public static var checksumVerified: PacketFlags { PacketFlags(rawValue: 4) }
  /// Its authentication code was verified with the keys of its flow (RFC 5925).
  @inlinable public static var authenticated: PacketFlags { PacketFlags(rawValue: 8) }
  /// It came in fragments.
  @inlinable public static var joined: PacketFlags { PacketFlags(rawValue: 16) }
  /// A segment of TCP's that came in UDP, whose header is in front of the bytes no more.
  @inlinable public static var encapsulated: PacketFlags { PacketFlags(rawValue: 32) }
}

/// What a super-segment is to be cut into, or was joined from.
@frozen public enum PacketSegmentation: UInt8, Hashable, Sendable {
  /// It is one packet.
  case none = 0
  /// TCP over IPv4.
  case tcp4 = 1
  /// TCP over IPv6.
  case tcp6 = 2
  /// UDP of either family: datagrams of one size.
  case udp = 3
}

/// Work that a device may do for the stack: checksums and segmentation, in the terms of `virtio_net_hdr`
/// (virtio 1.2, section 5.1.6).
@frozen public struct PacketOffload: Hashable, Sendable {
  /// The bytes from ``checksumStart`` to the end are to be summed, and the result stored at
  /// ``checksumOffset`` after that; the field holds the pseudo-header's sum.
  public var needsChecksum = false
  /// How to cut it.
  public var segmentation = PacketSegmentation.none
  /// Where the sum starts, from the packet's first byte.
  public var checksumStart: UInt16 = 0
  /// Where the checksum field lies, from ``checksumStart``.
  public var checksumOffset: UInt16 = 0
  /// Bytes of payload in each segment but the last.
  public var segmentSize: UInt16 = 0
  /// Bytes of headers in front of the payload, link layer included.
  public var headerLength: UInt16 = 0
  /// How many segments it stands for; 0 counts as one.
  public var segmentCount: UInt16 = 0

  /// A whole packet, with its checksum in place.
  @inlinable public init() {}
}
