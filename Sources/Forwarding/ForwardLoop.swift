import CLinux
import Exclusion
import Glibc
import Sockets
import Timing

/// The loop of a ``Forwarder``: who has something to do, and where it sleeps when nobody has. A thread of its own runs it,
/// or a context's resident visits it.
@safe
final class ForwardLoop {
  let epoll: Int32
  let bell: Bell
  /// What is forwarded, and by which sockets.
  var table: ForwardTable
  /// Whom forwards lead to that do not say.
  let guest: ForwardGuest
  let layer: SocketLayer
  let limit: Int
  let counters: ForwardCounters
  /// What becomes of what the guest asks for; nil: nothing is asked.
  private(set) var outbound: OutboundPolicy?
  /// Something is. Asked in each turn, where the policy itself is not touched.
  let isOutbound: Bool
  let outboundCounters: ForwardCounters
  /// Carries datagrams; nil: none are heard.
  private(set) var datagrams: DatagramCarrier?
  /// Carries echo requests; nil: none are heard.
  private var echoes: EchoCarrier?
  /// Who says what is to be forwarded; nil: nobody.
  private var control: ControlConnections?
  /// Nobody else has it: the turn at its point is ours from the beginning to the end.
  let queue: SocketEventQueue

  /// By slot, which is a connection's name at the poller; its token holds the slot as well.
  var carried: [CarriedConnection?] = []
  var freeSlots: [Int] = []
  var generation: UInt64 = 0
  var open = 0
  /// Of these, those that the guest asked for.
  var openOutbound = 0
  /// What the guest asked for, and is not looked at yet.
  var requests = RequestList()
  /// Published where requests are waited for, until its wake-up comes.
  var requestTicket: Waiter.Ticket?
  var wasAsked = false
  /// Slots of those whose socket a context is making.
  var opening: [Int] = []
  /// Slots of those that have something to do, oldest first.
  private var queued: [Int] = []
  /// Published at the event queue, until its wake-up comes.
  private var ticket: Waiter.Ticket?
  private var wasWoken = false
  private var isStopping = false
  /// The listeners are watched.
  var isAccepting = true
  /// Kept for the moment in which there is no other.
  var spare: Int32
  let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

  /// Readable when there is something to do by itself; a thread does without, and sleeps so long.
  private let timer: Int32
  /// When that is.
  private var wakesAt = Instant.distantFuture

  /// Bytes each way that one connection may carry before the others have their turn.
  private static let budget = 256 << 10
  /// Bytes that a visit carries before the context has its turn.
  private static let visitBudget = 1 << 20
  /// Connections that are taken in a row.
  static let acceptBatch = 64
  /// Sockets that contexts may be making at once.
  static let openingLimit = 256
  /// Tokens of the poller: the bell's, the listeners' from 1 on, and the connections' from this on.
  static let firstSlotToken: UInt32 = 1 << 16
  static let bellToken: UInt32 = 0
  /// Of flows of datagrams, from this on.
  static let firstDatagramToken: UInt32 = 1 << 24
  static let timerToken = UInt32.max
  /// Of who tells of the host's resolvers.
  static let resolverToken = UInt32.max - 1
  /// Of the control's listener, and behind it of its connections.
  static let controlToken: UInt32 = 1 << 28
  /// Of sequences of echo requests, from this on.
  static let firstEchoToken: UInt32 = 1 << 25
  /// At the event queue: no connection's.
  static let datagramToken = UInt64.max
  static let echoToken = UInt64.max - 1

  /// Takes over `epoll`, which watches the bell and the listeners, and `timer`, which it watches too; -1: there is none.
  init(
    epoll: Int32, timer: Int32 = -1, bell: Bell, table: ForwardTable, guest: ForwardGuest, layer: SocketLayer,
    limit: Int,
    counters: ForwardCounters, outbound: OutboundPolicy?, _ outboundCounters: ForwardCounters,
    _ datagramCounters: DatagramCounters, inbound: DatagramCounters, _ echoCounters: EchoCounters,
    control: ForwardControl?
  ) {
    self.epoll = epoll
    self.timer = timer
    self.bell = bell
    self.table = table
    self.guest = guest
    self.layer = layer
    self.limit = limit
    self.counters = counters
    self.outbound = outbound
    isOutbound = outbound != nil
    self.outboundCounters = outboundCounters
    queue = layer.makeEventQueue(limit: limit + (outbound?.limit ?? 0) + 2)
    spare = fcntl(epoll, F_DUPFD_CLOEXEC, 0)
    if let outbound, let socket = layer.openTransparentDatagrams() {
      datagrams = DatagramCarrier(
        socket, outbound, epoll: epoll, firstToken: Self.firstDatagramToken, datagramCounters,
        inbound: InboundDatagrams(socket, outbound, limit: limit, inbound))
      // A queue that was just made has room.
      try? queue.add(
        .datagram(socket), for: [.readable, .writable], trigger: .edge, token: Self.datagramToken)
    }
    if let outbound, let heard = layer.openTransparentEchoes() {
      echoes = EchoCarrier(heard, outbound, epoll: epoll, firstToken: Self.firstEchoToken, echoCounters)
      // It has room for both.
      try? queue.add(.datagram(heard.socket), for: .readable, trigger: .edge, token: Self.echoToken)
    }
    if let watch = outbound?.resolverWatch {
      _ = sluice_epoll_add(epoll, watch.descriptor, Self.resolverToken, 0)
    }
    self.control = control.flatMap { ControlConnections($0, epoll: epoll, firstToken: Self.controlToken) }
  }
  deinit {
    unsafe scratch.deallocate()
    sluice_tcp_close(epoll)
    if timer >= 0 { sluice_tcp_close(timer) }
    if spare >= 0 { sluice_tcp_close(spare) }
  }

