public import Wire

/// A forward that is there.
public struct ForwardEntry: Sendable, Hashable {
  /// Its name for as long as the forwarder lives, from 1 on; never given again.
  public var identifier: Int
  /// What was asked for.
  public var forward: PortForward
  /// Where its connections or datagrams go.
  public var target: SocketAddress

  /// A forward of that name.
  public init(identifier: Int, forward: PortForward, target: SocketAddress) {
    self.identifier = identifier
    self.forward = forward
    self.target = target
  }
}

/// The forwards that there are, and their sockets. The forwarder's thread only.
struct ForwardTable {
  private(set) var entries: [ForwardEntry] = []
  /// By slot, which is a socket's name at the poller.
  private(set) var sockets: [HostSocket?] = []
  private var free: [Int] = []
  private var slots: [Int: [Int]] = [:]
  private var last = 0

  /// Sockets that there may be: what tokens of the poller are kept for them.
  static let limit = Int(ForwardLoop.firstSlotToken) - 2

  /// How many sockets there are.
  var count: Int { sockets.count - free.count }
  subscript(slot: Int) -> HostSocket? { sockets.indices.contains(slot) ? sockets[slot] : nil }

  /// Takes over the sockets of a forward; its name, and the slots that they got.
  mutating func add(_ forward: PortForward, _ opened: [HostSocket]) -> (identifier: Int, slots: [Int]) {
    last += 1
    var taken: [Int] = []
    for socket in opened {
      let slot = free.popLast() ?? sockets.count
      if slot == sockets.count { sockets.append(nil) }
      sockets[slot] = socket
      taken.append(slot)
    }
    slots[last] = taken
    if let target = opened.first?.target {
      entries.append(ForwardEntry(identifier: last, forward: forward, target: target))
    }
    return (last, taken)
  }

  /// Gives up a forward; its sockets, by slot, for who closes them. Nil: there is none of that name.
  mutating func remove(_ identifier: Int) -> [(slot: Int, socket: HostSocket)]? {
    guard let taken = slots.removeValue(forKey: identifier) else { return nil }
    entries.removeAll { $0.identifier == identifier }
    return taken.compactMap { slot in
      let socket = sockets[slot]
      sockets[slot] = nil
      free.append(slot)
      return socket.map { (slot, $0) }
    }
  }
}

/// Sockets of this host that forwards need, opened ahead of the ``Forwarder`` that serves them: before this process gives up
/// what that takes.
public struct ForwardSockets: Sendable {
  let table: ForwardTable
  let guest: ForwardGuest

  /// Opens what `forwards` ask for, all or nothing. They belong to who takes them.
  ///
  /// - Throws: `.listenRefused`, `.tooMany`.
  public init(_ forwards: [PortForward], to guest: ForwardGuest) throws(PortForwardError) {
    // One for each family at most.
    guard forwards.count * 2 <= ForwardTable.limit else { throw .tooMany(limit: ForwardTable.limit) }
    var table = ForwardTable()
    for (forward, sockets) in zip(forwards, try HostSocket.open(forwards, guest)) {
      _ = table.add(forward, sockets)
    }
    self.table = table
    self.guest = guest
  }

  var firstOfDatagrams: PortForward? { table.entries.first { $0.forward.transport == .udp }?.forward }
  func close() {
    for case let socket? in table.sockets { socket.close() }
  }
}
