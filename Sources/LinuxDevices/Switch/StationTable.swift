import Wire

/// Which port of a switch each station is at, as its frames have shown.
struct StationTable {
  typealias Verdict = PortTable<MACAddress>.Verdict
  private var table: PortTable<MACAddress>

  /// `limit`: stations of each port.
  init(limit: Int) { table = PortTable(limit: limit) }

  /// How many there are.
  var count: Int { table.count }
  func port(of station: MACAddress) -> Int? { table.port(of: station) }

  /// A frame of `source` came in at `port`.
  mutating func learn(_ source: MACAddress, at port: Int) -> Verdict {
    source.isUnicast ? table.learn(source, at: port) : .forged
  }

  /// Nobody is at a port any more.
  mutating func forget(port: Int) { table.forget(port: port) }
}