  /// On a thread of its own, from beginning to end.
  func run() {
    begin()
    while !isStopping {
      turn(atMost: .max)
      look(prepareToSleep())
    }
    end()
  }

  /// Once, before the first turn.
  func begin() {
    precondition(queue.point.turn.tryTake(), "a queue that was just made")
    if let point = layer.requestPoint { precondition(point.turn.tryTake(), "requests have one taker") }
  }

  /// Between two passes of a context. `isReadable`: the poller has something. True: there is more to do.
  func visit(isReadable: Bool) -> Bool {
    answerBell()
    if isReadable { hasNews = true }
    if hasNews { hasNews = look(0) == Self.lookLimit }
    turn(atMost: Self.visitBudget)
    guard !isStopping else { return false }
    let limit = prepareToSleep()
    if limit != 0 { wake(in: limit) }
    return limit == 0 || hasNews
  }
  /// The poller may have more than was taken from it.
  private var hasNews = true

  /// What there is to do for everybody, at most about so many bytes of it.
  private func turn(atMost bytes: Int) {
    harvest()
    takeRequests()
    advance(atMost: bytes)
    if let datagrams { unsafe datagrams.advance(scratch, now: layer.now) }
    if let echoes { unsafe echoes.advance(scratch, now: layer.now) }
    if !isAccepting, mayAccept { setAccepting(true) }
  }

  /// Has the timer end a sleep after so many nanoseconds. One that ends earlier does no harm, and is set less often.
  private func wake(in nanoseconds: UInt64) {
    guard nanoseconds != .max else { return }
    let deadline = layer.now.adding(nanoseconds: nanoseconds)
    guard deadline < wakesAt else { return }
    wakesAt = deadline
    sluice_timer_set(timer, nanoseconds)
  }

  // MARK: News

  /// What our sockets tell. Not while a publication is out: what it would take is what the wake-up is for.
  private func harvest() {
    guard ticket == nil, wasWoken || queue.isReady else { return }
    do throws(SocketError) {
      let found = try queue.harvest(atMost: 256)
      if wasWoken, found.examined == 0 { queue.point.account.counters.wasted.increment() }
      wasWoken = false
      for event in found.events {
        if event.token == Self.datagramToken {
          datagrams?.hear(event)
          continue
        }
        if event.token == Self.echoToken {
          echoes?.hear(event)
          continue
        }
        let slot = Int(event.token & 0xFFFF_FFFF)
        guard let connection = carried[slot], connection.token == event.token else { continue }
        connection.hear(event)
        enqueue(slot)
      }
    } catch {
      isStopping = true  // the stack is shut down
    }
  }

  func enqueue(_ slot: Int) {
    guard let connection = carried[slot], !connection.isQueued else { return }
    connection.isQueued = true
    queued.append(slot)
  }

  /// A turn for each that has something to do; those that come after so many bytes keep theirs.
  private func advance(atMost bytes: Int) {
    var turn: [Int] = []
    swap(&turn, &queued)
    var left = bytes
    for (place, slot) in turn.enumerated() {
      guard left > 0 else {
        queued.insert(contentsOf: turn[place...], at: 0)
        break
      }
      guard let connection = carried[slot], connection.isQueued else { continue }
      connection.isQueued = false
      let verdict = connection.advance(budget: Self.budget, counters(of: connection))
      left -= connection.moved
      switch verdict {
      case .waits: break
      case .hasMore: enqueue(slot)
      case .hostConnected: admit(slot, connection)
      case .isDone, .guestFailed, .hostFailed: remove(slot, verdict)
      }
    }
    // Its memory serves the next turn.
    if queued.isEmpty {
      turn.removeAll(keepingCapacity: true)
      swap(&turn, &queued)
    }
  }

  /// Says that nobody has something to do: nanoseconds until somebody will by itself, 0 if somebody has.
  private func prepareToSleep() -> UInt64 {
    if !queued.isEmpty || !requests.isEmpty { return 0 }
    var limit = UInt64.max
    if let datagrams {
      if datagrams.hasMore { return 0 }
      if let deadline = datagrams.nextDeadline { limit = UInt64(max(1, (deadline - layer.now).count)) }
    }
    if let echoes {
      if echoes.hasMore { return 0 }
      if let deadline = echoes.nextDeadline {
        limit = min(limit, UInt64(max(1, (deadline - layer.now).count)))
      }
    }
    guard waitForRequests() else { return 0 }
    if ticket == nil {
      let published = queue.point.waiter.publish(need: 1, bell.eventTarget())
      ticket = published
      // Looked at again after the publication: news may have come between (SB-ATOMIC).
      if queue.isReady, queue.point.waiter.retract(published) {
        bell.forgetTarget()
        ticket = nil
        return 0
      }
    }
    return limit
  }

