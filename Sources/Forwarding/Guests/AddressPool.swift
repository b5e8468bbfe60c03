import Timing
import Wire

/// Which guest has which address of a range, and until when. One address for each hardware address; what a guest had it gets
/// again while nobody else has it. Bounded by the range.
struct AddressPool {
  private struct Lease {
    var owner: MACAddress
    var until: Instant
    /// The guest has taken it; else it was offered, or is not to be had for a while.
    var isTaken: Bool
  }
  let range: ClosedRange<UInt32>
  private let reserved: [MACAddress: IPv4Address]
  private var leases: [UInt32: Lease] = [:]
  private var addresses: [MACAddress: UInt32] = [:]

  /// How long an offer stands, and an address that somebody else was found to have is left alone.
  static let offerPatience = Nanoseconds.seconds(60)
  static let declinedPatience = Nanoseconds.seconds(600)

  init(_ range: ClosedRange<IPv4Address>, reserved: [MACAddress: IPv4Address]) {
    self.range = range.lowerBound.rawValue...range.upperBound.rawValue
    self.reserved = reserved
  }

  /// Whether fewer than half of the addresses are free.
  func isScarce(_ now: Instant) -> Bool { leases.values.count { $0.until > now } * 2 > range.count }
  /// Addresses that guests have now.
  func taken(_ now: Instant) -> Int { leases.values.count { $0.isTaken && $0.until > now } }
  /// What a guest has, or had and may have again.
  func address(of guest: MACAddress) -> IPv4Address? {
    reserved[guest] ?? addresses[guest].map { IPv4Address($0) }
  }

  /// Whether the guest may have this address.
  func mayHave(_ address: IPv4Address, _ guest: MACAddress, _ now: Instant) -> Bool {
    if let own = reserved[guest] { return own == address }
    guard range.contains(address.rawValue), !reserved.values.contains(address) else { return false }
    guard let lease = leases[address.rawValue] else { return true }
    return lease.owner == guest || lease.until <= now
  }

  /// An address for a guest: what it had, what it wishes, or a free one. Nil: there is none.
  mutating func offer(_ guest: MACAddress, wish: IPv4Address?, _ now: Instant) -> IPv4Address? {
    for candidate in [address(of: guest), wish] {
      if let candidate, mayHave(candidate, guest, now) {
        hold(candidate, guest, now)
        return candidate
      }
    }
    for value in range {
      let candidate = IPv4Address(value)
      if leases[value] == nil, mayHave(candidate, guest, now) {
        hold(candidate, guest, now)
        return candidate
      }
    }
    // None that was never had: the one whose time was over first.
    let old = leases.filter { $0.value.until <= now }.min { $0.value.until < $1.value.until }
    guard let old, mayHave(IPv4Address(old.key), guest, now) else { return nil }
    hold(IPv4Address(old.key), guest, now)
    return IPv4Address(old.key)
  }
  private mutating func hold(_ address: IPv4Address, _ guest: MACAddress, _ now: Instant) {
    let isTaken = leases[address.rawValue].map { $0.owner == guest && $0.isTaken && $0.until > now } ?? false
    if !isTaken { set(address, guest, until: now + Self.offerPatience, isTaken: false) }
  }

  /// The guest takes it. False: it may not.
  mutating func take(_ address: IPv4Address, _ guest: MACAddress, until: Instant, _ now: Instant) -> Bool {
    guard mayHave(address, guest, now) else { return false }
    set(address, guest, until: until, isTaken: true)
    return true
  }
  /// The guest gives it back.
  mutating func release(_ address: IPv4Address, _ guest: MACAddress) -> Bool {
    guard leases[address.rawValue]?.owner == guest else { return false }
    leases[address.rawValue] = nil
    addresses[guest] = nil
    return true
  }
  /// The guest found that somebody has it.
  mutating func decline(_ address: IPv4Address, _ guest: MACAddress, _ now: Instant) -> Bool {
    guard leases[address.rawValue]?.owner == guest else { return false }
    addresses[guest] = nil
    leases[address.rawValue] = Lease(owner: .zero, until: now + Self.declinedPatience, isTaken: false)
    return true
  }

  private mutating func set(_ address: IPv4Address, _ guest: MACAddress, until: Instant, isTaken: Bool) {
    if let before = addresses[guest], before != address.rawValue { leases[before] = nil }
    if let owner = leases[address.rawValue]?.owner, owner != guest { addresses[owner] = nil }
    leases[address.rawValue] = Lease(owner: guest, until: until, isTaken: isTaken)
    addresses[guest] = address.rawValue
  }
}
