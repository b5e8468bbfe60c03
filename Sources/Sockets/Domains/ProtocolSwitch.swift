import Exclusion

/// The domains of a stack, by family. Filled while the stack is assembled, constant afterwards.
public struct ProtocolSwitch: Sendable {
  private var domains: [AddressFamily: any Domain] = [:]

  /// Without domains.
  public init() {}

  /// Adds a domain. Each family has one.
  public mutating func register(_ domain: any Domain) {
    precondition(domains[domain.family] == nil, "each family has one domain")
    precondition(!domain.protocols.isEmpty, "a domain makes something")
    domains[domain.family] = domain
  }

  /// The families that there are, by number.
  public var families: [AddressFamily] { domains.keys.sorted { $0.rawValue < $1.rawValue } }

  /// Which domain and which of its protocols an application means.
  ///
  /// - Parameters:
  ///   - family: of the addresses.
  ///   - type: how bytes are carried.
  ///   - number: the protocol within the family; 0: the usual one of the type.
  /// - Throws: `.familyNotSupported`; `.typeNotSupported`, if the family has no such sockets at all;
  ///   `.protocolNotSupported`, if it does not know the protocol; `.protocolWrongType`, if it knows it for
  ///   sockets of another type.
  public func find(
    _ family: AddressFamily, _ type: SocketType, protocol number: UInt8 = 0
  ) throws(SocketError) -> (domain: any Domain, kind: SocketProtocol) {
    guard let domain = domains[family] else { throw .familyNotSupported }
    let protocols = domain.protocols
    guard let usual = protocols.first(where: { $0.type == type }) else { throw .typeNotSupported }
    if number == 0 { return (domain, usual) }
    let kind = SocketProtocol(type, number: number)
    if protocols.contains(kind) { return (domain, kind) }
    throw protocols.contains { $0.number == number } ? .protocolWrongType : .protocolNotSupported
  }

  /// Makes a socket, not bound and not connected. Throws what ``find(_:_:protocol:)`` throws; the answer is the
  /// socket, or why the domain could not make it. Application context.
  public func makeSocket(
    _ family: AddressFamily, _ type: SocketType, protocol number: UInt8 = 0
  ) throws(SocketError) -> Answer<Result<any AnySocket, SocketError>> {
    let (domain, kind) = try find(family, type, protocol: number)
    return domain.makeSocket(kind)
  }
}
