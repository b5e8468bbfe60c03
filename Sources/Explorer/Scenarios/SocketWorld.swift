#if Explore
  import Devices
  import Exclusion
  import Internet
  import Sockets
  import SoftInterrupts
  import Timing
  import Wire

  /// A stack with loopback, and a link whose far end the scenario serves, or nobody. What is made before and after
  /// ``Run/concurrently(_:)`` is not explored. `settling`: before contexts with threads of their own start.
  final class SocketWorld {
    /// Who runs the contexts.
    enum Drive {
      /// A virtual thread each while schedules are explored, a pass at a time as the context's own would; else whoever
      /// waits. Time stands.
      case stepped
      /// Their own threads, as shipped, which sleep and wake in virtual time.
      case threads
    }
    let run: Run
    let drive: Drive
    private let explored: ExploredContexts
    var contexts: ContextSet { explored.set }
    let internet: InternetLayer
    let sockets: SocketLayer
    private let clock = VirtualClock(start: Instant(milliseconds: 1000))
    private let scheduler: ManualScheduler
    /// Threads that have not returned yet, and contexts inside a pass.
    private var running = 0
    /// Passes that have begun.
    private var passes = 0
    static let seed: UInt64 = 1
    static let host = IPAddress("127.0.0.1")!
    /// This host on the link, and whoever is at its far end, which nobody but the scenario serves.
    static let near = IPAddress("10.0.0.1")!, far = IPAddress("10.0.0.2")!
    let link: LinkPair

    init(
      _ run: Run, contexts count: Int = 1, _ drive: Drive = .stepped,
      adjusting adjust: (inout ContextConfiguration) -> Void = { _ in },
      changing change: (inout SocketConfiguration) -> Void = { _ in },
      settling settle: (ContextSet) -> Void = { _ in }
    ) {
      self.run = run
      self.drive = drive
      explored = ExploredContexts(run, contexts: count) { [clock] in
        $0.packetLimit = 256
        switch drive {
        case .stepped: ($0.timeSource, $0.makePoller) = (clock, nil)
        case .threads: break
        }
        adjust(&$0)
      }
      link = LinkPair(left: .ip, right: .ip, queues: count, ringSlots: 16)
      do {
        internet = InternetLayer(
          contexts: explored.set, configuration: InternetConfiguration(seed: Self.seed))
        var configuration = SocketConfiguration()
        configuration.seed = Self.seed
        configuration.connectionLimit = 64
        change(&configuration)
        sockets = SocketLayer(contexts: explored.set, internet: internet, configuration: configuration)
        let loopback = try internet.addInterface(
          InterfaceDescription(device: LoopbackDevice(queues: count, ringSlots: 64), isLoopback: true))
        let outside = try internet.addInterface(InterfaceDescription(device: link.left))
        try internet.configure { tables throws(NetworkChangeError) in
          try tables.addAddress(InterfaceAddress(IPPrefix("127.0.0.1/8")!, interface: loopback))
          try tables.addAddress(InterfaceAddress(IPPrefix("10.0.0.1/24")!, interface: outside))
        }
      } catch {
        preconditionFailure("a stack in memory needs nothing of the system: \(error)")
      }
      scheduler = ManualScheduler(clock: clock)
      switch drive {
      case .stepped: scheduler.add(contexts)
      case .threads:
        settle(contexts)
        explored.start()
      }
    }

    // MARK: Before

    /// The answer of a context, as a virtual thread or whoever makes the world waits for it.
    func result<Value>(_ answer: Answer<Result<Value, SocketError>>) -> Result<Value, SocketError> {
      if drive == .stepped, running == 0 { settle() } else { run.wait { answer.isReady } }
      return answer.take() ?? .failure(.closed)
    }
    /// What must be had.
    func made<Value>(_ answer: Answer<Result<Value, SocketError>>) -> Value {
      switch result(answer) {
      case .success(let value): return value
      case .failure(let error): preconditionFailure("a socket in memory: \(error)")
      }
    }
    func datagram(_ port: UInt16) -> DatagramSocket {
      made(sockets.bindDatagram(to: SocketAddress(Self.host, port: port)))
    }
    /// Both ends of a connection on loopback, at rest.
    func connection(
      from local: SocketAddress? = nil, limits: BufferLimits = BufferLimits()
    ) -> (client: StreamSocket, server: StreamSocket) {
      let address = SocketAddress(Self.host, port: 7)
      let listener = made(sockets.listen(on: address, limits: limits))
      defer { listener.close() }
      let client = made(sockets.connect(to: address, from: local, limits: limits))
      var server: StreamSocket?
      let isMade = {
        if case .success(let child) = listener.tryAccept() { server = child }
        return server != nil && client.isConnected
      }
      switch drive {
      case .stepped: scheduler.settle()
      case .threads: run.wait(until: isMade)
      }
      guard server != nil || isMade(), let server else {
        preconditionFailure("a connection on loopback is made")
      }
      return (client, server)
    }

    /// Lets the context do what there is to do.
    func settle() { scheduler.settle() }
    /// Lets time pass, and what is due in it happen; not while threads run.
    func run(milliseconds: UInt64) { scheduler.run(milliseconds: milliseconds) }

    // MARK: Threads

    /// Runs the threads, and the contexts until they have returned and nobody has anything to do.
    func concurrently(_ threads: [(name: String, body: () -> Void)]) {
      guard drive == .stepped else { return run.concurrently(threads) }
      running = threads.count
      let counted = threads.map { thread in
        (
          name: thread.name,
          body: {
            thread.body()
            self.running -= 1
          }
        )
      }
      run.concurrently(
        counted + (0..<contexts.count).map { index in ("context \(index)", { self.runContext(index) }) })
    }
    private func runContext(_ index: Int) {
      let ports = (0..<contexts.count).map { contexts.port($0) }
      while true {
        var isOver = false
        run.wait(until: {
          if ports[index].hasWork { return true }
          // All ports at one moment: nobody who could post was there, or came, while they were looked at.
          let before = self.passes
          isOver = self.running == 0 && !ports.contains(where: \.hasWork) && self.passes == before
          return isOver
        })
        if isOver { return }
        running += 1
        passes += 1
        scheduler.step(contexts, context: index)
        running -= 1
      }
    }

    /// Waits as a blocked thread does (PROTOCOLS 2): `attempt` returns nil as long as there is nothing.
    static func wait<R>(
      at point: WaitPoint, need: UInt32 = 1, isReady: (UInt32) -> Bool, _ attempt: () -> R?
    ) -> R {
      let parker = Parker()
      withApplication { held in
        switch point.turn.take(parker.wakeTarget, &held) {
        case .taken: break
        case .queued: while !parker.park(&held) {}
        }
      }
      defer { withApplication { held in point.turn.pass(&held) } }
      while true {
        if let result = attempt() { return result }
        let ticket = point.waiter.publish(need: need, parker.wakeTarget)
        if isReady(need), point.waiter.retract(ticket) { continue }
        withApplication { held in
          while !parker.park(&held) {}
        }
        point.waiter.finish(ticket)
      }
    }

    func wait<R>(
      at point: WaitPoint, need: UInt32 = 1, isReady: (UInt32) -> Bool, _ attempt: () -> R?
    ) -> R { Self.wait(at: point, need: need, isReady: isReady, attempt) }

    /// Waits for events of `queue`, at most `limit` in one harvest.
    func harvest(_ queue: SocketEventQueue, atMost limit: Int = 8) -> [SocketEvent]? {
      wait(at: queue.point, isReady: { _ in queue.isReady }) { () -> [SocketEvent]?? in
        do throws(SocketError) {
          let events = try queue.harvest(atMost: limit).events
          return events.isEmpty ? nil : .some(events)
        } catch {
          return .some(nil)
        }
      }
    }
    /// Takes one datagram, waiting for it.
    func receive(_ socket: DatagramSocket) -> [UInt8]? {
      wait(at: socket.readPoint, isReady: { _ in socket.isReadable }) { () -> [UInt8]?? in
        switch socket.receiveNow() {
        case .success(let bytes): .some(bytes)
        case .failure(.wouldBlock): nil
        case .failure: .some(nil)
        }
      }
    }

    /// Takes a child, waiting for it.
    func accept(_ listener: ListeningSocket) -> Result<StreamSocket, SocketError> {
      wait(at: listener.accepting, isReady: { _ in listener.isAcceptable }) {
        let result = listener.tryAccept()
        if case .failure(.wouldBlock) = result { return nil }
        return result
      }
    }

    // MARK: The whole

    /// Runs `body` in a world of its own. What it made is let go of when it returns, and nothing is left.
    static func explore(
      _ run: Run, contexts: Int = 1, _ drive: Drive = .stepped,
      adjusting adjust: (inout ContextConfiguration) -> Void = { _ in },
      changing change: (inout SocketConfiguration) -> Void = { _ in },
      settling settle: (ContextSet) -> Void = { _ in }, _ body: (SocketWorld) -> Void
    ) {
      let world = SocketWorld(
        run, contexts: contexts, drive, adjusting: adjust, changing: change, settling: settle)
      body(world)
      world.finish()
    }

    private func finish() {
      switch drive {
      case .stepped:
        // Twice: what was let go of last ends with the first, and its memory after a grace period.
        scheduler.settle()
        scheduler.run(milliseconds: 10)
      case .threads:
        // A grace period takes milliseconds; a half-open connection's timer, or TIME-WAIT, takes longer.
        for round in 0..<400 where inUse > 0 || timers > 0 || sockets.bindingCount > 0 {
          run.sleep(nanoseconds: round < 100 ? 5_000_000 : 500_000_000)
        }
        run.require(timers == 0, "TM-REF: \(timers) timers are left")
        run.require(sockets.bindingCount == 0, "SO-TERM: \(sockets.bindingCount) names are left")
        // A listener's memory goes after a grace period, which begins when its context has run.
        for _ in 0..<8 { run.sleep(nanoseconds: 5_000_000) }
      }
      let wasted = sockets.wakeAccount.counters.wasted.value
      run.require(wasted == 0, "SB-EXACT: \(wasted) useless wake-ups")
      run.require(inUse == 0, "SO-REF: \(inUse) control blocks are left")
      run.require(sockets.eventCounters.registrations == 0, "RS-LEAK: registrations are left")
      switch drive {
      case .stepped: break
      case .threads: explored.finish()
      }
      link.loseFrames()
    }
    private var inUse: Int { (0..<contexts.count).reduce(0) { $0 + sockets.connectionsInUse($1) } }
    private var timers: UInt64 {
      (0..<contexts.count).reduce(0) { $0 + contexts.counters($1).timersArmed.value }
    }
  }

  extension DatagramSocket {
    func sendNow(_ bytes: [UInt8], to port: UInt16) -> SocketError? {
      let address = SocketAddress(SocketWorld.host, port: port)
      let outcome = unsafe bytes.withUnsafeBytes { unsafe trySend($0, to: address) }
      if case .failure(let error) = outcome { return error }
      return nil
    }
    func receiveNow() -> Result<[UInt8], SocketError> {
      var bytes = [UInt8](repeating: 0, count: 64)
      return unsafe bytes.withUnsafeMutableBytes { unsafe tryReceive(into: $0) }.map {
        Array(bytes[..<$0.count])
      }
    }
  }
  extension StreamSocket {
    func writeNow(_ bytes: [UInt8]) -> WriteOutcome { unsafe bytes.withUnsafeBytes { unsafe tryWrite($0) } }
    func readNow(_ limit: Int = 64) -> (ReadOutcome, [UInt8]) {
      var bytes = [UInt8](repeating: 0, count: limit)
      let outcome = unsafe bytes.withUnsafeMutableBytes { unsafe tryRead(into: $0) }
      if case .bytes(let count) = outcome { return (outcome, Array(bytes[..<count])) }
      return (outcome, [])
    }
  }
#endif
