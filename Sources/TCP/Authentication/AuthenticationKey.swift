public import Wire

/// How codes and traffic keys are made: RFC 5926. Both are cut to 96 bits.
@frozen public enum TCPAuthenticationAlgorithm: UInt8, Hashable, Sendable, CaseIterable {
  /// HMAC-SHA-1-96 with KDF_HMAC_SHA1 (section 3.2.1): "SHA1".
  case sha1
  /// AES-128-CMAC-96 with KDF_AES_128_CMAC (section 3.2.2): "AES128".
  case aes128

  /// Bytes of the code in a segment.
  public var codeByteCount: Int { 12 }
  /// What interfaces to people call it (RFC 5926 section 3.1.1.3).
  public var name: String {
    switch self {
    case .sha1: "SHA1"
    case .aes128: "AES128"
    }
  }
}

/// The key that two ends share, from which each connection's keys are made (RFC 5926 section 3.1). Its memory is wiped
/// when its last user lets go of it; copies that are made on the stack while it is used are overwritten by what comes
/// after.
@safe public final class TCPMasterKey: @unchecked Sendable {  // written by `init` and `deinit` only
  /// Bytes that a key may have at most.
  public static var limit: Int { 4096 }

  private let memory: UnsafeMutablePointer<UInt8>
  /// Its length in bytes.
  public let count: Int

  /// Nil if `bytes` are none, or more than ``limit``. For text: its UTF-8.
  public init?(_ bytes: some Collection<UInt8>) {
    guard (1...Self.limit).contains(bytes.count) else { return nil }
    count = bytes.count
    unsafe memory = .allocate(capacity: count)
    for (index, byte) in bytes.enumerated() { unsafe memory[index] = byte }
  }
  deinit {
    // Not optimised away: what becomes of the memory afterwards is not the compiler's knowledge.
    unsafe memory.update(repeating: 0, count: count)
    unsafe memory.deallocate()
  }

  /// For confirmation (RFC 5925 section 7.1): the bytes, which `body` is not to keep.
  public func withBytes<Result>(_ body: (RawSpan) -> Result) -> Result {
    unsafe body(RawSpan(_unsafeStart: memory, byteCount: count))
  }

  /// Whether two are the same. Takes equally long wherever they differ.
  public func isSame(as other: TCPMasterKey) -> Bool {
    guard count == other.count else { return false }
    var difference: UInt8 = 0
    for index in 0..<count { unsafe difference |= memory[index] ^ other.memory[index] }
    return difference == 0
  }
}

/// A master key tuple (RFC 5925 section 3.1): whose segments are authenticated, with which key, and how. Its parts do
/// not change; another key is another tuple.
public struct TCPAuthenticationKey: Sendable {
  /// The peers' network, and how many of its bits count: 0...32 (IPv4), 0...128 (IPv6).
  public let network: IPAddress, prefixLength: UInt8
  /// The peer's port, and ours; nil: any.
  public let remotePort: UInt16?, localPort: UInt16?
  /// SendID: what our segments call it. 0...255.
  public let sendID: UInt8
  /// RecvID: what the peer's segments call it. 0...255.
  public let receiveID: UInt8
  /// How codes are made.
  public let algorithm: TCPAuthenticationAlgorithm
  /// The codes cover the other options too. False where something on the way changes options (RFC 5925 section 9.1).
  public let coversOptions: Bool
  /// The secret.
  public let master: TCPMasterKey

  /// A key for a network's peers; for one peer with all bits.
  public init(
    network: IPAddress, prefixLength: UInt8, remotePort: UInt16? = nil, localPort: UInt16? = nil,
    sendID: UInt8,
    receiveID: UInt8, algorithm: TCPAuthenticationAlgorithm = .sha1, coversOptions: Bool = true,
    master: TCPMasterKey
  ) {
    self.network = network
    self.prefixLength = prefixLength
    self.remotePort = remotePort
    self.localPort = localPort
    self.sendID = sendID
    self.receiveID = receiveID
    self.algorithm = algorithm
    self.coversOptions = coversOptions
    self.master = master
  }

  /// Bytes of the option, padding included.
  public var optionByteCount: UInt8 { UInt8((4 + algorithm.codeByteCount + 3) & ~3) }

  /// Whether it is for the connections of `local` with `remote`. Port 0 of ours is one that is not known yet.
  public func covers(remote: SocketAddress, localPort port: UInt16) -> Bool {
    remote.address.isIn(network, prefixLength: prefixLength) && remotePort ?? remote.port == remote.port
      && (port == 0 || localPort ?? port == port)
  }

