#if Explore
  import Devices
  import Exclusion
  import Internet
  import SoftInterrupts
  import Sockets
  import Timing
  import Wire

  /// Pollers of a run, for contexts that ask for them.
  private struct PollerMaker: @unchecked Sendable {  // all virtual threads are one thread
    let run: Run
    init(_ run: Run) { self.run = run }
  }

  /// A stack of two contexts on virtual threads, that talks to itself over loopback: each context receives what
  /// it sends, so that a segment comes in away from its home as often as at it.
  @safe private final class ListenWorld: @unchecked Sendable {  // all virtual threads are one thread
    let run: Run
    let contexts: ContextSet
    let sockets: SocketLayer
    private let internet: InternetLayer
    static let host = IPAddress(IPv4Address.loopback)
    static let server = SocketAddress(host, port: 7)

    init(_ run: Run) {
      self.run = run
      var set = ContextConfiguration(contexts: 2, packetLimit: 256, timeSource: run.clock)
      let poller = PollerMaker(run)
      set.makePoller = { _ in poller.run.makePoller() }
      do {
        contexts = try ContextSet(set)
        internet = InternetLayer(contexts: contexts, configuration: InternetConfiguration(seed: 1))
        var configuration = SocketConfiguration()
        configuration.seed = 1
        configuration.connectionLimit = 16
        configuration.synCacheLimit = 16
        configuration.applicationPackets = 8
        configuration.applicationChunks = 16
        configuration.tcp.timeWait = .milliseconds(200)
        sockets = SocketLayer(contexts: contexts, internet: internet, configuration: configuration)
        let loopback = try internet.addInterface(
          InterfaceDescription(device: LoopbackDevice(queues: 2, ringSlots: 64), isLoopback: true))
        try internet.configure { tables in
          try tables.addAddress(InterfaceAddress(IPPrefix(Self.host, length: 8)!, interface: loopback))
        }
        try contexts.start()
      } catch {
        preconditionFailure("a stack in memory needs nothing of the system: \(error)")
      }
    }

    func wait<Value>(_ answer: Answer<Result<Value, SocketError>>) -> Result<Value, SocketError> {
      run.wait { answer.isReady }
      return answer.take() ?? .failure(.closed)
    }
    func listen(backlog: Int = 4) -> ListeningSocket? {
      let result = wait(sockets.listen(on: Self.server, backlog: backlog))
      run.require((try? result.get()) != nil, "nobody can listen: \(result)")
      return try? result.get()
    }
    /// Connects, and waits for how that ends.
    func connect(from local: SocketAddress? = nil) -> Result<StreamSocket, SocketError> {
      wait(sockets.connect(to: Self.server, from: local)).flatMap { socket in
        run.wait { socket.isWritable(need: 0) }
        if let failure = socket.failure { return .failure(failure) }
        return socket.isConnected ? .success(socket) : .failure(.connectionAborted)
      }
    }
    /// Accepts as a blocked thread does, in its turn (PROTOCOLS 2 and 3).
    func accept(_ listener: ListeningSocket) -> Result<StreamSocket, SocketError> {
      let point = listener.accepting
      let parker = Parker()
      withApplication { held in
        switch point.turn.take(parker.wakeTarget, &held) {
        case .taken: break
        case .queued: while !parker.park(&held) {}
        }
      }
      defer { withApplication { held in point.turn.pass(&held) } }
      while true {
        let result = listener.tryAccept()
        guard case .failure(.wouldBlock) = result else { return result }
        let ticket = point.waiter.publish(need: 1, parker.wakeTarget)
        if listener.isAcceptable, point.waiter.retract(ticket) { continue }
        withApplication { held in
          while !parker.park(&held) {}
        }
        point.waiter.finish(ticket)
      }
    }

    /// Nothing is left: no block, no entry, no timer; then the contexts end.
    func finish() {
      for _ in 0..<400 where inUse > 0 || timers > 0 || sockets.bindingCount > 0 {
        run.sleep(nanoseconds: 5_000_000)
      }
      run.require(inUse == 0, "SO-REF: \(inUse) control blocks are left")
      run.require(timers == 0, "TM-REF: \(timers) timers are left")
      run.require(sockets.bindingCount == 0, "SO-TERM: \(sockets.bindingCount) names are left")
      // A listener's memory goes after a grace period, which begins when its context has run.
      for _ in 0..<8 { run.sleep(nanoseconds: 5_000_000) }
      contexts.stop()
    }
    private var inUse: Int { (0..<2).reduce(0) { $0 + sockets.connectionsInUse($1) } }
    private var timers: UInt64 { (0..<2).reduce(0) { $0 + contexts.counters($1).timersArmed.value } }
    private var limbo: UInt64 { (0..<2).reduce(0) { $0 + contexts.counters($1).slotsInLimbo.value } }
  }

  extension StreamSocket {
    fileprivate func writeByte(_ byte: UInt8) -> Bool {
      var byte = byte
      return unsafe withUnsafeBytes(of: &byte) { unsafe tryWrite($0) } == .bytes(1)
    }
    fileprivate func readByte() -> UInt8? {
      var byte: UInt8 = 0
      return unsafe withUnsafeMutableBytes(of: &byte) { unsafe tryRead(into: $0) } == .bytes(1) ? byte : nil
    }
  }

  extension Catalogue {
    static let listening: [Scenario] = [
      Scenario(
        id: "Q1+SO-PUBLISH+L5",
        title: "a client writes as soon as it is connected; its child has the byte, whoever makes it",
        mutations: ["childPublishedUnfinished"]
      ) { run in
        let world = ListenWorld(run)
        var listener = world.listen()
        var clients: [StreamSocket] = []
        var read: [UInt8] = []
        func client(_ number: UInt8) {
          guard case .success(let socket) = world.connect() else {
            return run.require(false, "Q1: an honest client was refused")
          }
          run.require(socket.writeByte(number), "Q1: a connected client cannot write")
          clients.append(socket)
        }
        run.concurrently([
          ("client 1", { client(1) }), ("client 2", { client(2) }),
          (
            "server",
            {
              for _ in 0..<2 {
                guard let listener, case .success(let child) = world.accept(listener) else { return }
                run.wait { child.isReadable(need: 1) }
                read += [child.readByte() ?? 0]
                child.abort()
              }
            }
          ),
        ])
        run.require(read.sorted() == [1, 2], "Q1: the children read \(read)")
        clients.forEach { $0.abort() }
        clients = []
        listener = nil
        world.finish()
      },
      Scenario(
        id: "Q3+AQ-CLOSE+AQ-RECHECK",
        title:
          "a listener closes while handshakes complete: each client is accepted or reset, and nothing is left",
        mutations: ["shardsLeftOpen"]
      ) { run in
        let world = ListenWorld(run)
        var listener = world.listen()
        var clients: [StreamSocket] = []
        run.concurrently([
          ("client 1", { if case .success(let socket) = world.connect() { clients.append(socket) } }),
          ("client 2", { if case .success(let socket) = world.connect() { clients.append(socket) } }),
          ("closer", { listener?.close() }),
        ])
        run.sleep(nanoseconds: 50_000_000)
        run.require(
          clients.allSatisfy { $0.failure == .connectionReset }, "Q3: a child outlived its listener")
        run.require(
          listener.map { (try? $0.tryAccept().get()) == nil } ?? false,
          "AQ-CLOSE: a child was queued after close")
        clients = []
        listener = nil
        world.finish()
      },
      Scenario(
        id: "AQ-ONE+AQ-XFER+SO-REF",
        title: "two threads accept two children, and close them: each child goes to one of them",
        mutations: ["queuedWithoutReference"]
      ) { run in
        let world = ListenWorld(run)
        var listener = world.listen()
        var clients: [StreamSocket] = []
        for _ in 0..<2 { if case .success(let socket) = world.connect() { clients.append(socket) } }
        var ports: [UInt16] = []
        let accept = {
          guard let listener, case .success(let child) = world.accept(listener) else { return }
          ports.append(child.remoteAddress.port)
          child.close()
        }
        run.concurrently([("accepter 1", accept), ("accepter 2", accept)])
        run.require(Set(ports) == Set(clients.map(\.localAddress.port)), "AQ-ONE: accepted \(ports)")
        clients.forEach { $0.close() }
        clients = []
        listener = nil
        world.finish()
      },
      Scenario(
        id: "AQ-WAKE/accept",
        title: "one thread accepts when it happens to look, another waits: no child is left waiting",
        mutations: ["shardLooksEmpty"]
      ) { run in
        let world = ListenWorld(run)
        var listener = world.listen()
        var clients: [StreamSocket] = []
        for _ in 0..<2 { if case .success(let socket) = world.connect() { clients.append(socket) } }
        run.sleep(nanoseconds: 5_000_000)  // both are in the accept queue
        var accepted = 0
        run.concurrently([
          (
            "waiter",
            {
              if let listener, case .success(let child) = world.accept(listener) {
                accepted += 1; child.abort()
              }
            }
          ),
          (
            "passer-by",
            { if case .success(let child)? = listener?.tryAccept() { accepted += 1; child.abort() } }
          ),
        ])
        run.require(accepted == 2, "AQ-WAKE: \(accepted) of 2 were accepted")
        clients.forEach { $0.abort() }
        clients = []
        listener = nil
        world.finish()
      },
    ]

    static let lives: [Scenario] = [
      Scenario(
        id: "L2+L8+SO-REF", title: "one side writes and closes, the other reads and aborts, in any order",
        mutations: ["controlBlockFreedUnderSocket", "claimDroppedTwice"]
      ) { run in
        let world = ListenWorld(run)
        var listener = world.listen()
        var near = try? world.connect().get()
        var far = listener.flatMap { try? world.accept($0).get() }
        run.require(near != nil && far != nil, "no connection")
        run.concurrently([
          (
            "near",
            {
              _ = near?.writeByte(1)
              near?.close()
              near = nil
            }
          ),
          (
            "far",
            {
              _ = far?.readByte()
              far?.abort()
              _ = far?.failure
              far = nil
            }
          ),
        ])
        listener = nil
        world.finish()
      },
      Scenario(
        id: "SO-TERM",
        title: "a socket is connected, made a listener and closed at once: it becomes one thing",
        mutations: ["convertedAfterClose"]
      ) { run in
        let world = ListenWorld(run)
        var listener = world.listen()
        var socket = try? world.wait(world.sockets.makeStream()).get()
        run.require(socket != nil, "no socket")
        var connected: StreamSocket?, converted: ListeningSocket?
        var isClosed = false
        run.concurrently([
          ("connect", { connected = try? socket?.connect(to: ListenWorld.server).get() }),
          ("listen", { if let socket { converted = try? world.wait(socket.listen()).get() } }),
          (
            "close",
            {
              socket?.close()
              // What it is now, it stays: a closed socket takes no more calls.
              if let socket, case .failure(.closed) = socket.connect(to: ListenWorld.server) {
                isClosed = true
              }
            }
          ),
        ])
        let outcomes = [connected != nil, converted != nil, isClosed]
        run.require(outcomes.count { $0 } == 1, "SO-TERM: connected, listening, closed: \(outcomes)")
        connected?.abort()
        converted?.close()
        (connected, converted, socket) = (nil, nil, nil)
        run.sleep(nanoseconds: 10_000_000)
        while case .success(let child)? = listener?.tryAccept() { child.abort() }
        listener = nil
        world.finish()
      },
    ]
  }
#endif