  /// Descriptors that one look takes news of.
  private static let lookLimit = 64

  /// Sleeps for so many nanoseconds at most, until a descriptor has news, and hears them. How many there were.
  @discardableResult private func look(_ limit: UInt64) -> Int {
    unsafe withUnsafeTemporaryAllocation(of: sluice_ready.self, capacity: Self.lookLimit) { found in
      let count = unsafe max(
        0, Int(sluice_epoll_wait(epoll, found.baseAddress, Int32(Self.lookLimit), limit)))
      for index in 0..<count { hear(unsafe found[index]) }
      return count
    }
  }

  private func hear(_ ready: sluice_ready) {
    switch ready.token {
    case Self.bellToken: answerBell()
    case Self.timerToken:
      sluice_timer_absorb(timer)
      wakesAt = .distantFuture
    case Self.resolverToken: hearOfResolvers()
    case 1..<Self.firstSlotToken: hear(listener: Int(ready.token) - 1)
    case Self.controlToken...: control?.hear(token: ready.token, self)
    case Self.firstDatagramToken..<Self.firstEchoToken:
      datagrams?.hear(token: ready.token, hasFailed: ready.failed != 0)
    case Self.firstEchoToken...: echoes?.hear(token: ready.token, hasFailed: ready.failed != 0)
    default:
      let slot = Int(ready.token - Self.firstSlotToken)
      // It may have ended earlier in this batch, and its slot be somebody else's: whom false news do no harm.
      guard let connection = carried[slot] else { return }
      connection.hear(ready)
      enqueue(slot)
    }
  }

  /// The host asks others for names: so does the guest.
  private func hearOfResolvers() {
    guard let watch = outbound?.resolverWatch else { return }
    switch watch.next() {
    case .none: break
    case .servers(let servers) where servers == outbound?.resolvers: break
    case .servers(let servers):
      outbound?.resolvers = servers
      datagrams?.ask(servers)
    case .over:
      sluice_epoll_remove(epoll, watch.descriptor)
      outbound?.resolverWatch = nil
    }
  }

  private func answerBell() {
    let calls = bell.take()
    if calls.contains(.events), let published = ticket {
      let point = queue.point
      point.waiter.finish(published)
      point.account.counters.delivered.increment()
      ticket = nil
      wasWoken = true
    }
    if calls.contains(.request) { hearRequest() }
    if calls.contains(.answer) { takeAnswers() }
    if calls.contains(.stop) { isStopping = true }
  }

  // MARK: Ending

  func counters(of connection: CarriedConnection) -> ForwardCounters {
    connection.isOutbound ? outboundCounters : counters
  }
  /// One more, or one less, is carried.
  func countOpen(_ change: Int, _ connection: CarriedConnection) {
    open += change
    if connection.isOutbound { openOutbound += change }
    let counters = counters(of: connection)
    let now = UInt64(connection.isOutbound ? openOutbound : open - openOutbound)
    counters.open.set(now)
    counters.peak.set(max(counters.peak.value, now))
  }

  /// A connection is over. Its descriptor leaves the poller, and its socket the event queue, as they are closed.
  func remove(_ slot: Int, _ verdict: CarriedConnection.Verdict) {
    guard let connection = carried[slot] else { return }
    let counters = counters(of: connection)
    switch (verdict, connection.phase) {
    case (.isDone, _): counters.finished.increment()
    case (.hostFailed, .dialing): counters.count(refusal: connection.hostError)
    case (.hostFailed, _): counters.resetByHost.increment()
    case (.guestFailed, .open): counters.resetByGuest.increment()
    case (.guestFailed, _): counters.refusedByGuest.increment()
    case (.waits, _), (.hasMore, _), (.hostConnected, _): break
    }
    carried[slot] = nil
    freeSlots.append(slot)
    countOpen(-1, connection)
    // Last: who hears of the end finds it counted.
    connection.end(verdict)
  }

  /// Everything goes, and nothing of it is left with the stack. Last.
  func end() {
    control?.end()
    for entry in table.entries { _ = remove(entry.identifier) }
    for slot in carried.indices {
      guard let connection = carried[slot] else { continue }
      switch connection.phase {
      case .opening(let answer, let published?):
        if answer.point.waiter.retract(published) { bell.forgetTarget() }
      case .admitting(let answer, let published?):
        if answer.point.waiter.retract(published) { bell.forgetTarget() }
      case .opening, .admitting, .dialing, .connecting, .open: break
      }
      remove(slot, .waits)
    }
    if let ticket, queue.point.waiter.retract(ticket) { bell.forgetTarget() }
    endRequests()
    datagrams?.end()
    datagrams = nil
    echoes?.end()
    echoes = nil
    queue.close()
  }
}
