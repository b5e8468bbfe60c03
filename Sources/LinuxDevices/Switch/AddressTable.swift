import Wire

/// Which port of a switch each address is at. Guests show theirs by what they send; the gateway's DHCP server says whose
/// one is from now on (as in RFC 7513). So nobody speaks in another guest's name, nor says that its address is somewhere
/// else.
struct AddressTable {
  private var table: PortTable<IPAddress>

  /// `limit`: addresses of each port.
  init(limit: Int) { table = PortTable(limit: limit) }

  /// The gateway's, for good.
  mutating func reserve(_ addresses: [IPAddress], at port: Int) {
    for address in addresses { _ = table.learn(address, at: port) }
  }

  /// Whether what came in at `port` speaks in the name of an address that is another port's.
  mutating func isForged(_ frame: RawSpan, at port: Int) -> Bool {
    // What is no frame, or no message, names nobody; whoever gets it drops and counts it.
    guard let view = try? EthernetView(frame) else { return false }
    let payload = view.payload
    switch view.type {
    case .arp:
      guard let message = try? ARPMessage.parse(payload) else { return false }
      return isForged(IPAddress(message.sender), at: port)
    case .ipv4:
      guard payload.byteCount >= 20 else { return false }
      return isForged(IPAddress(IPv4Address(payload.uint32(at: 12))), at: port)
    case .ipv6:
      guard payload.byteCount >= 40 else { return false }
      if isForged(IPAddress(high: payload.uint64(at: 8), low: payload.uint64(at: 16)), at: port) {
        return true
      }
      // A neighbour advertisement says whose its target is.
      guard payload.uint8(at: 6) == 58, payload.byteCount >= 64, payload.uint8(at: 40) == 136 else {
        return false
      }
      return isForged(IPAddress(high: payload.uint64(at: 48), low: payload.uint64(at: 56)), at: port)
    default: return false
    }
  }

  private mutating func isForged(_ address: IPAddress, at port: Int) -> Bool {
    !address.isUnspecified && !address.isMulticast && table.learn(address, at: port) == .forged
  }

  /// A frame of the gateway's. If it gives an address away, that is at the port of its station.
  mutating func hear(_ frame: RawSpan, port: (MACAddress) -> Int?) {
    // What is no frame or no DHCP message gives no address away.
    guard let view = try? EthernetView(frame), view.type == .ipv4 else { return }
    let packet = view.payload
    let header = packet.byteCount >= 20 ? Int(packet.uint8(at: 0) & 15) * 4 : 20
    guard header >= 20, packet.byteCount > header + 8, packet.uint8(at: 9) == 17,
      packet.uint16(at: header) == 67,
      let message = try? DHCPMessage.parse(packet.extracting((header + 8)..<packet.byteCount)),
      message.isReply, message.kind == .acknowledge, !message.yourAddress.isUnspecified,
      let port = port(message.hardware)
    else { return }
    table.give(IPAddress(message.yourAddress), to: port)
  }

  /// Nobody is at a port any more.
  mutating func forget(port: Int) { table.forget(port: port) }
}
