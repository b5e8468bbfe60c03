#if Explore
  import Buffers
  import Devices
  import Exclusion
  import SoftInterrupts
  import Timing

  /// A device whose frames a poller tells of, once, and that finds out by a call that there are no more.
  // Sendable because all virtual threads are one thread.
  @safe private final class CalledDevice: Device, @unchecked Sendable {
    let name = "called0"
    let mtu = 1500
    let linkLayer = LinkLayer.ip
    let queueCount = 1
    let isEmptyByCall = true
    private let own = DeviceCounters()
    private let kick: KickDescriptor
    private let waiting = AtomicWord(0)
    private(set) var received: UInt64 = 0

    init() {
      do { kick = try KickDescriptor() } catch {
        preconditionFailure("a virtual descriptor was refused: \(error)")
      }
    }
    func arrive() {
      waiting.add(1)
      kick.kick()
    }
    func counters(queue: Int) -> DeviceCounters { own }
    func descriptor(queue: Int) -> Int32? { kick.descriptor }
    func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {}
    func receive(
      queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
    ) -> ReceiveOutcome {
      for _ in 0..<limit {
        guard waiting.load() > 0 else { return .drained }
        waiting.subtract(1)
        received += 1
        guard var packet = pool.allocate() else { continue }
        packet.append(1)
        batch.append(packet)
      }
      return .more
    }
    func send(_ packet: consuming Packet, queue: Int) -> Packet? { packet }
    func flush(queue: Int) {}
    func complete(queue: Int, into completed: inout PacketQueue) {}
  }

  extension Catalogue {
    /// Links that are read a frame at a time.
    static let lone: [Scenario] = [
      Scenario(
        id: "R3/lone",
        title: "frames come alone, then together, to a context that puts a read off, and that others drive",
        mutations: ["putOffReadForgotten"]
      ) { run in
        let contexts = ExploredContexts(run)
        let device = CalledDevice()
        do { _ = try contexts.set.addDevice(device, interface: 1) } catch {
          preconditionFailure("a virtual descriptor was refused: \(error)")
        }
        contexts.set.handlers.registerReceive { batch, _, _ in
          while let packet = batch.popFirst() { _ = consume packet }
        }
        contexts.set.handlers.register(ExploredContexts.work, at: .net) { _, _ in }
        contexts.start()
        let items = (0..<2).map { contexts.item(ExploredContexts.work, value: $0) }
        run.concurrently([
          ("link", { for _ in 0..<5 { device.arrive() } }),
          ("poster", { contexts.set.port(0).post(items[0]) }),
          (
            "program",
            {
              let isRun = contexts.set.asBorrower(of: 0) { _ in run.step() }
              if !isRun { contexts.set.port(0).post(items[1]) }
            }
          ),
        ])
        for _ in 0..<8 where device.received != 5 { run.sleep(nanoseconds: 1_000_000) }
        run.require(device.received == 5, "R3: \(device.received) of 5 frames were received")
        contexts.finish()
      }
    ]
  }
#endif
