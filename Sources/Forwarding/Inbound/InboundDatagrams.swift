import CLinux
import Exclusion
import Glibc
import Sockets
import Timing
import Wire

/// Carries datagrams that come to sockets of this host on to the guest, in the name of the gateway, and the guest's answers
/// back. The forwarder's thread only.
///
/// Each client of each socket is a flow: a port of the gateway's that the guest answers to, the client's own where that is
/// free. A flow is forgotten when nothing passed for a while, and gives way when there are too many. Nothing is kept of a
/// datagram but one that the stack had no room for: until it has, no socket is read, and what comes waits there.
@safe
final class InboundDatagrams {
  /// Somebody outside, at one of our sockets.
  struct Client: Hashable {
    let slot: Int
    let address: IPAddress
    let port: UInt16
    /// What it sent to, of this host's.
    let local: IPAddress
    /// By which interface, where the address is none without.
    let interface: UInt32
  }
  private let socket: DatagramSocket
  private let policy: OutboundPolicy
  private let limit: Int
  private let counters: DatagramCounters
  private var flows = DatagramFlows()
  private var clients: [Client: Int] = [:]
  /// Sockets that have something to be read, oldest first.
  private var queued: [(slot: Int, socket: HostSocket)] = []
  /// What the stack had no room for.
  private var held: (bytes: [UInt8], name: DatagramFlow.Name)?
  /// Where the next port is looked for, if the client's own is not free.
  private var nextPort: UInt16 = 49_152

  /// Datagrams of one socket that are carried in a row.
  private static let batch = 64
  /// Ports that are tried before a flow is given up.
  private static let portTries = 64

  init(_ socket: DatagramSocket, _ policy: OutboundPolicy, limit: Int, _ counters: DatagramCounters) {
    self.socket = socket
    self.policy = policy
    self.limit = limit
    self.counters = counters
  }

  /// Whether there is something to do that waits for nobody.
  var hasMore: Bool { !queued.isEmpty && held == nil }
  /// When there is something to do at the latest.
  var nextDeadline: Instant? { flows.nextDeadline }
  /// Whether a flow goes by this name: the guest's port, and one of the gateway's.
  func has(_ name: DatagramFlow.Name) -> Bool { flows.count > 0 && flows.find(name) != nil }

  /// A socket may have datagrams.
  func hear(_ socket: HostSocket, slot: Int) {
    if !queued.contains(where: { $0.slot == slot }) { queued.append((slot, socket)) }
  }

  /// A socket is closed: its flows end.
  func forget(slot: Int) {
    queued.removeAll { $0.slot == slot }
    for (client, flow) in clients where client.slot == slot { remove(flow) }
  }

  /// Carries some to the guest, and forgets what is old. `isTaken`: names that flows of the guest's go by.
  func advance(
    _ scratch: UnsafeMutableRawBufferPointer, now: Instant, isTaken: (DatagramFlow.Name) -> Bool
  ) {
    while let slot = flows.expired(now) {
      counters.flowsExpired.increment()
      remove(slot)
    }
    if let (bytes, name) = held {
      held = nil
      unsafe bytes.withUnsafeBytes { unsafe send($0, name) }
    }
    let turn = queued
    queued.removeAll(keepingCapacity: true)
    for entry in turn {
      if unsafe held != nil || read(entry.socket, slot: entry.slot, scratch, now, isTaken) {
        queued.append(entry)
      }
    }
  }

