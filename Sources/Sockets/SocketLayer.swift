// The socket layer of one stack: what its sockets share, and the commands that make sockets.

public import Buffers
public import Exclusion
public import Internet
public import SoftInterrupts
public import TCP
import Wire

public import Timing

/// Limits and seeds of a ``SocketLayer``.
public struct SocketConfiguration: Sendable {
  /// TCP connections that each context may hold, in all states.
  public var connectionLimit: Int = 65536
  /// Half-open connections that each context may hold; some 200 bytes each.
  public var synCacheLimit: Int = 4096
  /// What becomes of SYNs beyond that, and beyond a listener's backlog.
  public var synOverflow = SynOverflow.cookies
  /// Packets that applications may have on their way to a context (datagrams, 2 KiB each).
  public var applicationPackets: Int = 4096
  /// Chunks of 4 KiB that applications may have submitted and the peers not yet acknowledged.
  public var applicationChunks: Int = 65536
  /// Bytes of memory that the datagrams which wait in a socket may occupy, 2 KiB each at least.
  public var datagramReceiveLimit: Int = 1 << 20
  /// Where shortage of memory begins and ends, for all sockets together; nil: most of what the pools can hold.
  public var memory: MemoryLimits?
  /// Datagrams that a socket may have on their way to a context.
  public var datagramSendLimit: Int = 128
  /// What a connection may have below IP, in the queues of this host and with its devices, in bytes of memory (2 KiB
  /// for a segment): a millisecond's worth, at least two segments, and at most this (TCP small queues). 0: any amount.
  public var smallQueueLimit: Int = 256 << 10
  /// Local ports that connect and bind choose from (RFC 6335 section 6 and Linux's range).
  public var ephemeralPorts: ClosedRange<UInt16> = 32768...60999
  /// How connections behave.
  public var tcp = TCPConfiguration()
  /// TCP in UDP; nil: there is none.
  public var encapsulation: TCPEncapsulation?
  /// What the paths to peers are remembered by, from connection to connection.
  public var remembers: RememberedPaths = .roundTrip
  /// When connections with nothing to do come to rest.
  public var rest = RestPolicy()
  /// When application threads do their own sending.
  public var entry = BlockEntry.post
  /// What becomes of connections and datagrams for addresses that the stack does not have; nil: they are refused.
  public var transparent: TransparentConfiguration?
  /// Seeds hashes, sequence numbers and ports; nil: the system's random numbers.
  public var seed: UInt64?

  /// The defaults.
  public init() {}
}

/// Wake-ups of one stack, as the waiting sides counted them.
public final class WakeAccount: Sendable {
  /// Delivered, and wasted: those after which no operation could progress. The second stays 0 (SB-EXACT).
  public let counters = WakeCounters()
  /// Nanoseconds that a thread spins at most before it sleeps.
  public let spinLimit: UInt64
  package init(spinLimit: UInt64 = 0) { self.spinLimit = spinLimit }
}

/// The socket layer. Made before the contexts start, let go after they have stopped.
@safe
public final class SocketLayer: @unchecked Sendable {  // constant after assembly but for its atomics
  let contexts: ContextSet
  /// The same for those who count no reference: the layer keeps them.
  let contextsInPlace: Unmanaged<ContextSet>
  let internet: InternetLayer
  let bindings: PortBindings
  private let account: MemoryAccount
  /// The account of the memory that sockets occupy.
  public var memory: MemoryAccountRef { account.ref }
  /// What applications allocate from; its counters are for everyone.
  public let buffers: ApplicationBuffers
  /// The same for those who count no reference: the layer keeps them.
  let buffersInPlace: Unmanaged<ApplicationBuffers>
  let configuration: SocketConfiguration
  let hashKey: HashKey
  private let sequences: InitialSequenceGenerator
  let cookies: SynCookies
  let fastOpenCache: FastOpenCache
  let paths: PathCache
  let destinations: DestinationMemory
  let fastOpenKeys: FastOpenKeys
  let ports: EphemeralPorts
  /// What is for others; nil: it is not ours to look at.
  let transparent: UnsafeMutablePointer<TransparentState>?
  private let records: UnsafeMutablePointer<SocketContext>
  private let slabs: UnsafeMutablePointer<SlotPool>
  private let workspaces: UnsafeMutablePointer<SlotPool>
  private let poolTimers: UnsafeMutablePointer<TimerNode>
  let restBases = RestBases(words: ConnectionWorkspace.ownedBytes / 8)
  private let shards: UnsafeMutablePointer<ConnectionShardRef>
  private let synCaches: UnsafeMutablePointer<SynCache>
  private let turn = SharedCounter()
  let closing = AtomicWord(0)
  /// (a)
  let encapsulationWord: EncapsulationWord
  /// Who makes sockets of which family; inet and inet6 are there. Constant after assembly.
  public private(set) var protocols = ProtocolSwitch()
  /// Wake-ups of this stack.
  public let wakeAccount: WakeAccount
  /// What its event queues did.
  public let eventCounters = EventCounters()
  private let queueNumbers = AtomicWord(0)
  func nextQueueNumber() -> UInt64 { queueNumbers.add(1) }

