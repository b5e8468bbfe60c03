public import Wire

/// What guests of a link are told by ``AddressServer``.
public struct AddressServerConfiguration: Sendable, Hashable {
  /// Our address on the link: who serves.
  public var server: IPv4Address
  /// Length of the link's prefix, 1...30.
  public var prefixLength: Int
  /// Addresses that are given out, 65,536 at most; of the link, and none of ours.
  public var pool: ClosedRange<IPv4Address>
  /// Addresses for guests that are known; they may lie outside of the pool.
  public var reserved: [MACAddress: IPv4Address] = [:]
  /// The default route; nil: none.
  public var router: IPv4Address?
  /// Who answers for names, the best one first.
  public var nameServers: [IPv4Address] = []
  /// Domains that names without a dot are looked for in (RFC 3397); those that are none are left out.
  public var searchDomains: [String] = []
  /// The largest packet of the link, in bytes; nil: it is not told.
  public var mtu: Int?
  /// How long an address is a guest's before it has to ask again, in seconds, 120 at least.
  public var leaseSeconds: UInt32 = 3600
  /// The same while fewer than half of the pool's addresses are free: those of guests that are gone come back soon.
  public var scarceLeaseSeconds: UInt32 = 300

  /// A server for a pool.
  public init(server: IPv4Address, prefixLength: Int, pool: ClosedRange<IPv4Address>) {
    self.server = server
    self.prefixLength = prefixLength
    self.pool = pool
  }

  var mask: IPv4Address {
    IPv4Address(prefixLength <= 0 ? 0 : ~UInt32(0) << UInt32(32 - min(prefixLength, 32)))
  }
  func isOnLink(_ address: IPv4Address) -> Bool {
    address.rawValue & mask.rawValue == server.rawValue & mask.rawValue
  }

  /// What every guest is told.
  var options: [DHCPOption] {
    var all: [DHCPOption] = [.subnetMask(mask)]
    if let router { all.append(.routers([router])) }
    if !nameServers.isEmpty { all.append(.nameServers(nameServers)) }
    let domains = searchDomains.compactMap { NameTable.wire($0) }
    if let first = searchDomains.first(where: { NameTable.wire($0) != nil }) {
      all.append(.domainName(Array(first.utf8)))
      all.append(.domainSearch(domains.flatMap { $0 }))
    }
    if let mtu { all.append(.mtu(UInt16(clamping: max(68, mtu)))) }
    return all
  }
}
