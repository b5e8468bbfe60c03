import CLinux
import Exclusion
import Glibc
import Sockets
import Timing
import Wire

/// Carries the guest's datagrams on, by a host's socket for each flow, and the answers back. The forwarder's thread only.
///
/// Nothing is kept of a datagram but one answer that the stack had no room for: until it has, no host's socket is read, and
/// what comes waits in theirs.
@safe
final class DatagramCarrier {
  private let socket: DatagramSocket
  private var policy: OutboundPolicy
  private let epoll: Int32
  private let counters: DatagramCounters
  private var flows = DatagramFlows()
  /// Slots of flows that have something to be read.
  private var queued: [Int] = []
  /// The guest's datagrams may be there.
  private var isReadable = true
  /// An answer that the stack had no room for.
  private var held: (answer: [UInt8], name: DatagramFlow.Name)?
  private let firstToken: UInt32
  /// What comes from outside.
  let inbound: InboundDatagrams

  /// Datagrams of one side that are carried in a row.
  private static let batch = 256
  /// Answers of one flow that are carried in a row.
  private static let flowBatch = 32
  /// Memory that datagrams may occupy which wait to be carried on: some 60 of the largest.
  private static let waitingBytes = 4 << 20
  /// How long a server may take before another is asked.
  private static let serverPatience = Nanoseconds.seconds(2)

  /// `firstToken`: of flows, at `epoll`.
  init(
    _ socket: DatagramSocket, _ policy: OutboundPolicy, epoll: Int32, firstToken: UInt32,
    _ counters: DatagramCounters, inbound: InboundDatagrams
  ) {
    self.inbound = inbound
    self.socket = socket
    self.policy = policy
    self.epoll = epoll
    self.firstToken = firstToken
    self.counters = counters
    socket.setReceiveLimit(Self.waitingBytes)
  }

  // MARK: News

  func hear(_ event: SocketEvent) {
    if event.events.contains(.readable) { isReadable = true }
  }
  /// The host's socket of a flow has changed.
  func hear(token: UInt32) {
    let slot = Int(token - firstToken)
    guard let flow = flows[slot] else { return }
    flow.isReadable = true
    enqueue(slot, flow)
  }
  private func enqueue(_ slot: Int, _ flow: DatagramFlow) {
    if flow.isQueued { return }
    flow.isQueued = true
    queued.append(slot)
  }

  /// Whether there is something to do that waits for nobody.
  var hasMore: Bool { isReadable || (!queued.isEmpty && held == nil) || inbound.hasMore }
  /// When there is something to do at the latest.
  var nextDeadline: Instant? { [flows.nextDeadline, inbound.nextDeadline].compactMap { $0 }.min() }

  /// Carries some each way, and forgets what is old.
  func advance(_ scratch: UnsafeMutableRawBufferPointer, now: Instant) {
    while let slot = flows.expired(now) {
      counters.flowsExpired.increment()
      remove(slot)
    }
    unsafe carryToHost(scratch, now)
    unsafe carryToGuest(scratch, now)
    unsafe inbound.advance(scratch, now: now) { flows.find($0) != nil }
  }

  // MARK: To the host

