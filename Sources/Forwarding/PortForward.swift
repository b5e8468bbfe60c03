public import Wire

/// A port of this host whose TCP connections, or UDP datagrams, go to a port of the guest.
public struct PortForward: Hashable, Sendable {
  /// What is carried.
  public enum Transport: String, Sendable, CaseIterable {
    /// Connections.
    case tcp
    /// Datagrams.
    case udp
  }
  /// What is carried.
  public var transport: Transport
  /// Where the host listens; nil: on every address, of both families where the host has them.
  public var address: IPAddress?
  /// The host's port, 1...65535.
  public var hostPort: UInt16
  /// Whom it leads to, on a link of the stack's; nil: the guest that the forwarder knows.
  public var guest: IPAddress?
  /// The guest's port, 1...65535.
  public var port: UInt16

  /// A forward of one port.
  public init(
    _ transport: Transport = .tcp, address: IPAddress? = nil, hostPort: UInt16, guest: IPAddress? = nil,
    port: UInt16
  ) {
    self.transport = transport
    self.address = address
    self.hostPort = hostPort
    self.guest = guest
    self.port = port
  }

  /// Most forwards that one text may stand for.
  public static let rangeLimit = 4096

  /// Reads `[ADDR:]HOSTPORT:PORT[/tcp|/udp]`, as the users of docker and podman write it. Ports may be ranges, `8000-8009`,
  /// as long on one side as on the other; an IPv6 address stands in brackets.
  public static func parse(_ text: String) throws(PortForwardError) -> [PortForward] {
    var rest = Substring(text)
    var transport = Transport.tcp
    if let slash = rest.lastIndex(of: "/") {
      let name = rest[rest.index(after: slash)...]
      guard let known = Transport(rawValue: name.lowercased()) else {
        throw .protocolNotForwarded(text, String(name))
      }
      transport = known
      rest = rest[..<slash]
    }
    var address: IPAddress?
    if rest.hasPrefix("[") {
      guard let end = rest.firstIndex(of: "]"), rest[rest.index(after: end)...].hasPrefix(":") else {
        throw .malformed(text)
      }
      let name = String(rest[rest.index(after: rest.startIndex)..<end])
      guard let found = IPAddress(name), found.isIPv6 else { throw .addressUnknown(text, name) }
      address = found
      rest = rest[rest.index(end, offsetBy: 2)...]
    }
    var parts = rest.split(separator: ":", omittingEmptySubsequences: false)
    if parts.count == 3, address == nil {
      let name = String(parts.removeFirst())
      guard let found = IPAddress(name), found.isIPv4 else { throw .addressUnknown(text, name) }
      address = found
    }
    guard parts.count == 2 else { throw .malformed(text) }
    let (host, guest) = (try ports(parts[0], of: text), try ports(parts[1], of: text))
    guard host.count == guest.count else { throw .rangesDiffer(text, host.count, guest.count) }
    guard host.count <= rangeLimit else { throw .rangeTooLong(text, host.count) }
    return zip(host, guest).map { PortForward(transport, address: address, hostPort: $0, port: $1) }
  }

  private static func ports(
    _ text: Substring, of whole: String
  ) throws(PortForwardError) -> ClosedRange<UInt16> {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count <= 2, let first = port(ends[0]), let last = port(ends[ends.count - 1]), first <= last
    else { throw .portOutOfRange(whole, String(text)) }
    return first...last
  }

  /// Digits alone: no sign, no blank.
  static func port(_ text: Substring) -> UInt16? {
    guard text.utf8.allSatisfy({ (48...57).contains($0) }), let number = UInt16(text), number > 0 else {
      return nil
    }
    return number
  }
}

/// Why a text is no forward, or a forward is not there. Every description says what to do.
public enum PortForwardError: Error, Hashable, Sendable {
  /// It is not of the form.
  case malformed(String)
  /// What stands where an address should.
  case addressUnknown(String, String)
  /// What stands where a port, or a range of ports, should.
  case portOutOfRange(String, String)
  /// Ports on the host's side and on the guest's.
  case rangesDiffer(String, Int, Int)
  /// Ports in a range that is longer than ``PortForward/rangeLimit``.
  case rangeTooLong(String, Int)
  /// A protocol other than TCP and UDP.
  case protocolNotForwarded(String, String)
  /// There are as many forwards as there may be.
  case tooMany(limit: Int)
  /// The host does not let us listen there.
  case listenRefused(PortForward, errno: Int32)
  /// Where this process is to be controlled nobody may listen.
  case controlRefused(path: String, errno: Int32)
  /// No descriptor or no thread for the forwards.
  case resourcesRefused(call: String, errno: Int32)
}
