#if Explore
  import Buffers
  import Exclusion
  import Sockets

  /// A receive queue between its owner, who appends small payloads, and its reader, who is always at the end.
  @safe private final class ReceiveWorld: @unchecked Sendable {  // each half is one virtual thread's
    let run: Run
    let pool: UnsafeMutablePointer<PacketPool>
    let queue: ExploredReceiveQueue
    /// What the owner appends, by length: packets one by one, and several in a row.
    let sizes: [[Int]]
    private var total: Int { sizes.joined().reduce(0, +) }
    /// Memory that was posted, less what either side freed.
    let charged = AtomicWord(0)

    init(_ run: Run, sizes: [[Int]]) {
      self.run = run
      self.sizes = sizes
      unsafe pool = .allocate(capacity: 1)
      unsafe pool.initialize(to: PacketPool(limit: 16, reserve: 0))
      queue = unsafe ExploredReceiveQueue(run.memory(byteCount: 256))
    }

    func own() {
      var at = 0
      for row in sizes {
        var packets = PacketQueue()
        for size in row {
          guard let packet = packet(size, from: at) else { return run.require(false, "the pool is empty") }
          packets.append(packet)
          at += size
        }
        let grown: Int
        if packets.count == 1, let packet = packets.popFirst() {
          grown = queue.append(packet)
        } else {
          grown = queue.append(full: &packets)
        }
        charged.add(UInt64(bitPattern: Int64(grown)))
      }
    }
    private func packet(_ size: Int, from start: Int) -> Packet? {
      guard var packet = unsafe pool.pointee.ref.allocate(headroom: 0) else { return nil }
      packet.append(size)
      unsafe packet.withUnsafeMutableBytes { bytes in
        for index in 0..<size { unsafe bytes[index] = UInt8(truncatingIfNeeded: start + index) }
      }
      return packet
    }

    func read() {
      var got = 0
      var buffer = [UInt8](repeating: 0, count: 1024)
      while got < total {
        run.wait { queue.available > 0 }
        let (count, freed) = unsafe buffer.withUnsafeMutableBytes { unsafe queue.read(into: $0) }
        run.require(count > 0, "SB-EXACT: bytes were told of and not found")
        charged.subtract(UInt64(freed))
        for index in 0..<count where buffer[index] != UInt8(truncatingIfNeeded: got + index) {
          run.require(false, "byte \(got + index) is \(buffer[index])")
        }
        got += count
      }
    }

    func finish() {
      run.require(queue.available == 0, "bytes are left")
      run.require(queue.occupied == 0, "memory is left: \(queue.occupied)")
      run.require(charged.load() == 0, "the account is off by \(Int64(bitPattern: charged.load()))")
      let left = unsafe pool.pointee.counters.inUse
      run.require(left == 0, "\(left) packets are left")
      unsafe pool.deinitialize(count: 1)
      unsafe pool.deallocate()
    }
  }

  /// Two shares of one account.
  @safe private final class AccountWorld: @unchecked Sendable {  // each share is one virtual thread's
    let run: Run
    private var owner: MemoryAccount?
    let account: MemoryAccountRef
    let shares: UnsafeMutablePointer<MemoryShare>

    init(_ run: Run) {
      self.run = run
      let owner = MemoryAccount(limits: MemoryLimits(low: 0, pressure: 1, hard: 128 << 10), shares: 2)
      account = owner.ref
      self.owner = owner
      unsafe shares = run.memory(byteCount: 2 * MemoryLayout<MemoryShare>.stride)
        .bindMemory(to: MemoryShare.self, capacity: 2)
      for at in 0..<2 { unsafe (shares + at).initialize(to: MemoryShare(account)) }
    }

    /// Takes a slot, and gives it back to its share or, as a reader does, to the account.
    func use(_ at: Int, outside: Bool) -> (name: String, body: () -> Void) {
      (
        "share \(at)",
        { [self] in
          for _ in 0..<2 {
            let isTaken = unsafe shares[at].take(Packet.occupied, .receive)
            run.require(isTaken, "refused below the limit")
            run.require(account.state <= .pressure, "exhausted below the limit")
            if outside {
              account.give(Packet.occupied, .receive)
            } else {
              unsafe shares[at].give(Packet.occupied, .receive)
            }
          }
        }
      )
    }

    func finish() {
      var (used, cached) = (account.outside(.receive), 0)
      for at in 0..<2 {
        unsafe used += shares[at].used(.receive)
        unsafe cached += shares[at].cached
        unsafe (shares + at).deinitialize(count: 1)
      }
      run.require(used == 0, "the account drifted by \(used)")
      run.require(account.reserved == cached, "\(account.reserved) reserved, \(cached) cached")
      run.require(
        account.state == (cached > 0 ? .pressure : .normal), "the published state is an old one")
      owner = nil
    }
  }

  extension Catalogue {
    static let memory: [Scenario] = [
      Scenario(
        id: "SB-SPACE/collapse",
        title: "an owner adds to the newest packet while its reader reads it to the end",
        mutations: [
          "receiveEndTakenFromWriter", "receiveEndTakenByStore", "receiveTailSetAfterPosting",
          "receiveLengthNotInSlot",
        ]
      ) { run in
        let world = ReceiveWorld(run, sizes: [[3], [2], [900], [1100], [4], [1]])
        run.concurrently([("owner", { world.own() }), ("reader", { world.read() })])
        world.finish()
      },
      Scenario(
        id: "SB-SPACE/row",
        title: "an owner adds full packets in a row behind one that its reader reads to the end, then others",
        mutations: ["receiveRowToldEarly", "receiveLengthNotInSlot"]
      ) { run in
        let world = ReceiveWorld(run, sizes: [[900], [500], [1500, 1450], [1000], [1600, 1601], [1]])
        run.concurrently([("owner", { world.own() }), ("reader", { world.read() })])
        world.finish()
      },
      Scenario(
        id: "RS-LEAK/account",
        title:
          "two shares take and give while pressure comes and goes: no drift, and the last state is published",
        hasStoreBuffers: true,
        mutations: [
          "accountGivenBackByLoadThenStore", "accountPublishedWithoutLookingAgain",
          "accountPublishedWithoutFence",
        ]
      ) { run in
        let world = AccountWorld(run)
        run.concurrently([world.use(0, outside: true), world.use(1, outside: false)])
        world.finish()
      },
    ]
  }
#endif
