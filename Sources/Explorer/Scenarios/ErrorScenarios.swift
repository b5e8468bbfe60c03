#if Explore
  import Buffers
  import Devices
  import Exclusion
  import Internet
  import Sockets
  import SoftInterrupts
  import TCP
  import Timing
  import Wire

  /// A link whose far end refuses the first SYN with an ICMP error, which comes in by the other queue than the
  /// SYN left by, and therefore in another context; and is silent from then on.
  private final class RefusingDevice: Device, @unchecked Sendable {  // one virtual thread runs at a time
    let name = "refusing0"
    let mtu = 1500
    let linkLayer = LinkLayer.ip
    let queueCount = 2
    let isSerialLine = false
    private let numbers = [DeviceCounters(), DeviceCounters()]
    private var signals: [ReceiveSignalRef?] = [nil, nil]
    private var answers: [[[UInt8]]] = [[], []]
    private var done: [ItemRef] = []
    private var isRaised = true
    private var hasRefused = false

    func counters(queue: Int) -> DeviceCounters { numbers[queue] }
    func descriptor(queue: Int) -> Int32? { nil }
    func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {
      signals[queue] = receive
    }

    func receive(
      queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
    ) -> ReceiveOutcome {
      while let answer = answers[queue].first {
        answers[queue].removeFirst()
        guard var packet = pool.allocate() else { return .drained }
        packet.append(answer.count)
        unsafe packet.withUnsafeMutableBytes { unsafe $0.copyBytes(from: answer) }
        packet.metadata.arrival = now
        batch.append(packet)
      }
      return .drained
    }

    func send(_ packet: consuming Packet, queue: Int) -> Packet? {
      let bytes = unsafe packet.withUnsafeBytes { unsafe [UInt8]($0) }
      if !hasRefused, let answer = Self.answer(to: bytes) {
        hasRefused = true
        answers[1 - queue].append(answer)
        isRaised = false
      }
      done.append(packet.intoItem())
      return nil
    }
    func flush(queue: Int) {
      if !isRaised {
        isRaised = true
        signals[1 - queue]?.raise()
      }
    }
    func complete(queue: Int, into completed: inout PacketQueue) {
      let items = done
      done = []
      for item in items { completed.append(Packet(item: item)) }
    }

    /// Port unreachable, about a SYN.
    private static func answer(to sent: [UInt8]) -> [UInt8]? {
      guard sent.count >= 40, sent[9] == 6, sent[33] & 2 != 0 else { return nil }
      func address(_ at: Int) -> IPv4Address {
        IPv4Address(sent[at], sent[at + 1], sent[at + 2], sent[at + 3])
      }
      let header = IPv4Header(
        source: address(16), destination: address(12), protocol: .icmpv4, payloadByteCount: 8 + 28)
      var made = [UInt8](repeating: 0, count: 20 + 8) + sent[..<28]
      unsafe made.withUnsafeMutableBytes { bytes in
        guard let base = bytes.baseAddress else { return }
        var packet = unsafe MutableRawSpan(_unsafeStart: base, byteCount: 20)
        header.emit(into: &packet)
        var message = unsafe MutableRawSpan(_unsafeStart: base + 20, byteCount: 36)
        ICMPv4Message.destinationUnreachable(code: ICMPv4Message.Unreachable.port, nextHopMTU: 0)
          .emit(into: &message)
      }
      return made
    }
  }

  /// A stack of two contexts at a link that refuses, and a program that connects.
  private final class RefusedWorld: @unchecked Sendable {  // its parts are shared as they are in a program
    let run: Run
    private var contexts: ContextSet?
    private var internet: InternetLayer?
    private var sockets: SocketLayer?

    init(_ run: Run) throws {
      self.run = run
      nonisolated(unsafe) let maker = run  // called on virtual threads, one at a time
      let contexts = try ContextSet(
        ContextConfiguration(
          contexts: 2, packetLimit: 256, timeSource: run.clock,
          makePoller: { _ in unsafe maker.makePoller() }))
      let internet = InternetLayer(contexts: contexts, configuration: InternetConfiguration(seed: 1))
      var configuration = SocketConfiguration()
      configuration.seed = 1
      configuration.connectionLimit = 16
      configuration.applicationPackets = 16
      configuration.applicationChunks = 16
      sockets = SocketLayer(contexts: contexts, internet: internet, configuration: configuration)
      let link = try internet.addInterface(InterfaceDescription(device: RefusingDevice()))
      try internet.configure { tables in
        try tables.addAddress(
          InterfaceAddress(IPPrefix(IPAddress(IPv4Address(10, 0, 0, 1)), length: 24)!, interface: link))
      }
      try contexts.start()
      (self.contexts, self.internet) = (contexts, internet)
    }

    func connect() {
      let remote = SocketAddress(IPAddress(IPv4Address(10, 0, 0, 2)), port: 80)
      guard let answer = sockets?.connect(to: remote) else { return }
      sleep(at: answer.point) { answer.isReady }
      guard let client = try? answer.take()?.get() else { return run.require(false, "no socket was made") }
      client.setNoDelay(true)
      sleep(at: client.writePoint, need: 0) { client.isWritable(need: 0) }
      run.require(
        client.failure == .connectionRefused,
        "connect ended with \(client.failure.map { "\($0)" } ?? "success")")
      client.close()
    }

    private func sleep(at point: WaitPoint, need: UInt32 = 1, _ isReady: () -> Bool) {
      let parker = Parker()
      while !isReady() {
        let ticket = point.waiter.publish(need: need, parker.wakeTarget)
        if isReady(), point.waiter.retract(ticket) { continue }
        withApplication { held in while !parker.park(&held) {} }
        point.waiter.finish(ticket)
        run.require(isReady(), "SB-EXACT: woken for nothing")
      }
    }

    /// Stops the contexts, runs what they left, and lets go of the layers, those above first.
    func finish() {
      guard let contexts else { return }
      contexts.stop()
      let scheduler = ManualScheduler(clock: VirtualClock())
      scheduler.add(contexts)
      scheduler.settle()
      run.require(sockets?.memoryStatistics().total == 0, "memory is left in the account")
      (sockets, internet, self.contexts) = (nil, nil, nil)
    }
  }

  extension Catalogue {
    static let errors: [Scenario] = [
      Scenario(
        id: "L7",
        title:
          "an ICMP error about a SYN comes in another context than the connection's, which is busy with it",
        mutations: ["networkErrorRunsInPlace", "networkErrorStoredAfterPosting"]
      ) { run in
        guard let world = try? RefusedWorld(run) else { return run.require(false, "no stack") }
        run.concurrently([("application", { world.connect() })])
        world.finish()
      }
    ]
  }
#endif
