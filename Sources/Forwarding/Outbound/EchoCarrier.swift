import CLinux
import Exclusion
import Glibc
import Sockets
import Timing
import Wire

/// Carries the guest's echo requests on, by an ICMP socket of the host's for each sequence of them, and the answers back.
/// The forwarder's thread only.
///
/// Such sockets need no privilege where net.ipv4.ping_group_range names a group of ours; elsewhere the guest is told that
/// it is forbidden.
@safe
final class EchoCarrier {
  private let echoes: TransparentEchoes
  private let policy: OutboundPolicy
  private let counters: EchoCounters
  /// The guest's port is the identifier of its sequence; others have none.
  private var flows: CarriedFlows
  private var isReadable = true

  /// Messages of one side that are carried in a row.
  private static let batch = 64

  /// `firstToken`: of flows, at `epoll`.
  init(
    _ echoes: TransparentEchoes, _ policy: OutboundPolicy, epoll: Int32, firstToken: UInt32,
    _ counters: EchoCounters
  ) {
    self.echoes = echoes
    self.policy = policy
    flows = CarriedFlows(epoll: epoll, firstToken: firstToken)
    self.counters = counters
  }

  // MARK: News

  func hear(_ event: SocketEvent) {
    if event.events.contains(.readable) { isReadable = true }
  }
  /// The host's socket of a flow has changed.
  func hear(token: UInt32, hasFailed: Bool) { flows.hear(token: token, hasFailed: hasFailed) }

  /// Whether there is something to do that waits for nobody.
  var hasMore: Bool { isReadable || !flows.isIdle }
  /// When there is something to do at the latest.
  var nextDeadline: Instant? { flows.nextDeadline }

  /// Carries some each way, and forgets what is old.
  func advance(_ scratch: UnsafeMutableRawBufferPointer, now: Instant) {
    _ = flows.expire(now)
    counters.open.set(UInt64(flows.count))
    unsafe carryToHost(scratch, now)
    for slot in flows.takeTurns() {
      if let flow = flows[slot] { unsafe read(slot, flow, scratch, now) }
      flows.endTurn(slot)
    }
  }

  // MARK: To the host

  private func carryToHost(_ scratch: UnsafeMutableRawBufferPointer, _ now: Instant) {
    guard isReadable else { return }
    for _ in 0..<Self.batch {
      switch unsafe echoes.tryReceive(into: scratch) {
      case .success(let echo):
        unsafe carry(UnsafeRawBufferPointer(rebasing: scratch[..<echo.count]), echo, now)
      case .failure(.wouldBlock), .failure(.closed):
        isReadable = false
        return
      case .failure: continue
      }
    }
  }

  private func carry(_ bytes: UnsafeRawBufferPointer, _ echo: ReceivedEcho, _ now: Instant) {
    let name = DatagramFlow.Name(
      guest: SocketAddress(echo.source, port: echo.identifier),
      destination: SocketAddress(echo.destination, port: 0))
    guard let slot = flows.find(name) ?? open(name, echo), let flow = flows[slot] else { return }
    let isIPv4 = echo.destination.isIPv4
    flow.passHops(echo.hopLimit)
    flow.passWholeness(echo.mayBeFragmented)
    var sent = unsafe sluice_echo_send(
      flow.descriptor, isIPv4 ? 1 : 0, echo.sequence, bytes.baseAddress, bytes.count)
    // What an earlier one met is told first, and this one has not gone.
    if sent < 0, sent != -Int(EAGAIN), sent != -Int(EMSGSIZE) {
      if !tellErrors(flow), let refusal = DatagramRefusal(errno: Int32(-sent)) {
        refuse(refusal, flow, echo.sequence)
      }
      sent = unsafe sluice_echo_send(
        flow.descriptor, isIPv4 ? 1 : 0, echo.sequence, bytes.baseAddress, bytes.count)
    }
    if sent == -Int(EMSGSIZE) { _ = tellErrors(flow, of: echo.sequence) }
    if sent < 0 { counters.dropped.increment() } else { counters.toHost.increment() }
    flows.use(slot, until: now + policy.echoPatience, isAnswered: flow.isAnswered)
  }

  private func open(_ name: DatagramFlow.Name, _ echo: ReceivedEcho) -> Int? {
    func refuse(_ refusal: DatagramRefusal) {
      tell(refusal, name, echo.sequence, reporter: nil)
    }
    let target: SocketAddress
    switch policy.decide(name.destination) {
    case .carry(let address): target = address
    case .refuse:
      counters.denied.increment()
      refuse(.prohibited)
      return nil
    }
    if flows.makeRoom(below: policy.echoLimit) { counters.evicted.increment() }
    let made = policy.openEchoSocket(target.address)
    guard made >= 0 else {
      if made == -EACCES || made == -EPERM {
        counters.unavailable.increment()
      } else {
        counters.dropped.increment()
      }
      refuse(DatagramRefusal(errno: -made) ?? .prohibited)
      return nil
    }
    guard let slot = flows.open(name, made) else {
      counters.dropped.increment()
      return nil
    }
    counters.open.set(UInt64(flows.count))
    return slot
  }

  // MARK: To the guest

  private func read(
    _ slot: Int, _ flow: DatagramFlow, _ scratch: UnsafeMutableRawBufferPointer, _ now: Instant
  ) {
    let isIPv4 = flow.name.destination.address.isIPv4
    for _ in 0..<Self.batch {
      var sequence: UInt16 = 0
      let count = unsafe sluice_echo_receive(
        flow.descriptor, isIPv4 ? 1 : 0, &sequence, scratch.baseAddress, scratch.count)
      switch count {
      case 0...:
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: scratch[..<count])
        // Without room it is lost, as on a network.
        if case .success = unsafe echoes.tryReply(
          bytes, identifier: flow.name.guest.port, sequence: sequence, to: flow.name.guest.address,
          from: flow.name.destination.address)
        {
          counters.toGuest.increment()
        } else {
          counters.dropped.increment()
        }
        flows.use(slot, until: now + policy.echoPatience, isAnswered: true)
      case -Int(EAGAIN):
        flow.isReadable = false
        _ = tellErrors(flow)
        return
      case -Int(EBADMSG): counters.dropped.increment()
      default: _ = tellErrors(flow)
      }
    }
  }

  /// What the network said of requests of this flow: the guest hears it. False: it said nothing. `sequence`: of the
  /// request that this host itself had something to say of, and does not quote.
  private func tellErrors(_ flow: DatagramFlow, of sequence: UInt16 = 0) -> Bool {
    var isTold = false
    while let report = NetworkError.next(flow.descriptor) {
      isTold = true
      guard let error = report.error else { continue }
      refuse(error.refusal, flow, error.sequence ?? sequence, reporter: error.reporter)
    }
    return isTold
  }
  private func refuse(
    _ refusal: DatagramRefusal, _ flow: DatagramFlow, _ sequence: UInt16, reporter: IPAddress? = nil
  ) {
    tell(refusal, flow.name, sequence, reporter: reporter)
  }
  private func tell(
    _ refusal: DatagramRefusal, _ name: DatagramFlow.Name, _ sequence: UInt16, reporter: IPAddress?
  ) {
    let result = echoes.tryRefuse(
      refusal, identifier: name.guest.port, sequence: sequence, from: name.guest.address,
      to: name.destination.address, reporter: reporter)
    if case .success = result { counters.refused.increment() }
  }

  // MARK: Ending

  func end() {
    flows.removeAll()
    counters.open.set(0)
    echoes.close()
  }
}