  private func carryToHost(_ scratch: UnsafeMutableRawBufferPointer, _ now: Instant) {
    guard isReadable else { return }
    for _ in 0..<Self.batch {
      switch unsafe socket.tryReceive(into: scratch) {
      case .success(let datagram):
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: scratch[..<datagram.count])
        let destination = SocketAddress(datagram.destination, port: datagram.destinationPort)
        let name = DatagramFlow.Name(guest: datagram.source, destination: destination)
        if inbound.has(name) {
          unsafe inbound.carryToHost(bytes, name, now)
        } else {
          unsafe carry(bytes, name, datagram, now)
        }
      case .failure(.wouldBlock), .failure(.closed):
        isReadable = false
        return
      case .failure: continue  // what the network said about an answer: its receiver is gone
      }
    }
  }

  private func carry(
    _ bytes: UnsafeRawBufferPointer, _ name: DatagramFlow.Name, _ datagram: ReceivedDatagram, _ now: Instant
  ) {
    if policy.isNameServer(name.destination), let answer = unsafe policy.names.answer(bytes) {
      counters.namesAnswered.increment()
      return unsafe answer.withUnsafeBytes { unsafe send($0, name) }
    }
    guard let slot = flows.find(name) ?? open(name, now), let flow = flows[slot] else { return }
    // A question that comes after a silence goes to the next server; those that come together, to the same.
    if flow.asksForNames, !flow.isAnswered, flow.deadline != .distantFuture,
      now + policy.silentDatagramPatience - flow.deadline >= Self.serverPatience
    {
      turn(flow)
    }
    flow.passHops(datagram.hopLimit)
    flow.passWholeness(datagram.mayBeFragmented)
    var sent = unsafe sluice_tcp_send(flow.descriptor, bytes.baseAddress, bytes.count)
    // What an earlier one met is told first, and this one has not gone.
    if sent < 0, sent != -Int(EAGAIN), sent != -Int(EMSGSIZE) {
      fail(Int32(-sent), flow)
      sent = unsafe sluice_tcp_send(flow.descriptor, bytes.baseAddress, bytes.count)
    }
    if sent == -Int(EMSGSIZE) {
      counters.tooLarge.increment()
      _ = tellErrors(flow)
    }
    if sent < 0 {
      counters.droppedToHost.increment()
    } else {
      counters.toHost.increment()
    }
    let patience = flow.isAnswered ? policy.datagramPatience : policy.silentDatagramPatience
    flows.use(slot, until: now + patience, isAnswered: flow.isAnswered)
  }

  private func open(_ name: DatagramFlow.Name, _ now: Instant) -> Int? {
    let target: SocketAddress
    switch policy.decide(name.destination) {
    case .carry(let address): target = address
    case .refuse(let verdict):
      counters.denied.increment()
      refuse(verdict == .reset ? .portUnreachable : .prohibited, name)
      return nil
    }
    if flows.count >= policy.datagramLimit, let oldest = flows.oldest {
      counters.flowsEvicted.increment()
      remove(oldest)
    }
    let descriptor = unsafe target.address.withNetworkOrder { bytes in
      unsafe policy.source(for: target).withNetworkOrder { source in
        unsafe sluice_udp_connect(bytes.baseAddress, Int32(bytes.count), target.port, source)
      }
    }
    guard descriptor >= 0 else {
      counters.droppedToHost.increment()
      switch ConnectionVerdict(errno: -descriptor) {
      case .networkUnreachable: refuse(.networkUnreachable, name)
      case .hostUnreachable: refuse(.hostUnreachable, name)
      case .prohibited: refuse(.prohibited, name)
      case .accept, .reset, .drop: break
      }
      return nil
    }
    let slot = flows.takeSlot()
    guard sluice_epoll_add_edges(epoll, descriptor, firstToken + UInt32(slot)) == 0 else {
      flows.giveSlot(slot)
      sluice_tcp_close(descriptor)
      counters.droppedToHost.increment()
      return nil
    }
    flows.insert(
      DatagramFlow(name, descriptor: descriptor, asksForNames: policy.isNameServer(name.destination)),
      at: slot)
    counters.flowsOpened.increment()
    counters.open.set(UInt64(flows.count))
    return slot
  }

  /// Asks the next server from now on.
  private func turn(_ flow: DatagramFlow) {
    flow.server = (flow.server + 1) % max(1, policy.resolvers.count)
    guard policy.resolvers.indices.contains(flow.server) else { return }
    let server = policy.resolvers[flow.server]
    _ = unsafe server.address.withNetworkOrder { bytes in
      unsafe sluice_udp_turn(flow.descriptor, bytes.baseAddress, Int32(bytes.count), server.port)
    }
  }

  /// Other servers answer for names from now on, also what is asked in flows that there are.
  func ask(_ servers: [SocketAddress]) {
    policy.resolvers = servers
    counters.resolverChanges.increment()
    for case let flow? in flows.slots where flow.asksForNames {
      flow.server = -1
      turn(flow)
    }
  }

  // MARK: To the guest

  private func carryToGuest(_ scratch: UnsafeMutableRawBufferPointer, _ now: Instant) {
    if let (answer, name) = held {
      held = nil
      unsafe answer.withUnsafeBytes { unsafe send($0, name) }
    }
    let turn = queued
    queued.removeAll(keepingCapacity: true)
    for slot in turn {
      guard let flow = flows[slot], flow.isQueued else { continue }
      flow.isQueued = false
      if held == nil { unsafe read(slot, flow, scratch, now) }
      if flow.isReadable { enqueue(slot, flow) }
    }
  }

  private func read(
    _ slot: Int, _ flow: DatagramFlow, _ scratch: UnsafeMutableRawBufferPointer, _ now: Instant
  ) {
    for _ in 0..<Self.flowBatch where held == nil {
      let count = unsafe sluice_tcp_receive(flow.descriptor, scratch.baseAddress, scratch.count)
      if count == -Int(EAGAIN) {
        flow.isReadable = false
        _ = tellErrors(flow)
        return
      }
      guard count >= 0 else {
        fail(Int32(-count), flow)
        continue
      }
      unsafe send(UnsafeRawBufferPointer(rebasing: scratch[..<count]), flow.name)
      flows.use(slot, until: now + policy.datagramPatience, isAnswered: true)
    }
  }

  private func send(_ bytes: UnsafeRawBufferPointer, _ name: DatagramFlow.Name) {
    switch unsafe socket.trySend(bytes, to: name.guest, as: name.destination) {
    case .success: counters.toGuest.increment()
    case .failure(.wouldBlock): held = (unsafe Array(bytes), name)
    case .failure: counters.droppedToGuest.increment()
    }
  }

  /// The network said something about what was sent: the guest hears it, and who says so where the socket knows.
  private func fail(_ errno: Int32, _ flow: DatagramFlow) {
    if tellErrors(flow) { return }
    if let refusal = DatagramRefusal(errno: errno) { refuse(refusal, flow.name) }
  }
  /// False: nothing was kept.
  private func tellErrors(_ flow: DatagramFlow) -> Bool {
    var isTold = false
    while let report = NetworkError.next(flow.descriptor) {
      isTold = true
      if let error = report.error { refuse(error.refusal, flow.name, reporter: error.reporter) }
    }
    return isTold
  }
  private func refuse(
    _ refusal: DatagramRefusal, _ name: DatagramFlow.Name, reporter: IPAddress? = nil
  ) {
    // Without room nothing is said: the guest asks again.
    if case .success = socket.tryRefuse(
      refusal, from: name.guest, to: name.destination, reporter: reporter)
    {
      counters.unreachable.increment()
    }
  }

  // MARK: Ending

  private func remove(_ slot: Int) {
    guard let flow = flows.remove(slot) else { return }
    sluice_tcp_close(flow.descriptor)
    counters.open.set(UInt64(flows.count))
  }
  func end() {
    for slot in flows.slots.indices { remove(slot) }
    inbound.end()
    socket.close()
  }
}