  /// Registers TCP and UDP with `internet`. Before the contexts start.
  public init(
    contexts: ContextSet, internet: InternetLayer, configuration: SocketConfiguration = SocketConfiguration()
  ) {
    self.contexts = contexts
    unsafe contextsInPlace = .passUnretained(contexts)
    self.internet = internet
    self.configuration = configuration
    wakeAccount = WakeAccount(spinLimit: contexts.spinLimit)
    let seed = configuration.seed
    hashKey = seed.map { HashKey(seed: $0) } ?? HashKey()
    sequences = InitialSequenceGenerator(key: seed.map { HashKey(seed: $0 &+ 1) } ?? HashKey())
    ports = EphemeralPorts(
      configuration.ephemeralPorts, key: seed.map { HashKey(seed: $0 &+ 2) } ?? HashKey())
    cookies = SynCookies(key: seed.map { HashKey(seed: $0 &+ 3) } ?? HashKey())
    fastOpenCache = FastOpenCache(key: hashKey)
    paths = PathCache(key: hashKey)
    destinations = DestinationMemory(key: hashKey)
    fastOpenKeys = FastOpenKeys(
      TCPFastOpenCookies(
        current: TCPFastOpenCookies.Key(low: keyedHash(hashKey, 0x464F), high: keyedHash(hashKey, 0x464E))))
    unsafe transparent = configuration.transparent.map { settings in
      let state = UnsafeMutablePointer<TransparentState>.allocate(capacity: 1)
      unsafe state.initialize(to: TransparentState(settings))
      return unsafe state
    }
    bindings = PortBindings(hashKey: hashKey, grace: contexts.grace)
    encapsulationWord = EncapsulationWord(configuration.encapsulation)
    let (count, all) = (contexts.count, contexts.coreCount)
    let packets = (0..<all).reduce(configuration.applicationPackets) {
      $0 + contexts.pool($1).counters.limit
    }
    let chunks = configuration.applicationChunks
    account = MemoryAccount(
      limits: configuration.memory
        ?? MemoryLimits(hard: (packets * Packet.occupied + chunks * ByteChain.chunkOccupied) / 8 * 7),
      shares: all + 2)
    let buffers = ApplicationBuffers(
      packetLimit: configuration.applicationPackets, chunkLimit: chunks, account: account.ref)
    self.buffers = buffers
    unsafe buffersInPlace = .passUnretained(buffers)
    unsafe records = .allocate(capacity: all)
    unsafe slabs = .allocate(capacity: all)
    unsafe workspaces = .allocate(capacity: all)
    unsafe poolTimers = .allocate(capacity: all)
    unsafe shards = .allocate(capacity: count)
    unsafe synCaches = .allocate(capacity: all)
    for index in 0..<all {
      // A guest makes no connections and keeps no half-open ones: it has no room for any.
      let isGuest = index >= count
      unsafe (slabs + index).initialize(
        to: SlotPool(
          slotBytes: ConnectionBlock.bytes, slotsPerSlab: 256,
          limit: isGuest ? 0 : configuration.connectionLimit))
      unsafe slabs[index].ref.owner = contexts.core(index)
      // Whoever is inside takes a connection up: all of them may come to one context.
      unsafe (workspaces + index).initialize(
        to: SlotPool(
          slotBytes: ConnectionWorkspace.bytes, slotsPerSlab: 64,
          limit: min(configuration.connectionLimit * count, 1 << 22 - 1)))
      unsafe workspaces[index].ref.owner = contexts.core(index)
      unsafe (synCaches + index).initialize(
        to: SynCache(capacity: isGuest ? 1 : max(1, configuration.synCacheLimit)))
    }
    for index in 0..<count {
      unsafe (shards + index).initialize(
        to: ConnectionShardRef.make(home: contexts.port(index), grace: contexts.grace))
    }
    for index in 0..<all {
      unsafe (records + index).initialize(
        to: SocketContext(
          layer: Unmanaged.passUnretained(self), internet: Unmanaged.passUnretained(internet),
          connections: slabs[index].ref, synCache: synCaches + index, shards: shards, contextCount: count,
          hashKey: hashKey, smallQueueLimit: configuration.smallQueueLimit,
          personality: configuration.tcp.personality, memory: MemoryShare(account.ref),
          workspaces: workspaces[index].ref, bases: Unmanaged.passUnretained(restBases),
          poolTimer: TimerRef.initialize(
            at: UnsafeMutableRawPointer(poolTimers + index), kind: SocketKind.poolTimer, owner: 0),
          restAfter: configuration.rest.after, workingConnections: configuration.rest.workingConnections,
          transparent: transparent))
      unsafe contexts.attach(UnsafeMutableRawPointer(records + index), .sockets, to: index)
    }
    claimEncapsulation()
    Self.register(in: &contexts.handlers)
    protocols.register(InternetDomain(.inet, self))
    protocols.register(InternetDomain(.inet6, self))
    internet.setTransport(
      TransportHandler(
        receive: { packet, cx in SocketInput.collect(packet, encapsulation: 0, &cx) },
        finish: { cx in SocketInput.finishRun(&cx) },
        receiveAlone: { packet, cx in SocketInput.tcp(packet, &cx) },
        fail: { failure, cx in SocketErrors.tcp(failure, &cx) }), for: .tcp)
    contexts.handlers.registerSteered { batch, cx in
      while let packet = batch.popFirst() { SocketInput.steered(packet, &cx) }
      SocketInput.finishRun(&cx)
    }
    internet.setTransport(
      TransportHandler(
        receive: { packet, cx in SocketInput.udp(packet, &cx) },
        fail: { failure, cx in SocketErrors.udp(failure, &cx) }), for: .udp)
    guard configuration.transparent != nil else { return }
    for number in [IPProtocol.icmpv4, .icmpv6] {
      internet.setTransport(
        TransportHandler(receive: { packet, cx in TransparentInput.icmp(packet, &cx) }), for: number)
    }
  }

