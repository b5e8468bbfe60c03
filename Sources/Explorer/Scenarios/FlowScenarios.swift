#if Explore
  import Devices
  import Exclusion
  import Internet
  import SoftInterrupts
  import Sockets
  import Timing
  import Wire

  /// A stack of two contexts, with loopback and a link whose far end nobody serves.
  @safe private final class FlowWorld: @unchecked Sendable {  // all virtual threads are one thread
    static let seed: UInt64 = 1
    static let near = IPAddress(IPv4Address(10, 0, 0, 1)), far = IPAddress(IPv4Address(10, 0, 0, 2))
    let run: Run
    let contexts: ExploredContexts
    let sockets: SocketLayer
    private let internet: InternetLayer
    private let link = LinkPair(left: .ip, right: .ip, queues: 2, ringSlots: 64)

    init(_ run: Run, steering: ReceiveSteering = .home) {
      self.run = run
      contexts = ExploredContexts(run, contexts: 2) {
        $0.steering = steering
        $0.budgets.turn = 1
        $0.budgets.net = LevelBudget(items: 2, time: 1_000_000)
      }
      internet = InternetLayer(
        contexts: contexts.set, configuration: InternetConfiguration(seed: Self.seed))
      var configuration = SocketConfiguration()
      configuration.seed = Self.seed
      configuration.connectionLimit = 8
      configuration.applicationPackets = 8
      configuration.applicationChunks = 16
      sockets = SocketLayer(contexts: contexts.set, internet: internet, configuration: configuration)
      do {
        let loopback = try internet.addInterface(
          InterfaceDescription(device: LoopbackDevice(queues: 2, ringSlots: 64), isLoopback: true))
        let outside = try internet.addInterface(InterfaceDescription(device: link.left))
        try internet.configure { tables in
          try tables.addAddress(
            InterfaceAddress(IPPrefix(IPAddress(IPv4Address.loopback), length: 8)!, interface: loopback))
          try tables.addAddress(InterfaceAddress(IPPrefix(Self.near, length: 24)!, interface: outside))
        }
      } catch {
        preconditionFailure("two links without descriptors: \(error)")
      }
      contexts.start()
    }

    func wait<Value, Failure: Error>(_ answer: Answer<Result<Value, Failure>>) -> Value? {
      run.wait { answer.isReady }
      guard case .success(let value)? = answer.take() else { return nil }
      return value
    }

    private static func home(_ local: SocketAddress, _ remote: SocketAddress) -> Int {
      let key = FlowKey(
        localAddress: local.address, localPort: local.port, remoteAddress: remote.address,
        remotePort: remote.port)
      return Int(key.hash(HashKey(seed: seed)) >> 32) % 2
    }
    /// Where to connect from, so that `home` is the home of a flow to `remote`, and not that of the flow back.
    func local(_ address: IPAddress, to remote: SocketAddress, home: Int) -> SocketAddress {
      for port in UInt16(40_000)... {
        let local = SocketAddress(address, port: port)
        if Self.home(local, remote) == home, Self.home(remote, local) != home { return local }
      }
      preconditionFailure("no port has these homes")
    }

    /// Both ends of a connection over loopback. `isApart`: the near one at home on context 0, the far one on 1.
    private func connection(isApart: Bool) -> (
      near: StreamSocket, far: StreamSocket, listener: ListeningSocket
    )? {
      let host = IPAddress(IPv4Address.loopback)
      let address = SocketAddress(host, port: 7)
      let from = isApart ? local(host, to: address, home: 0) : nil
      guard let listener = wait(sockets.listen(on: address)),
        let near = wait(sockets.connect(to: address, from: from))
      else { return nil }
      var far: StreamSocket?
      run.wait {
        if far == nil { far = try? listener.tryAccept().get() }
        return far != nil && near.isConnected
      }
      return far.map { (near, $0, listener) }
    }

    /// Runs `body` with both ends of a connection, which then ends.
    func withConnection(isApart: Bool = true, _ body: (_ near: StreamSocket, _ far: StreamSocket) -> Void) {
      guard let (near, far, listener) = connection(isApart: isApart) else {
        return run.require(false, "no connection was made")
      }
      near.setNoDelay(true)
      body(near, far)
      near.abort()
      far.abort()
      listener.close()
    }

    /// Segments sent again so far.
    var retransmitted: UInt64 {
      (0..<2).reduce(0) { sum, index in sum + sockets.withCounters(index) { $0.segmentsRetransmitted.value } }
    }
    /// Every connection gone, no timer left, no packet out.
    func expectNothingLeft() {
      // Retired slots come back when contexts have looked for them, which they do once in a millisecond.
      for _ in 0..<200 where connections > 0 { run.sleep(nanoseconds: 1_000_000) }
      run.require(connections == 0, "SO-REF: \(connections) connections are left")
      // The timer of half-open connections is left to expire: it finds nothing.
      for _ in 0..<40 where timers > 0 { run.sleep(nanoseconds: 100_000_000) }
      run.require(timers == 0, "TM-REF: \(timers) timers of connections that are gone are armed")
      contexts.finish()
      link.loseFrames()
    }
    private var timers: UInt64 { (0..<2).reduce(0) { $0 + contexts.set.counters($1).timersArmed.value } }
    private var connections: Int { (0..<2).reduce(0) { $0 + sockets.connectionsInUse($1) } }
  }

  extension StreamSocket {
    fileprivate func write(_ byte: UInt8) -> Bool {
      var byte = byte
      return unsafe withUnsafeBytes(of: &byte) { unsafe tryWrite($0) } == .bytes(1)
    }
    fileprivate func read() -> UInt8? {
      var byte: UInt8 = 0
      return unsafe withUnsafeMutableBytes(of: &byte) { unsafe tryRead(into: $0) } == .bytes(1) ? byte : nil
    }
  }

  extension Catalogue {
    static let flows: [Scenario] = [
      Scenario(
        id: "T2", title: "a retransmission timer fires for a connection that is being aborted and freed",
        timePasses: true, mutations: ["timerLeftOnWheel"]
      ) { run in
        let world = FlowWorld(run)
        var socket = world.wait(world.sockets.connect(to: SocketAddress(FlowWorld.far, port: 7)))
        run.require(socket != nil, "no connection was begun")
        run.concurrently([
          (
            "closer",
            {
              socket?.abort()
              socket = nil
            }
          ),
          ("time", { run.sleep(nanoseconds: 1_100_000_000) }),
        ])
        world.expectNothingLeft()
      },
      Scenario(
        id: "TM-OWNER", title: "a timer fires at home while another context is inside the connection",
        timePasses: true, mutations: ["timerRunsWithoutEntering", "timerArmedAway"]
      ) { run in
        let world = FlowWorld(run, steering: .none)
        world.withConnection { near, far in
          // What near sends is received where near is; far acknowledges after 40 ms at its home.
          run.concurrently([
            (
              "writer",
              {
                for value in UInt8(0)..<3 {
                  run.require(near.write(value), "a byte was refused")
                  run.sleep(nanoseconds: 40_000_000)
                }
              }
            )
          ])
        }
        world.expectNothingLeft()
      },
      Scenario(
        id: "TM-STALE",
        title: "a timer that was armed for data acknowledged since fires when more has just been sent",
        timePasses: true, mutations: ["timerBelieved"]
      ) { run in
        let world = FlowWorld(run, steering: .none)
        world.withConnection { near, far in
          // Acknowledged at once or soon; the timer is left for 201 ms.
          run.require(near.write(0), "a byte was refused")
          run.sleep(nanoseconds: 200_000_000)
          let (before, written) = (world.retransmitted, run.clock.now())
          run.concurrently([
            ("writer", { run.require(near.write(1), "a byte was refused") }),
            ("time", { run.sleep(nanoseconds: 1_000_000) }),
          ])
          run.require(
            world.retransmitted == before || run.clock.now() - written >= .milliseconds(200),
            "TM-STALE: sent again by the timer of what was acknowledged")
        }
        world.expectNothingLeft()
      },
      Scenario(
        id: "TM-REF",
        title: "a connection whose timer is armed at home ends there, or where its last segment came in",
        timePasses: true, mutations: ["timerLeftOnWheel", "timerCancelledAway"]
      ) { run in
        let world = FlowWorld(run, steering: .none)
        world.withConnection { near, far in
          run.concurrently([
            ("writer", { for value in UInt8(0)..<2 { _ = near.write(value) } }),
            ("near", { near.abort() }),
            ("far", { for value in UInt8(0)..<2 { _ = far.write(value) } }),
          ])
        }
        world.expectNothingLeft()
      },
      Scenario(
        id: "PCB-MOVE", title: "a connection moves there and back while segments are on their way to it",
        mutations: ["moveIgnoresUnderWay"]
      ) { run in
        let world = FlowWorld(run)
        world.withConnection(isApart: false) { near, far in
          run.concurrently([
            (
              "writer", { for value in UInt8(0)..<4 { run.require(near.write(value), "a byte was refused") } }
            ),
            (
              "mover",
              {
                for target in [0, 1, 0, 1, 0] {
                  let answer = world.sockets.move(far, to: target)
                  run.wait { answer.isReady }
                }
              }
            ),
          ])
          var bytes: [UInt8] = []
          run.wait {
            if let byte = far.read() { bytes.append(byte) }
            return bytes.count == 4
          }
          run.require(bytes == [0, 1, 2, 3], "RX-ORDER: \(bytes)")
        }
        world.expectNothingLeft()
      },
    ]
  }
#endif