  /// True: there may be more.
  private func read(
    _ from: HostSocket, slot: Int, _ scratch: UnsafeMutableRawBufferPointer, _ now: Instant,
    _ isTaken: (DatagramFlow.Name) -> Bool
  ) -> Bool {
    for _ in 0..<Self.batch {
      var peer = sluice_udp_peer()
      let count = unsafe sluice_udp_receive(from.descriptor, scratch.baseAddress, scratch.count, &peer)
      if count == -Int(EAGAIN) { return false }
      // What the network said about an answer: that client is gone.
      guard count >= 0 else { continue }
      let client = Client(
        slot: slot, address: IPAddress(high: peer.high, low: peer.low), port: peer.port,
        local: IPAddress(high: peer.local_high, low: peer.local_low), interface: peer.interface)
      guard let flow = clients[client] ?? open(client, from, now, isTaken), let name = flows[flow]?.name
      else {
        counters.droppedToGuest.increment()
        continue
      }
      let isAnswered = flows[flow]?.isAnswered ?? false
      let patience = isAnswered ? policy.datagramPatience : policy.silentDatagramPatience
      flows.use(flow, until: now + patience, isAnswered: isAnswered)
      unsafe send(UnsafeRawBufferPointer(rebasing: scratch[..<count]), name)
      if held != nil { return true }
    }
    return true
  }

  private func open(
    _ client: Client, _ from: HostSocket, _ now: Instant, _ isTaken: (DatagramFlow.Name) -> Bool
  ) -> Int? {
    guard
      let gateway = policy.gateway.first(where: { $0.isIPv4 == from.target.address.isIPv4 }),
      let name = freeName(client, from.target, gateway, isTaken)
    else { return nil }
    if flows.count >= limit, let oldest = flows.oldest {
      counters.flowsEvicted.increment()
      remove(oldest)
    }
    let slot = flows.takeSlot()
    let flow = DatagramFlow(name, descriptor: from.descriptor, asksForNames: false)
    flow.client = client
    flows.insert(flow, at: slot)
    clients[client] = slot
    counters.flowsOpened.increment()
    counters.open.set(UInt64(flows.count))
    return slot
  }

  /// A port of the gateway's for the guest to answer to. Ports below 1024 are those of services.
  private func freeName(
    _ client: Client, _ guest: SocketAddress, _ gateway: IPAddress, _ isTaken: (DatagramFlow.Name) -> Bool
  ) -> DatagramFlow.Name? {
    func name(_ port: UInt16) -> DatagramFlow.Name? {
      let name = DatagramFlow.Name(guest: guest, destination: SocketAddress(gateway, port: port))
      return flows.find(name) == nil && !isTaken(name) ? name : nil
    }
    if client.port >= 1024, let own = name(client.port) { return own }
    for _ in 0..<Self.portTries {
      let port = nextPort
      nextPort = nextPort == UInt16.max ? 49_152 : nextPort + 1
      if let free = name(port) { return free }
    }
    return nil
  }

  private func send(_ bytes: UnsafeRawBufferPointer, _ name: DatagramFlow.Name) {
    switch unsafe socket.trySend(bytes, to: name.guest, as: name.destination) {
    case .success: counters.toGuest.increment()
    case .failure(.wouldBlock): held = (unsafe Array(bytes), name)
    case .failure: counters.droppedToGuest.increment()
    }
  }

  /// What the guest sends to a name that a flow goes by is for that client.
  func carryToHost(_ bytes: UnsafeRawBufferPointer, _ name: DatagramFlow.Name, _ now: Instant) {
    guard let slot = flows.find(name), let flow = flows[slot], let client = flow.client else { return }
    var peer = sluice_udp_peer(
      high: client.address.high, low: client.address.low, local_high: client.local.high,
      local_low: client.local.low, interface: client.interface, port: client.port)
    let sent = unsafe sluice_udp_reply(flow.descriptor, bytes.baseAddress, bytes.count, &peer)
    if sent < 0 {
      counters.droppedToHost.increment()
    } else {
      counters.toHost.increment()
    }
    flows.use(slot, until: now + policy.datagramPatience, isAnswered: true)
  }

  private func remove(_ slot: Int) {
    guard let flow = flows.remove(slot) else { return }
    if let client = flow.client { clients[client] = nil }
    counters.open.set(UInt64(flows.count))
  }
  func end() {
    queued = []
    for slot in flows.slots.indices { remove(slot) }
  }
}
