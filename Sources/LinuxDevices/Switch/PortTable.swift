/// Which port of a switch each of something is at, as frames have shown: it is whose showed it first, while that is there.
/// Bounded: each port has so many, of which the one that was learned first gives way, so that a port which shows ever new
/// ones displaces its own alone.
struct PortTable<Name: Hashable> {
  /// What a frame's word comes to.
  enum Verdict: Hashable {
    /// It is where it was, or was learned.
    case known
    /// It was learned, and another one of the port's gave way.
    case displaced
    /// It is another port's, or nobody's: somebody pretends.
    case forged
  }
  private var ports: [Name: Int] = [:]
  /// By port, in the order in which they were learned; a ring once it is full.
  private var learned: [(names: [Name], next: Int)] = []
  private let limit: Int

  /// `limit`: of each port.
  init(limit: Int) { self.limit = limit }

  /// How many there are.
  var count: Int { ports.count }
  func port(of name: Name) -> Int? { ports[name] }

  /// A frame that came in at `port` shows `name`.
  mutating func learn(_ name: Name, at port: Int) -> Verdict {
    if let known = ports[name] { return known == port ? .known : .forged }
    while learned.count <= port { learned.append(([], 0)) }
    ports[name] = port
    guard learned[port].names.count == limit else {
      learned[port].names.append(name)
      return .known
    }
    let next = learned[port].next
    ports[learned[port].names[next]] = nil
    learned[port].names[next] = name
    learned[port].next = (next + 1) % limit
    return .displaced
  }

  /// Who may say so has given `name` to whom is at `port`.
  mutating func give(_ name: Name, to port: Int) {
    if let before = ports[name], before != port {
      ports[name] = nil
      learned[before].names.removeAll { $0 == name }
      learned[before].next = 0
    }
    _ = learn(name, at: port)
  }

  /// Nobody is at a port any more.
  mutating func forget(port: Int) {
    guard learned.indices.contains(port) else { return }
    for name in learned[port].names { ports[name] = nil }
    learned[port] = ([], 0)
  }
}
