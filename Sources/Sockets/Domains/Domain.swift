import Exclusion
import Wire

/// A family of addresses, by the number that Linux gives it.
public struct AddressFamily: RawRepresentable, Hashable, Sendable {
  /// AF_ and the number.
  public let rawValue: UInt16
  /// Any number may be a family.
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// Sockets of one machine, by path.
  public static let local = AddressFamily(rawValue: 1)
  /// IPv4.
  public static let inet = AddressFamily(rawValue: 2)
  /// IPv6, and IPv4 by mapped addresses.
  public static let inet6 = AddressFamily(rawValue: 10)
  /// Routes, addresses and links.
  public static let route = AddressFamily(rawValue: 16)
  /// Frames.
  public static let packet = AddressFamily(rawValue: 17)

  /// Whether sockets of this internet family take the address.
  func contains(_ address: IPAddress) -> Bool { self == .inet6 || address.isIPv4 }
}

/// How a socket carries bytes.
public enum SocketType: UInt8, Hashable, Sendable, CaseIterable {
  /// A stream of bytes, in order, by a connection.
  case stream = 1
  /// Datagrams.
  case datagram = 2
  /// Packets of the layer below.
  case raw = 3
  /// Records, in order, by a connection.
  case sequencedPacket = 5
}

/// One kind of socket that a domain makes.
public struct SocketProtocol: Hashable, Sendable {
  /// How it carries bytes.
  public var type: SocketType
  /// Its number within the domain.
  public var number: UInt8

  /// A kind of socket.
  public init(_ type: SocketType, number: UInt8) {
    self.type = type
    self.number = number
  }
}

/// Any socket, as the protocol switch makes it: not bound, not connected. What more it can do its own type says.
public protocol AnySocket: AnyObject, Sendable {
  /// Ends it. Cannot fail; again it does nothing (SO-NOFAIL).
  func close()
}

/// A communication domain: sockets of one family. Domains register with a ``ProtocolSwitch``; nothing else of
/// the stack knows which there are.
public protocol Domain: Sendable {
  /// Whose sockets it makes.
  var family: AddressFamily { get }
  /// What it makes; the first of a type is what protocol 0 means.
  var protocols: [SocketProtocol] { get }
  /// Makes a socket of one of `protocols`. The answer may come at once. Application context.
  func makeSocket(_ kind: SocketProtocol) -> Answer<Result<any AnySocket, SocketError>>
}
