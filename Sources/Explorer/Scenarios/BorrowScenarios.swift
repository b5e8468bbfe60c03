#if Explore
  import Buffers
  import Devices
  import Exclusion
  import SoftInterrupts
  import Timing

  /// A device whose frames a poller tells of.
  // Sendable because all virtual threads are one thread.
  @safe private final class DescribedDevice: Device, @unchecked Sendable {
    let name = "told0"
    let mtu = 1500
    let linkLayer = LinkLayer.ip
    let queueCount = 1
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
      received += waiting.exchange(0)
      return .drained
    }
    func send(_ packet: consuming Packet, queue: Int) -> Packet? { packet }
    func flush(queue: Int) {}
    func complete(queue: Int, into completed: inout PacketQueue) {}
  }

  /// One context that runs and sleeps as it ships, and application threads that drive it while it sleeps.
  @safe private final class BorrowWorld: @unchecked Sendable {  // all virtual threads are one thread
    /// What an item asks for beside being noted.
    enum Code {
      /// Its waiter is woken.
      static let waking: UInt16 = 0
      /// A timer is armed that wakes its waiter.
      static let arming: UInt16 = 1
    }

    let run: Run
    let contexts: ExploredContexts
    private let state: UnsafeMutableRawPointer
    private let timer: TimerRef
    /// By an item's value.
    private var waiters: [WakeTarget?] = Array(repeating: nil, count: 8)
    private(set) var ran: [UInt32] = []
    private var hasStopped = false
    private(set) var device: DescribedDevice?
    static let delay: UInt64 = 2

    /// With `descriptor` the context sleeps in a poller, else at a cell.
    init(_ run: Run, descriptor: Bool = false) {
      self.run = run
      contexts = ExploredContexts(run)
      unsafe state = run.memory(byteCount: 64)
      timer = unsafe TimerRef.initialize(at: run.memory(byteCount: 64), kind: 0, owner: 0)
      contexts.set.handlers.register(ExploredContexts.work, at: .net) { [unowned self] item, cx in
        ran(item, &cx)
      }
      contexts.set.handlers.registerTimer(0) { [unowned self] _, cx in
        if let waiter = waiters[0] { cx.wake(waiter) }
      }
      if descriptor {
        device = DescribedDevice()
        do { _ = try contexts.set.addDevice(device!, interface: 1) } catch {
          preconditionFailure("a virtual descriptor was refused: \(error)")
        }
      }
      contexts.start()
    }

    /// Whoever drives the context.
    private func ran(_ item: ItemRef, _ cx: inout SoftInterrupt) {
      unsafe willOwn(state)  // keeps PCB-OWN
      run.require(!hasStopped, "RS-QUIESCE: a context runs, and it has stopped")
      ran.append(item.value)
      run.step()
      unsafe willOwn(state)
      if item.code == Code.arming {
        cx.arm(timer, at: cx.now.adding(milliseconds: Self.delay))
      } else if let waiter = waiters[Int(item.value)] {
        cx.wake(waiter)
      }
    }

    /// As `SocketLayer` does for its blocks, with `.drive`.
    func submit(_ item: ItemRef) {
      let isRun = contexts.set.asBorrower(of: 0) { cx in ran(item, &cx) }
      if !isRun { contexts.set.port(0).post(item) }
    }
    func item(_ value: Int, code: UInt16 = Code.waking) -> ItemRef {
      let item = contexts.item(ExploredContexts.work, value: value)
      item.code = code
      return item
    }
    /// As a blocked call: drives the context as long as it waits.
    private func wait(_ parker: borrowing Parker) {
      _ = contexts.set.attend(0, parker, untilNanoseconds: .max)
      withApplication { held in while !parker.park(&held) {} }
    }
    private var parker: Parker { Parker(driving: contexts.set.port(0)) }

    /// A thread that submits items and waits for each.
    func program(_ values: Range<Int>, code: UInt16 = Code.waking) -> (name: String, body: () -> Void) {
      let items = values.map { item($0, code: code) }
      return (
        "program \(values.lowerBound)",
        { [self] in
          let parker = parker
          for item in items {
            waiters[Int(item.value)] = parker.wakeTarget
            submit(item)
            wait(parker)
          }
        }
      )
    }
    /// A thread that waits to be woken as number `value` by whoever does that.
    func waiter(_ value: Int) -> (name: String, body: () -> Void) {
      (
        "waiter \(value)",
        { [self] in
          let parker = parker
          waiters[value] = parker.wakeTarget
          wait(parker)
        }
      )
    }
    /// A thread that posts items when their waiters are known.
    func poster(_ values: Range<Int>) -> (name: String, body: () -> Void) {
      let items = values.map { item($0) }
      return (
        "poster",
        { [self] in
          for item in items {
            run.wait { waiters[Int(item.value)] != nil }
            contexts.set.port(0).post(item)
          }
        }
      )
    }
    /// Wakes a waiter past all contexts.
    func wakeFromElsewhere(_ value: Int) {
      run.wait { waiters[value] != nil }
      guard let target = waiters[value] else { return }
      withApplication { held in wake(target, &held) }
    }
    /// Frames come, one at a time.
    func link(_ count: Int) -> (name: String, body: () -> Void) {
      ("link", { [self] in for _ in 0..<count { device?.arrive() } })
    }
    func stop() {
      contexts.set.stop()
      hasStopped = true
    }
    func finish() { if !hasStopped { contexts.finish() } }
  }

  extension Catalogue {
    static let borrowing: [Scenario] = [
      Scenario(
        id: "PCB-POST/borrower",
        title: "programs drive a context that sleeps, or leave it what they have, and wait for it",
        mutations: ["contextBorrowedTwice", "loanEndedByStore"]
      ) { run in
        let world = BorrowWorld(run)
        run.concurrently([world.program(0..<2), world.program(2..<4), world.program(4..<5)])
        run.require(world.ran.sorted() == [0, 1, 2, 3, 4], "PCB-POST: \(world.ran) ran")
        world.finish()
      },
      Scenario(
        id: "RX-MISSED/borrower", title: "something is posted to a context whose borrower goes to sleep",
        mutations: ["borrowerSleepsUnseen", "loanEndedByStore"]
      ) { run in
        let world = BorrowWorld(run)
        run.concurrently([world.waiter(0), world.waiter(1), world.poster(0..<2)])
        run.require(world.ran == [0, 1], "PCB-POST: \(world.ran) ran")
        world.finish()
      },
      Scenario(
        id: "R3/borrower",
        title: "frames and posts come to a context in its poller, while programs drive it and leave",
        mutations: ["ownThreadKeepsWhatItIsTold"]
      ) { run in
        let world = BorrowWorld(run, descriptor: true)
        run.concurrently([
          world.waiter(0), world.waiter(1), world.program(2..<4), world.poster(0..<2), world.link(3),
        ])
        for _ in 0..<8 where world.device?.received != 3 { run.sleep(nanoseconds: 1_000_000) }
        run.require(
          world.device?.received == 3, "R3: \(world.device?.received ?? 0) of 3 frames were received")
        run.require(world.ran.sorted() == [0, 1, 2, 3], "PCB-POST: \(world.ran) ran")
        world.finish()
      },
      Scenario(
        id: "W6/borrower", title: "what a borrower waits for comes from elsewhere while it goes to sleep",
        mutations: ["borrowerNotRoused"]
      ) { run in
        let world = BorrowWorld(run)
        run.concurrently([world.waiter(0), ("elsewhere", { world.wakeFromElsewhere(0) })])
        world.finish()
      },
      Scenario(
        id: "TM-OWNER/borrower",
        title: "a borrower arms a timer and leaves; the context's own thread wakes at it",
        timePasses: true, mutations: ["loanForgetsDeadline", "ownThreadIgnoresBorrower"]
      ) { run in
        let world = BorrowWorld(run)
        run.concurrently([
          world.program(0..<1, code: BorrowWorld.Code.arming), world.program(1..<4),
          ("time", { run.sleep(nanoseconds: (BorrowWorld.delay + 1) * 1_000_000) }),
        ])
        world.finish()
      },
      Scenario(
        id: "RS-QUIESCE/borrower", title: "a context stops while an application thread drives it",
        mutations: ["loanEndedWithoutKick"]
      ) { run in
        let world = BorrowWorld(run)
        run.concurrently([
          world.waiter(0), world.program(1..<2),
          (
            "stopper",
            {
              run.wait { world.ran.contains(1) }
              world.stop()
              world.wakeFromElsewhere(0)
            }
          ),
        ])
        world.finish()
      },
    ]
  }
#endif