  /// Whether some connection is both keys'.
  func overlaps(_ other: TCPAuthenticationKey) -> Bool {
    network.isIn(other.network, prefixLength: min(prefixLength, other.prefixLength))
      && (remotePort == nil || other.remotePort == nil || remotePort == other.remotePort)
      && (localPort == nil || other.localPort == nil || localPort == other.localPort)
  }
}

/// Why a key cannot be added, removed or chosen.
@frozen public enum TCPAuthenticationError: Error, Hashable, Sendable {
  /// Another key has one of its IDs, and covers some of the same connections (RFC 5925 section 3.1).
  case duplicate
  /// There are ``TCPAuthenticationKeys/limit`` already.
  case tooMany
  /// There is no such key.
  case notFound
  /// It signs what is sent now, or is what the peer is asked for; another one has to be chosen first.
  case inUse
  /// It is not for this connection's peer, or its prefix has more bits than an address.
  case mismatch
  /// The connection began without keys, and goes on without (RFC 5925 section 7.3), or is signed by RFC 2385.
  case notAuthenticated
  /// The connection has ended.
  case ended
}

/// A set of keys in which no connection has two with the same ID. A value; reading it takes no lock.
public struct TCPAuthenticationKeys: Sendable {
  /// Keys that a set has at most.
  public static var limit: Int { 256 }

  /// The keys, in the order in which they were added.
  public private(set) var all: [TCPAuthenticationKey] = []

  /// No keys.
  public init() {}

  /// There are none.
  public var isEmpty: Bool { all.isEmpty }

  /// Adds a key.
  ///
  /// - Throws: `.mismatch` for a prefix longer than an address, `.duplicate`, `.tooMany`.
  public mutating func add(_ key: TCPAuthenticationKey) throws(TCPAuthenticationError) {
    guard key.prefixLength <= (key.network.isIPv4 ? 32 : 128) else { throw .mismatch }
    let isTaken = all.contains {
      ($0.sendID == key.sendID || $0.receiveID == key.receiveID) && $0.overlaps(key)
    }
    guard !isTaken else { throw .duplicate }
    guard all.count < Self.limit else { throw .tooMany }
    all.append(key)
  }

  /// Removes the keys with these IDs, all or those for one network.
  ///
  /// - Throws: `.notFound`.
  public mutating func remove(
    sendID: UInt8, receiveID: UInt8, for network: (IPAddress, UInt8)? = nil
  ) throws(TCPAuthenticationError) {
    let count = all.count
    all.removeAll { key in
      key.sendID == sendID && key.receiveID == receiveID
        && network.map { $0.0 == key.network && $0.1 == key.prefixLength } ?? true
    }
    guard all.count < count else { throw .notFound }
  }

  /// Whether a connection has any.
  public func cover(remote: SocketAddress, localPort: UInt16) -> Bool {
    for key in all where key.covers(remote: remote, localPort: localPort) { return true }
    return false
  }

  /// The keys of one connection, in their order.
  public func matching(remote: SocketAddress, localPort: UInt16) -> [TCPAuthenticationKey] {
    all.filter { $0.covers(remote: remote, localPort: localPort) }
  }

  /// The one key of a connection with an ID that stands in a segment (RFC 5925 section 3.3).
  public func key(remote: SocketAddress, localPort: UInt16, receiveID: UInt8) -> TCPAuthenticationKey? {
    for key in all where key.receiveID == receiveID && key.covers(remote: remote, localPort: localPort) {
      return key
    }
    return nil
  }

  /// The one key of a connection that it sends with under an ID.
  public func key(remote: SocketAddress, localPort: UInt16, sendID: UInt8) -> TCPAuthenticationKey? {
    for key in all where key.sendID == sendID && key.covers(remote: remote, localPort: localPort) {
      return key
    }
    return nil
  }
}

/// How a socket's connections are authenticated (RFC 5925).
public struct TCPAuthenticationSettings: Sendable {
  /// The keys. Whoever is covered by one is spoken with under its protection only.
  public var keys = TCPAuthenticationKeys()
  /// The key that a connection begins to send with, by its SendID; nil: the first that covers the peer.
  public var current: UInt8?
  /// The key that the peer is asked for, by its RecvID; nil: the same.
  public var next: UInt8?
  /// Nobody without a key is spoken with.
  public var isRequired = false
  /// ICMP may do to authenticated connections what it does to others (section 7.8).
  public var acceptsNetworkErrors = false
  /// Segments with the option from whom no key covers are dropped; else they are taken as if they had none
  /// (section 7.3).
  public var refusesUnknown = false

  /// Nothing is authenticated.
  public init() {}
}
