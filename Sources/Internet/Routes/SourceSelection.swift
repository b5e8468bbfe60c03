// RFC 6724 section 5, the rules that apply to a stack without temporary, deprecated or home addresses;
// for IPv4 the same rules give what hosts do (RFC 1122 section 3.3.4.3).

import Wire

extension NetworkSnapshot {
  /// The address of ours that is best for talking to `destination` out of `interface`, by `nextHop`.
  func source(for destination: IPAddress, nextHop: IPAddress, interface: UInt16) -> IPAddress? {
    var best: InterfaceAddress?
    for index in 0..<addresses.count {
      let candidate = addresses[index]
      guard candidate.address.isIPv4 == destination.isIPv4 else { continue }
      // A link-local address means nothing on another link; a loopback address nothing outside.
      if candidate.interface != interface, candidate.address.isLinkLocal { continue }
      if candidate.address.isLoopback, !destination.isLoopback { continue }
      if let current = best, !isBetter(candidate, than: current, destination, nextHop, interface) { continue }
      best = candidate
    }
    return best?.address
  }

  private func isBetter(
    _ a: InterfaceAddress, than b: InterfaceAddress, _ destination: IPAddress, _ nextHop: IPAddress,
    _ interface: UInt16
  ) -> Bool {
    // Rule 1: the same address.
    if a.address == destination || b.address == destination { return a.address == destination }
    // Rule 2: appropriate scope.
    let (scopeA, scopeB, wanted) = (a.address.scope, b.address.scope, destination.scope)
    if scopeA != scopeB {
      return scopeA < scopeB ? scopeA >= wanted : scopeB < wanted
    }
    // Rule 5: the outgoing interface.
    if (a.interface == interface) != (b.interface == interface) { return a.interface == interface }
    // Rule 6: the same label.
    let label = destination.policyLabel
    if (a.address.policyLabel == label) != (b.address.policyLabel == label) {
      return a.address.policyLabel == label
    }
    // The link of the next hop: what is left of rule 5.5 without router advertisements. After the labels,
    // so that a gateway with a unique local address does not lend it to the outside.
    let (linkA, linkB) = (a.prefix.contains(nextHop), b.prefix.contains(nextHop))
    if linkA != linkB { return linkA }
    // Rule 8: the longest common prefix, which counts at most the source's own prefix.
    return commonBits(a, destination) > commonBits(b, destination)
  }

  private func commonBits(_ own: InterfaceAddress, _ other: IPAddress) -> Int {
    let high = own.address.high ^ other.high
    let common = high != 0 ? high.leadingZeroBitCount : 64 + (own.address.low ^ other.low).leadingZeroBitCount
    return min(other.isIPv4 ? common - 96 : common, own.prefix.length)
  }
}

extension IPAddress {
  /// RFC 6724 section 3.1, in the numbers of multicast scopes.
  var scope: UInt8 {
    if isIPv4 { return isLoopback || isLinkLocal ? 0x2 : 0xE }
    if isMulticast { return UInt8(high >> 48 & 0xF) }
    if isLoopback || isLinkLocal { return 0x2 }
    return high >> 54 == 0xFEC0 >> 6 ? 0x5 : 0xE
  }

  /// The default policy table of RFC 6724 section 2.1.
  var policyLabel: UInt8 {
    if isIPv4 { return 4 }
    if high == 0 && low == 1 { return 0 }
    if high == 0 && low >> 32 == 0 { return 3 }
    switch high >> 48 {
    case 0x2002: return 2
    case 0x2001 where high >> 32 & 0xFFFF == 0: return 5
    case 0x3FFE: return 12
    default: break
    }
    if high >> 57 == 0xFC >> 1 { return 13 }
    if high >> 54 == 0xFEC0 >> 6 { return 11 }
    return 1
  }
}