  deinit {
    for index in 0..<contexts.count { unsafe shards[index].destroy() }
    for index in 0..<contexts.coreCount {
      unsafe slabs[index].ref.forEachUsed { unsafe ConnectionRef($0.raw).destroy() }
    }
    contexts.reclaimAll()
    unsafe records.deinitialize(count: contexts.coreCount)
    unsafe slabs.deinitialize(count: contexts.coreCount)
    unsafe workspaces.deinitialize(count: contexts.coreCount)
    unsafe synCaches.deinitialize(count: contexts.coreCount)
    unsafe synCaches.deallocate()
    unsafe transparent?.deinitialize(count: 1)
    unsafe transparent?.deallocate()
    unsafe records.deallocate()
    unsafe slabs.deallocate()
    unsafe workspaces.deallocate()
    unsafe poolTimers.deallocate()
    unsafe shards.deallocate()
  }

  /// Adds a domain. Before the contexts start.
  public func register(_ domain: any Domain) { protocols.register(domain) }

  private static func register(in handlers: inout Handlers) {
    handlers.register(SocketKind.connection, at: .net) { item, cx in
      unsafe GateRef<ConnectionBlock>(item.raw).resume(budget: ConnectionBlock.budget, &cx)
    }
    handlers.register(SocketKind.shard, at: .net) { item, cx in
      unsafe GateRef<ConnectionShard>(item.raw).resume(budget: ConnectionShard.budget, &cx)
    }
    handlers.register(SocketKind.finish, at: .net) { item, cx in
      SocketContextRef(cx).finishAtHome(ConnectionRef.fromCommand(item), &cx)
    }
    handlers.register(SocketKind.timerRequest, at: .net) { item, cx in
      SocketContextRef.runTimerRequest(item, &cx)
    }
    handlers.register(SocketKind.datagram, at: .net) { item, cx in DatagramSocket.transmit(item, &cx) }
    handlers.register(SocketKind.settled, at: .net) { item, cx in TransparentInput.settled(item, &cx) }
    handlers.register(SocketKind.verdict, at: .net) { item, cx in TransparentInput.decide(item, &cx) }
    handlers.register(SocketKind.steeredSegment, at: .net) { item, cx in
      SocketInput.steered(Packet(item: item), &cx)
      SocketInput.finishRun(&cx)
    }
    handlers.registerTimer(SocketKind.synTimer) { _, cx in SocketContextRef(cx).synTimerFired(&cx) }
    handlers.registerTimer(SocketKind.poolTimer) { _, cx in SocketContextRef(cx).poolTimerFired(&cx) }
    handlers.registerTimer(SocketKind.connectionTimer) { timer, cx in
      guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: timer.owner) else { return }
      #if Explore
        if Mutation.timerRunsWithoutEntering.isOn {
          return unsafe ConnectionBlock.run(events: .timer, on: ConnectionRef(raw).gate, &cx)
        }
      #endif
      // A posted bit; a closed gate means that the connection ended meanwhile (T2, TM-STALE).
      _ = unsafe ConnectionRef(raw).gate.submit(events: .timer, &cx)
    }
    handlers.registerReclaim(SocketKind.listenerMemory) { item in unsafe ListenerRef(item.raw).destroy() }
    handlers.registerReclaim(SocketKind.portMemory) { item in unsafe PortMembers(item.raw).destroy() }
    handlers.registerReclaim(SocketKind.portSlot) { item in unsafe PortSlotRef(item.raw).destroy() }
    handlers.registerReclaim(SocketKind.datagramMemory) { item in unsafe DatagramRef(item.raw).destroy() }
    handlers.registerReclaim(SocketKind.eventQueueMemory) { item in unsafe EventQueueRef(item.raw).destroy() }
    handlers.registerReclaim(SocketKind.observerMemory) { item in freeObservers(item) }
    handlers.registerTimer(SocketKind.eventTimer) { timer, cx in RegistrationRef.timerFired(timer, &cx) }
    handlers.registerTimer(SocketKind.wakeTimer) { timer, cx in WakeTimer.fired(timer, &cx) }
  }

  // MARK: What the parts share

  /// Contexts in turn, for work without a home.
  func nextContext() -> Int {
    turn.increment()
    return Int(truncatingIfNeeded: turn.value) % contexts.count
  }

  /// What a connection of `key` that begins now begins with.
  func numbers(_ key: FlowKey, now: Instant) -> (iss: SequenceNumber, timestampOffset: UInt32) {
    sequences.numbers(local: key.local, remote: key.remote, now: now)
  }

  /// The time on the stack's clock. Any thread.
  public var now: Instant { contexts.timeSource.now() }

  /// An event queue of at most `limit` registrations, 1...1,000,000.
  public func makeEventQueue(limit: Int = 65_536) -> SocketEventQueue {
    SocketEventQueue(self, limit: max(1, min(limit, 1_000_000)))
  }

  // MARK: Closing

  /// Nothing new from here on: listen, bind and connect fail with `.networkDown`.
  public func stopIntake() { closing.store(1) }

  /// Aborts every connection; with ``stopIntake()`` the first half of a shutdown (RS-QUIESCE). Each context
  /// does it for its shard.
  public func abortAll() {
    for index in 0..<contexts.count {
      contexts.perform(on: index) { cx in
        SocketContextRef(cx).leavePools(&cx)
        unsafe SocketContextRef(cx).shard(cx.index).state.pointee.forEach { item in
          unsafe _ = ConnectionRef(item.raw).gate.post(events: .abort)
        }
      }
    }
  }
}

