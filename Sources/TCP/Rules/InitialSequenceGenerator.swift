import Exclusion
import Timing
import Wire

/// Initial sequence numbers that no one outside can predict, and that still grow with time for each pair of
/// addresses and ports: RFC 6528 section 3, ISN = M + F(addresses, ports, key).
@frozen public struct InitialSequenceGenerator: Sendable {
  private let key: HashKey

  /// A generator with a secret of its own; one for each stack, from boot to end.
  public init(key: HashKey) { self.key = key }

  /// The initial sequence number of a connection that begins now. Pure; any context may call it.
  public func iss(local: SocketAddress, remote: SocketAddress, now: Instant) -> SequenceNumber {
    Self.sequence(hash(local, remote), now)
  }

  /// Where the timestamp clock of this pair begins: the same for each connection between the two, so that
  /// timestamps grow from one to the next (RFC 7323 section 5.4 and 7.1, RFC 6191).
  public func timestampOffset(local: SocketAddress, remote: SocketAddress) -> UInt32 {
    Self.offset(hash(local, remote))
  }

  /// Both of them, for one hash: its halves tell nothing of each other.
  public func numbers(
    local: SocketAddress, remote: SocketAddress, now: Instant
  ) -> (iss: SequenceNumber, timestampOffset: UInt32) {
    let hash = hash(local, remote)
    return (Self.sequence(hash, now), Self.offset(hash))
  }

  private func hash(_ local: SocketAddress, _ remote: SocketAddress) -> UInt64 {
    keyedHash(
      key, local.address.high, local.address.low, remote.address.high, remote.address.low,
      UInt64(local.port) << 16 | UInt64(remote.port))
  }
  private static func sequence(_ hash: UInt64, _ now: Instant) -> SequenceNumber {
    // M: a clock of 4 microseconds, as RFC 9293 section 3.4.1 has it.
    let clock = UInt32(truncatingIfNeeded: now.nanoseconds / 4000)
    return SequenceNumber(clock &+ UInt32(truncatingIfNeeded: hash))
  }
  private static func offset(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash &>> 32) }
}
