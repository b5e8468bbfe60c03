#if Explore
  import Buffers
  import DeviceTesting
  import Devices
  import Exclusion
  import Timing

  /// A transmit queue of a scripted device: its home's thread, contexts that send, and hardware that completes.
  @safe
  final class TransmitWorld {
    static let queueKind = WorkKind(rawValue: 3)
    static let noticeKind = WorkKind(rawValue: 4)
    let run: Run
    let home: BareContext
    let sources: [ContextCoreRef]
    let device: ScriptedDevice
    let queue: TransmitQueueRef
    let signal: ReceiveSignalRef
    /// Home frees what is done at the end of its passes; else it keeps it.
    var homeFinishes = true
    private let slots: Int
    private var packets: SlotPool?
    private let batches: UnsafeMutablePointer<TransmitBatch>
    private let each: Int
    /// Ends home's hold of this world.
    private var lets: () -> Void = {}
    /// Packets that wait for the test's sources, by source.
    private var ready: [[ItemRef]]

    init(
      _ run: Run, _ kind: TransmitSerialization, completion: TransmitCompletion = .later, slots: Int,
      sources count: Int, each: Int, isPrivate: Bool = false
    ) {
      self.run = run
      self.slots = slots
      self.each = each
      device = ScriptedDevice(kind, completion: completion, slots: slots)
      var world: TransmitWorld?
      home = BareContext(run, index: 0) { item, cx in
        switch item.kind {
        case Self.queueKind: unsafe GateRef<TransmitQueue>(item.raw).resume(budget: 4, &cx)
        case Self.noticeKind: TransmitQueueRef.of(notice: item).noticed()
        default: break
        }
        if world?.homeFinishes ?? true { cx.finishTransmission() }
      }
      let sources = (1...count).map { BareContext.core($0, .counted) }
      self.sources = sources
      unsafe batches = .allocate(capacity: count + 1)
      for (index, core) in ([home.core] + sources).enumerated() {
        unsafe (batches + index).initialize(to: TransmitBatch())
        unsafe core.attach(UnsafeMutableRawPointer(batches + index), .devices)
      }
      queue = TransmitQueueRef.make(
        device: device, queue: 0, kind: Self.queueKind, notice: Self.noticeKind, isPrivate: isPrivate,
        home: home.core.port, TransmitConfiguration(byteLimit: ByteLimitParameters(maximum: 0)))
      signal = ReceiveSignalRef.make(kind: WorkKind(rawValue: 2), source: 0, port: home.core.port)
      device.attach(queue: 0, receive: signal, transmit: queue)
      packets = SlotPool(slotBytes: Packet.occupied, slotsPerSlab: count * each, limit: count * each)
      ready = []
      for source in 0..<count {
        ready.append((0..<each).map { packet(UInt8(source * 16 + $0)) })
      }
      world = self
      lets = { world = nil }
    }

    /// Sources that send all they have, and hardware that completes so often meanwhile.
    static func explore(
      _ run: Run, _ kind: TransmitSerialization, slots: Int, sources: Int = 2, each: Int, completions: Int
    ) {
      let world = TransmitWorld(run, kind, slots: slots, sources: sources, each: each)
      run.concurrently((0..<sources).map { world.source($0) } + [world.hardware(completions)])
      world.finish()
    }

    private func packet(_ mark: UInt8) -> ItemRef {
      guard let item = packets?.ref.allocate() else {
        preconditionFailure("the scenario's pool is too small")
      }
      var packet = Packet(item: item)
      packet.reset()
      packet.append(1)
      var span = packet.mutableBytes
      span.set(mark, at: 0)
      return packet.intoItem()
    }

    /// Puts all packets on one account.
    func charge(_ credit: PacketCreditRef) {
      for item in ready.joined() {
        var packet = Packet(item: item)
        packet.credit = credit
        credit.take(packet.charge)
        _ = packet.intoItem()
      }
    }

    /// Sends its packets, one in each pass; `look` is called before and after the end of each.
    func source(
      _ number: Int, _ look: @escaping (_ isFinished: Bool) -> Void = { _ in }
    ) -> (name: String, body: () -> Void) {
      (
        "source \(number)",
        { [self] in
          for item in ready[number] {
            asContext(sources[number]) { cx in
              queue.send(Packet(item: item), &cx)
              look(false)
              cx.finishTransmission()
              look(true)
            }
          }
        }
      )
    }

    /// One pass of a source's context; `body` gets what sends its packet of that number, or another source's.
    func pass(_ number: Int, _ body: (_ send: (_ source: Int, _ packet: Int) -> Void) -> Void) {
      asContext(sources[number]) { cx in
        body { source, packet in queue.send(Packet(item: ready[source][packet]), &cx) }
        cx.finishTransmission()
      }
    }

    /// Completes a frame at a time, as long as there are some, but does not wait for any.
    func hardware(_ attempts: Int) -> (name: String, body: () -> Void) {
      (
        "hardware",
        { [self] in for _ in 0..<attempts { device.completes(1) } }
      )
    }

    /// Everybody rests: nothing may stand that nobody will ever move. Then the hardware does the rest.
    func finish() {
      rest()
      if !queue.isWaiting { queue.roomAppeared() }  // home collects what it has kept
      rest()
      run.require(!(queue.isWaiting && !queue.isStopped), "TX-STRAND: packets wait, and the queue runs")
      run.require(
        !(queue.isStopped && device.inRing < slots), "TX-STOP: the queue is stopped, and there is room")
      for _ in 0..<(sources.count * each) where device.completes(1) > 0 { rest() }
      // What a device is done with at once is fetched with the next packets; there are none.
      asContext(sources[0]) { cx in
        queue.timedOut(&cx)
        cx.finishTransmission()
      }
      for number in sources.indices {
        let seen = device.wire.filter { Int($0) / 16 == number }
        let sent = (0..<each).map { UInt8(number * 16 + $0) }
        run.require(seen == sent, "TX-BUSY: source \(number) sent \(sent), and \(seen) left")
      }
      run.require(
        queue.counters.busyWhileRunning.value == 0, "TX-BUSY: reported, and there was nothing to report")
      let left = packets?.ref.inUse ?? 0
      run.require(left == 0, "TX-OWN: \(left) packets are left")
      packets = nil  // the threads' closures keep this world beyond its end
      home.finish()
      lets()
      queue.destroy()
      signal.destroy()
      for core in sources { core.destroy() }
      unsafe batches.deinitialize(count: sources.count + 1)
      unsafe batches.deallocate()
    }

    /// Until home sleeps with nothing to do.
    private func rest() {
      let port = home.core.port
      run.wait(until: { port.isIdle })
    }
  }
#endif