extension SocketLayer {
  /// Connections of context `index`, in all states, and those that wait for a grace period. Any thread.
  public func connectionsInUse(_ index: Int) -> Int { unsafe slabs[index].ref.inUse }
  /// Of the connections, those that work and do not rest, as context or guest `index` has given memory to. Any thread.
  public func connectionsAtWork(_ index: Int) -> Int { unsafe workspaces[index].ref.inUse }
  /// More connections of context `index` are at work than should be.
  func isPressed(_ index: Int) -> Bool {
    unsafe workspaces[index].ref.inUse > configuration.rest.workingConnections
  }
  /// Entries in the connection table's shard of context `index`. Any thread.
  public func connectionsFindable(_ index: Int) -> Int { unsafe shards[index].state.pointee.count }
  func shard(_ index: Int) -> ConnectionShardRef { unsafe shards[index] }
  /// Bound listeners and datagram sockets. Any thread.
  public var bindingCount: Int { bindings.count }
  /// Reads the counters of context or guest `index`. Any thread.
  public func withCounters<R>(_ index: Int, _ body: (borrowing SocketCounters) -> R) -> R {
    unsafe body(records[index].counters)
  }
  func withShare<R>(_ index: Int, _ body: (borrowing MemoryShare) -> R) -> R {
    unsafe body(records[index].memory)
  }
}
