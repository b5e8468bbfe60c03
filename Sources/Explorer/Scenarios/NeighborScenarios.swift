#if Explore
  import Buffers
  import Devices
  import Exclusion
  import Internet
  import SoftInterrupts
  import Timing
  import Wire

  /// A stack up to the network layer, on virtual threads and one link.
  @safe private struct Station {
    let contexts: ContextSet
    let layer: InternetLayer
    let link: UInt16
    let address: IPAddress

    init(_ run: Run, _ number: Int, _ end: LinkEnd, contexts count: Int) {
      let clock = run.clock
      nonisolated(unsafe) let run = run  // all virtual threads are one thread
      address = IPAddress(IPv4Address(10, 0, 0, UInt8(number)))
      do {
        contexts = try ContextSet(
          ContextConfiguration(contexts: count, packetLimit: 512, timeSource: clock) { _ in
            unsafe run.makePoller()
          })
        layer = InternetLayer(contexts: contexts, configuration: InternetConfiguration(seed: UInt64(number)))
        link = try layer.addInterface(InterfaceDescription(device: end))
        let own = InterfaceAddress(IPPrefix(address, length: 24)!, interface: link)
        try layer.configure { tables throws(NetworkChangeError) in try tables.addAddress(own) }
      } catch {
        preconditionFailure("a virtual stack is refused nothing: \(error)")
      }
    }

    func start() {
      do { try contexts.start() } catch { preconditionFailure("a virtual thread is never refused: \(error)") }
    }
    /// A datagram of one byte, from context `index`.
    func send(_ byte: UInt8, to target: IPAddress, on index: Int) {
      let (layer, source) = (layer, address)
      contexts.perform(on: index) { cx in
        guard var packet = cx.pool.allocate() else { return }
        packet.append(1)
        var span = packet.mutableBytes
        span.set(byte, at: 0)
        _ = layer.send(packet, from: source, to: target, protocol: .udp, &cx)
      }
    }
    func stop() {
      layer.forgetNeighbors()
      contexts.stop()
      // What the last pass retired, and what others freed since.
      let scheduler = ManualScheduler(clock: VirtualClock())
      scheduler.add(contexts)
      scheduler.settle()
    }
  }

  private func wire(queues: Int) -> LinkPair {
    LinkPair(
      left: .ethernet(MACAddress(0x02_0000_0000_01)), right: .ethernet(MACAddress(0x02_0000_0000_02)),
      queues: queues, ringSlots: 16)
  }

  /// What arrived, in order.
  private final class Arrivals: @unchecked Sendable {  // all virtual threads are one thread
    var bytes: [UInt8] = []
  }

  extension Catalogue {
    static let neighbors: [Scenario] = [
      Scenario(
        id: "NB-PEND", title: "packets of one context, before, while and after their neighbour answers",
        mutations: ["neighborPendingNotLookedAt", "neighborPendingTakenOffFirst"]
      ) { run in
        pending(run, count: 14)
      },
      Scenario(
        id: "NB-PEND/strangers",
        title: "a packet is on its way to where its neighbour was unknown, when the neighbour says who it is",
        mutations: ["neighborStrangersNotLookedAt"]
      ) { run in
        pending(run, count: 2) { left, right in
          // Asks for the left station first, which learns of the right one by that.
          [("neighbour", { right.send(9, to: left.address, on: 0) })]
        }
      },
      Scenario(
        id: "RT-ORDER", title: "an address with its link comes and goes while somebody looks for routes",
        mutations: ["routePublishedBeforeAddress"]
      ) { run in
        let pair = wire(queues: 1)
        let station = Station(run, 1, pair.left, contexts: 1)
        let added = InterfaceAddress(IPPrefix("192.168.7.1/24")!, interface: station.link)
        let target = IPAddress("192.168.7.9")!
        station.start()
        let (layer, contexts) = (station.layer, station.contexts)
        run.concurrently([
          (
            "control",
            {
              contexts.perform(on: 0) { cx in
                try? cx.internet.change(&cx) { tables throws(NetworkChangeError) in
                  try tables.addAddress(added)
                }
              }
            }
          ),
          (
            "reader",
            {
              for _ in 0..<4 {
                let route = contexts.grace.withPin { layer.route(to: target) }
                guard let route else { continue }
                run.require(route.source == added.address, "a route there, and from \(route.source)")
              }
            }
          ),
        ])
        run.require(contexts.grace.withPin { layer.route(to: target) } != nil, "no route in the end")
        station.stop()
        withExtendedLifetime(station) { pair.loseFrames() }
      },
      Scenario(
        id: "RT-GEN", title: "a route is kept while the tables change",
        mutations: ["routeGenerationNotCompared"]
      ) { run in
        let pair = wire(queues: 1)
        let station = Station(run, 1, pair.left, contexts: 1)
        let target = IPAddress("10.0.0.77")!
        station.start()
        let (layer, contexts, link) = (station.layer, station.contexts, station.link)
        let kept = contexts.grace.withPin { layer.route(to: target) }
        let isChanged = SharedCounter.Shared()
        run.concurrently([
          (
            "control",
            {
              contexts.perform(on: 0) { cx in
                try? cx.internet.change(&cx) { tables throws(NetworkChangeError) in
                  try tables.addRoute(
                    Route(to: IPPrefix("10.0.0.77/32")!, interface: link, gateway: IPAddress("10.0.0.9")!))
                }
                isChanged.word.store(1)
              }
            }
          ),
          (
            "reader",
            {
              for _ in 0..<3 {
                let wasChanged = isChanged.word.load() != 0
                guard let kept, layer.isCurrent(kept) else { continue }
                run.require(!wasChanged, "a route is taken for current that is not")
              }
            }
          ),
        ])
        if let kept { run.require(!layer.isCurrent(kept), "the kept route is current in the end") }
        station.stop()
        withExtendedLifetime(station) { pair.loseFrames() }
      },
    ]

    /// Context 0 of the left station, whose cache of interface 1 lives on context 1, sends numbers, which arrive in
    /// order.
    private static func pending(
      _ run: Run, count: UInt8,
      _ others: (_ left: Station, _ right: Station) -> [(name: String, body: () -> Void)] = { _, _ in [] }
    ) {
      let pair = wire(queues: 2)
      let left = Station(run, 1, pair.left, contexts: 2)
      let right = Station(run, 2, pair.right, contexts: 1)
      let arrivals = Arrivals()
      right.layer.setTransport(
        TransportHandler(receive: { packet, _ in arrivals.bytes.append(packet.bytes.uint8(at: 0)) }),
        for: .udp)
      left.layer.setTransport(TransportHandler(receive: { _, _ in }), for: .udp)
      left.start()
      right.start()
      run.concurrently(
        [("sender", { for byte in 0..<count { left.send(byte, to: right.address, on: 0) } })]
          + others(left, right))
      run.require(arrivals.bytes == Array(0..<count), "NB-PEND: arrived: \(arrivals.bytes)")
      left.stop()
      right.stop()
      withExtendedLifetime((left, right)) { pair.loseFrames() }
    }
  }

  extension SharedCounter {
    /// A word that closures can share.
    fileprivate final class Shared: Sendable {
      let word = AtomicWord(0)
    }
  }
#endif
