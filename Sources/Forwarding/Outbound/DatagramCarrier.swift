import CLinux
import Exclusion
import Glibc
import Sockets
import Timing
import Wire

/// Carries the guest's datagrams on, by a host's socket for each flow, and the answers back. The forwarder's thread only.
///
/// Nothing is kept of a datagram but answers of one call that the stack had no room for: until it has, no host's socket
/// is read, and what comes waits in theirs. What comes in a row for one flow, either way, passes its host's socket in one
/// call.
@safe
final class DatagramCarrier {
  private let socket: DatagramSocket
  private var policy: OutboundPolicy
  private let counters: DatagramCounters
  private var flows: CarriedFlows
  /// The guest's datagrams may be there.
  private var isReadable = true
  /// Answers that the stack had no room for, oldest first.
  private var held: [(answer: [UInt8], name: DatagramFlow.Name)] = []
  private let memory = DatagramBatch()
  /// The flow whose datagrams are in ``memory``, to be sent, and hops that they may go.
  private var gathered: (slot: Int, hopLimit: UInt8)?
  /// What comes from outside.
  let inbound: InboundDatagrams

  /// Datagrams of one side that are carried in a row.
  private static let batch = 256
  /// Answers of one flow that are carried in a row.
  private static let flowBatch = 32
  /// Answers that are kept at most: as many as one call brings, and of names that were answered here meanwhile.
  private static let heldLimit = 64
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
    flows = CarriedFlows(epoll: epoll, firstToken: firstToken)
    self.counters = counters
    socket.setReceiveLimit(Self.waitingBytes)
  }

  // MARK: News

  func hear(_ event: SocketEvent) {
    if event.events.contains(.readable) { isReadable = true }
  }
  /// The host's socket of a flow has changed.
  func hear(token: UInt32, hasFailed: Bool) { flows.hear(token: token, hasFailed: hasFailed) }

  /// Whether there is something to do that waits for nobody.
  var hasMore: Bool { isReadable || (!flows.isIdle && held.isEmpty) || inbound.hasMore }
  /// When there is something to do at the latest.
  var nextDeadline: Instant? { [flows.nextDeadline, inbound.nextDeadline].compactMap { $0 }.min() }

  /// Carries some each way, and forgets what is old.
  func advance(_ scratch: UnsafeMutableRawBufferPointer, now: Instant) {
    counters.flowsExpired.increment(by: UInt64(flows.expire(now)))
    counters.open.set(UInt64(flows.count))
    carryToHost(now)
    carryToGuest(now)
    unsafe inbound.advance(scratch, now: now) { flows.find($0) != nil }
  }

  // MARK: To the host

  private func carryToHost(_ now: Instant) {
    guard isReadable else { return }
    defer { flush() }
    for _ in 0..<Self.batch {
      if memory.isFull { flush() }
      let room = unsafe memory.room()
      switch unsafe socket.tryReceive(into: room) {
      case .success(let datagram):
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: room[..<datagram.count])
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

  /// A datagram that lies in the room of ``memory``.
  private func carry(
    _ bytes: UnsafeRawBufferPointer, _ name: DatagramFlow.Name, _ datagram: ReceivedDatagram, _ now: Instant
  ) {
    if policy.isNameServer(name.destination), let answer = unsafe policy.names.answer(bytes) {
      counters.namesAnswered.increment()
      return unsafe answer.withUnsafeBytes { unsafe send($0, name) }
    }
    if let gathered, let flow = flows[gathered.slot], flow.name == name,
      gathered.hopLimit == datagram.hopLimit, flow.mayFragment == datagram.mayBeFragmented
    {
      return memory.add(bytes.count)
    }
    // Before a flow is opened, for which another may give way.
    flush()
    guard let slot = flows.find(name) ?? open(name, now), let flow = flows[slot] else { return }
    // A question that comes after a silence goes to the next server; those that come together, to the same.
    if flow.asksForNames, !flow.isAnswered, flow.deadline != .distantFuture,
      now + policy.silentDatagramPatience - flow.deadline >= Self.serverPatience
    {
      turn(flow)
    }
    flow.passHops(datagram.hopLimit)
    flow.passWholeness(datagram.mayBeFragmented)
    gathered = (slot, datagram.hopLimit)
    memory.add(bytes.count)
    let patience = flow.isAnswered ? policy.datagramPatience : policy.silentDatagramPatience
    flows.use(slot, until: now + patience, isAnswered: flow.isAnswered)
  }

  /// What was gathered for a flow leaves.
  private func flush() {
    defer {
      memory.removeAll()
      gathered = nil
    }
    guard let gathered, let flow = flows[gathered.slot] else { return }
    var (first, isAgain) = (0, false)
    while first < memory.count {
      let sent = memory.send(from: first, by: flow.descriptor)
      counters.sendCalls.increment()
      if sent > 0 {
        counters.toHost.increment(by: UInt64(sent))
        first += sent
        isAgain = false
        continue
      }
      // What an earlier one met is told first, and this one has not gone.
      if sent != -Int(EAGAIN), sent != -Int(EMSGSIZE), !isAgain {
        fail(Int32(-sent), flow)
        isAgain = true
        continue
      }
      if sent == -Int(EMSGSIZE) {
        counters.tooLarge.increment()
        _ = tellErrors(flow)
      }
      counters.droppedToHost.increment()
      first += 1
      isAgain = false
    }
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
    if flows.makeRoom(below: policy.datagramLimit) { counters.flowsEvicted.increment() }
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
    guard let slot = flows.open(name, descriptor, asksForNames: policy.isNameServer(name.destination)) else {
      counters.droppedToHost.increment()
      return nil
    }
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
    for case let flow? in flows.flows.slots where flow.asksForNames {
      flow.server = -1
      turn(flow)
    }
  }

  // MARK: To the guest

  private func carryToGuest(_ now: Instant) {
    if !held.isEmpty {
      let waiting = held
      held = []
      for (answer, name) in waiting {
        if held.isEmpty {
          unsafe answer.withUnsafeBytes { unsafe send($0, name) }
        } else {
          held.append((answer, name))
        }
      }
    }
    for slot in flows.takeTurns() {
      if held.isEmpty, let flow = flows[slot] { read(slot, flow, now) }
      flows.endTurn(slot)
    }
  }

  private func read(_ slot: Int, _ flow: DatagramFlow, _ now: Instant) {
    var left = Self.flowBatch
    while left > 0, held.isEmpty {
      let asked = min(left, DatagramBatch.limit)
      let count = memory.receive(by: flow.descriptor, atMost: asked)
      counters.receiveCalls.increment()
      if count == -Int(EAGAIN) {
        (flow.isReadable, flow.hasErrors) = (false, false)
        _ = tellErrors(flow)
        return
      }
      guard count > 0 else {
        fail(Int32(-count), flow)
        left -= 1
        continue
      }
      for index in 0..<count { unsafe send(memory[index], flow.name) }
      flows.use(slot, until: now + policy.datagramPatience, isAnswered: true)
      left -= count
      // It had no more, and says when it has (epoll(7)).
      if count < asked, !flow.hasErrors {
        flow.isReadable = false
        return
      }
    }
  }

  private func send(_ bytes: UnsafeRawBufferPointer, _ name: DatagramFlow.Name) {
    switch unsafe socket.trySend(bytes, to: name.guest, as: name.destination) {
    case .success: counters.toGuest.increment()
    case .failure(.wouldBlock) where held.count < Self.heldLimit: held.append((unsafe Array(bytes), name))
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

  func end() {
    flows.removeAll()
    counters.open.set(0)
    inbound.end()
    socket.close()
  }
}
