public import Buffers
public import Exclusion
import SoftInterrupts
public import Wire

/// Who takes the packets of one IP protocol. Functions capture nothing that is shared, so that calling one
/// counts no reference; they find their state in the context's attachments.
public struct TransportHandler: Sendable {
  /// A packet for us. Its bytes begin with the transport header and end with the IP payload; its metadata
  /// has both addresses, the interface and both offsets. The transport checksum is not yet verified.
  /// The IP header is still in front of the bytes: ``InternetLayer/reject(_:_:_:)`` needs it there.
  public var receive: @Sendable (consuming Packet, inout SoftInterrupt) -> Void
  /// The packets that came together end here: what ``receive`` has held back, so that it is taken at once, is taken.
  /// Called after each batch, with or without packets for the protocol.
  public var finish: @Sendable (inout SoftInterrupt) -> Void
  /// One packet that came alone: what ``receive`` and ``finish`` would do about it, one after the other. Nil: they do it.
  public var receiveAlone: (@Sendable (consuming Packet, inout SoftInterrupt) -> Void)?
  /// A packet of ours did not arrive. Never called from inside ``InternetLayer`` send functions on the same
  /// stack frame as the sender's (L7).
  public var fail: @Sendable (DeliveryFailure, inout SoftInterrupt) -> Void

  /// A handler.
  public init(
    receive: @escaping @Sendable (consuming Packet, inout SoftInterrupt) -> Void,
    finish: @escaping @Sendable (inout SoftInterrupt) -> Void = { _ in },
    receiveAlone: (@Sendable (consuming Packet, inout SoftInterrupt) -> Void)? = nil,
    fail: @escaping @Sendable (DeliveryFailure, inout SoftInterrupt) -> Void = { _, _ in }
  ) {
    self.receive = receive
    self.finish = finish
    self.receiveAlone = receiveAlone
    self.fail = fail
  }
}

/// What became of a packet of ours: an ICMP error from the network, or a neighbour that did not answer.
public struct DeliveryFailure: Sendable, Equatable {
  /// What went wrong. TCP treats all but those that RFC 1122 section 4.2.3.9 calls hard as hints.
  public enum Reason: Sendable, Equatable {
    /// No way to the network (ENETUNREACH).
    case networkUnreachable
    /// No way to the host, or its neighbour did not answer (EHOSTUNREACH).
    case hostUnreachable
    /// The host does not speak the protocol (ENOPROTOOPT).
    case protocolUnreachable
    /// Nobody listens there (ECONNREFUSED).
    case portUnreachable
    /// Larger than a link on the way, which carries so many bytes; 0 if it did not say (EMSGSIZE).
    case packetTooBig(mtu: Int)
    /// Forbidden on the way (EACCES).
    case prohibited
    /// Hop limit used up, or fragments missing (EHOSTUNREACH).
    case timeExceeded
    /// The header field at this offset was refused (EPROTO).
    case parameterProblem(pointer: Int)
  }
  /// What went wrong.
  public var reason: Reason
  /// TCP, UDP, …: of the packet.
  public var protocolNumber: IPProtocol
  /// The packet's source: us.
  public var local: SocketAddress
  /// The packet's destination. Ports are 0 for protocols without.
  public var remote: SocketAddress
  /// TCP: the sequence number of the segment, to be checked against the window (RFC 5927).
  public var sequence: SequenceNumber?
  /// Who says so; nil if our own neighbour resolution does.
  public var reporter: IPAddress?
  /// The interface's index.
  public var interface: UInt16
  /// UDP: the first eight bytes of what the datagram carried, as those of a TCP header; nil: they are not quoted.
  public var carried: QuotedTransport?
}
