import Wire

/// Which port of a switch each station is at, as its frames have shown. Bounded: each port has so many stations, of which
/// the one that was learned first gives way, so that a port which shows ever new ones displaces its own alone.
struct StationTable {
  /// What a frame's source says.
  enum Verdict: Hashable {
    /// It is where it was, or was learned.
    case known
    /// It was learned, and another one of the port's gave way.
    case displaced
    /// It is another port's, or no station's address: somebody pretends.
    case forged
  }
  private var ports: [MACAddress: Int] = [:]
  /// By port, in the order in which they were learned; a ring once it is full.
  private var learned: [(stations: [MACAddress], next: Int)] = []
  private let limit: Int

  /// `limit`: stations of each port.
  init(limit: Int) { self.limit = limit }

  /// How many there are.
  var count: Int { ports.count }
  func port(of station: MACAddress) -> Int? { ports[station] }

  /// A frame of `source` came in at `port`.
  mutating func learn(_ source: MACAddress, at port: Int) -> Verdict {
    if let known = ports[source] { return known == port ? .known : .forged }
    guard source.isUnicast else { return .forged }
    while learned.count <= port { learned.append(([], 0)) }
    ports[source] = port
    guard learned[port].stations.count == limit else {
      learned[port].stations.append(source)
      return .known
    }
    let next = learned[port].next
    ports[learned[port].stations[next]] = nil
    learned[port].stations[next] = source
    learned[port].next = (next + 1) % limit
    return .displaced
  }

  /// Nobody is at a port any more.
  mutating func forget(port: Int) {
    guard learned.indices.contains(port) else { return }
    for station in learned[port].stations { ports[station] = nil }
    learned[port] = ([], 0)
  }
}
