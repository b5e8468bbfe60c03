/// What the internet layer counts. Each context counts its own; ``InternetLayer/statistics()`` adds them up.
///
/// A frame or packet that is not delivered and not sent moves exactly one counter whose name says why.
public enum InternetEvent: Int, CaseIterable, Sendable {
  // Link layer, received.
  /// Frames that reached the layer.
  case framesReceived
  /// Shorter than the link header.
  case frameTooShort
  /// Unicast to another station.
  case frameNotForUs
  /// Multicast, of either family, to a group that the interface is not in.
  case groupNotJoined
  /// The frame's source is a group address.
  case frameFromGroup
  /// 802.1Q with a VLAN that this interface does not carry (R7).
  case unknownVLAN
  /// An EtherType, or an IP version, that the stack does not speak.
  case unknownEtherType

  // IPv4, received.
  /// IPv4 packets that reached the layer.
  case ipv4Received
  /// Truncated, a length that contradicts itself, or a version other than 4.
  case ipv4Malformed
  /// Header checksum.
  case ipv4BadChecksum
  /// A source route option (RFC 7126 section 4.3).
  case ipv4SourceRoute
  /// A source that no host may have, or one of our own from outside.
  case ipv4MartianSource
  /// A destination that must not appear on the wire.
  case ipv4MartianDestination
  /// Not addressed to us, and this stack does not forward.
  case ipv4NotForUs
  /// Fragments that came.
  case ipv4Fragment
  /// No transport takes this protocol.
  case ipv4UnknownProtocol
  /// Handed to a transport or to ICMP.
  case ipv4Delivered

  // IPv6, received.
  /// IPv6 packets that reached the layer.
  case ipv6Received
  /// Truncated, a length that contradicts itself, or a version other than 6.
  case ipv6Malformed
  /// An extension header or option that had to be refused.
  case ipv6BadExtension
  /// A source that no host may have, or one of our own from outside.
  case ipv6MartianSource
  /// A destination that must not appear on the wire.
  case ipv6MartianDestination
  /// Not addressed to us, and this stack does not forward.
  case ipv6NotForUs
  /// Fragments that came, but for packets in one (RFC 6946).
  case ipv6Fragment
  /// No transport takes this protocol.
  case ipv6UnknownProtocol
  /// The chain ends with "no next header".
  case ipv6NoNextHeader
  /// Handed to a transport or to ICMPv6.
  case ipv6Delivered

  // Fragments, both families.
  /// Fragments with a length or a place that no honest one has.
  case fragmentMalformed
  /// Fragments that were there already.
  case fragmentRepeated
  /// Packets thrown away because fragments of theirs contradict each other (RFC 5722).
  case fragmentOverlap
  /// Fragments, and packets of which some are missing, that gave way for want of room.
  case fragmentOverflow
  /// Packets of which fragments did not come in time.
  case fragmentTimedOut
  /// Packets put together.
  case fragmentsJoined
  /// Fragments sent.
  case fragmentsSent

  // A guarded link, received.
  /// Packets with a source that no host of the link has.
  case ingressForgedSource
  /// Messages that say of an address, or a station, that it is the sender's, and it is not.
  case ingressForgedNeighbor
  /// Messages of a DHCP server.
  case ingressRogueServer
  /// Messages of a router.
  case ingressRogueRouter

  // ICMP and ICMPv6, received.
  /// ICMP messages, both families.
  case icmpReceived
  /// Truncated or a field out of range.
  case icmpMalformed
  /// Checksum.
  case icmpBadChecksum
  /// Echo requests to us.
  case icmpEchoRequests
  /// Echo requests to broadcast or multicast, ignored (amplification).
  case icmpEchoIgnored
  /// Errors about packets of ours.
  case icmpErrorsReceived
  /// Errors whose inner packet is not one of ours, or cannot be read.
  case icmpErrorsIgnored
  /// A type that the stack does not use.
  case icmpUnknownType

  // ICMP and ICMPv6, sent.
  /// Echo replies.
  case icmpEchoReplies
  /// Errors sent.
  case icmpErrorsSent
  /// Errors that RFC 1122 3.2.2 or RFC 4443 2.4 forbid: about errors, multicast, fragments.
  case icmpErrorsForbidden
  /// Errors that the limit of this context held back.
  case icmpErrorsLimitedContext
  /// Errors that the limit of the stack held back.
  case icmpErrorsLimitedStack

  // ARP and neighbour discovery, received.
  /// ARP messages.
  case arpReceived
  /// Truncated, or not Ethernet and IPv4.
  case arpMalformed
  /// Another station claims one of our addresses (RFC 5227 section 2.4).
  case addressConflict
  /// Neighbour solicitations and advertisements.
  case ndReceived
  /// Failed the checks of RFC 4861 7.1: hop limit, code, length, options.
  case ndInvalid
  /// Router and redirect messages: no host configuration here.
  case ndIgnored

  // Neighbour resolution.
  /// Entries made.
  case neighborsCreated
  /// Entries given up to make room.
  case neighborsEvicted
  /// Resolutions that got no answer.
  case neighborsFailed
  /// Solicitations sent: ARP requests and NS.
  case solicitationsSent
  /// Answers sent: ARP replies and NA.
  case advertisementsSent
  /// Router advertisements sent.
  case routerAdvertisementsSent
  /// Claims of an address that a neighbour has and still answers for, on a guarded link.
  case neighborClaimsRefused
  /// Packets that waited for a neighbour.
  case neighborWaits
  /// Packets pushed out of a full waiting list, oldest first (X4).
  case neighborWaitOverflow
  /// Packets dropped because their neighbour did not answer.
  case neighborUnreachableDrops

  // Sent.
  /// IPv4 packets.
  case ipv4Sent
  /// IPv6 packets.
  case ipv6Sent
  /// No route.
  case sendNoRoute
  /// Larger than the route's MTU.
  case sendTooBig
  /// Source is not one of our addresses.
  case sendBadSource
  /// No room for a header in front of the packet.
  case sendNoHeadroom
  /// The packet pool was empty when the stack itself had something to say.
  case poolExhausted
  /// Cached routes found out of date and looked up again (RT-GEN).
  case routesRefreshed
}
