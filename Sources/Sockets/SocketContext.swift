// What the socket layer keeps in each context: slabs, its shard, its counters.

import Buffers
import Exclusion
import Internet
import SoftInterrupts
import TCP
import Timing
import Wire

/// Kinds of posted work and of timers that this layer knows.
enum SocketKind {
  static let connection = WorkKind(rawValue: 16)
  static let shard = WorkKind(rawValue: 17)
  static let finish = WorkKind(rawValue: 18)
  static let timerRequest = WorkKind(rawValue: 19)
  static let datagram = WorkKind(rawValue: 20)
  static let listenerMemory = WorkKind(rawValue: 21)
  static let datagramMemory = WorkKind(rawValue: 22)
  static let steeredSegment = WorkKind(rawValue: 24)
  static let portMemory = WorkKind(rawValue: 25)
  static let portSlot = WorkKind(rawValue: 26)
  static let verdict = WorkKind(rawValue: 27)
  static let settled = WorkKind(rawValue: 30)
  /// Inside a connection's gate only.
  static let segment = WorkKind(rawValue: 1)
  static let chain = WorkKind(rawValue: 2)
  static let call = WorkKind(rawValue: 3)
  static let connect = WorkKind(rawValue: 4)
  static let stray = WorkKind(rawValue: 5)
  static let connectionTimer: UInt8 = 16
  static let synTimer: UInt8 = 17
  /// Of event queues.
  static let eventQueueMemory = WorkKind(rawValue: 28)
  static let observerMemory = WorkKind(rawValue: 29)
  static let eventTimer: UInt8 = 28
  static let wakeTimer: UInt8 = 29
  static let poolTimer: UInt8 = 30
}

/// Private to one context, but for the constants and the counters.
@safe
struct SocketContext: ~Copyable {
  /// (c) The stack; it outlives its contexts.
  let layer: Unmanaged<SocketLayer>
  let internet: Unmanaged<InternetLayer>
  /// (o) this context: the memory of connections that were made here.
  let connections: SlotPoolRef
  /// (o) this context: half-open connections of the flows that are at home here.
  let synCache: UnsafeMutablePointer<SynCache>
  /// (c) One shard for each context.
  let shards: UnsafeMutablePointer<ConnectionShardRef>
  let contextCount: Int
  let hashKey: HashKey
  let smallQueueLimit: Int
  let personality: TCPPersonality
  let counters = SocketCounters()
  /// (o) its share of the stack's account of memory.
  let memory: MemoryShare
  /// (o) this context: segments that came in a row.
  var run = SegmentRun()
  /// (o) this context: what connections have that are at work here, or were when they were last given back.
  let workspaces: SlotPoolRef
  /// (c) What those that rest are packed against; the layer has it.
  let bases: Unmanaged<RestBases>
  /// (o) this context: when there may be too much free.
  let poolTimer: TimerRef
  /// (o) this context: that has begun, and goes on.
  var isGivingBack = false
  /// (o) this context: the stack shuts down, pools are left as they are.
  var isEnding = false
  let restAfter: Nanoseconds?
  let workingConnections: Int
  /// (c) What is for others; nil: nothing is.
  let transparent: UnsafeMutablePointer<TransparentState>?
  /// (o) this context: SYNs for others that wait for a verdict.
  var heldSyns = HeldSyns()
  /// (o) this context.
  var routes = RouteCache()
  /// (o) this context: of whom the memory of destinations was asked last. Many connections in a row are to one.
  var destination: DestinationMemory.Place?
}

/// A handle to the running context's part.
@safe
struct SocketContextRef {
  let pointer: UnsafeMutablePointer<SocketContext>

  init(_ cx: borrowing SoftInterrupt) {
    unsafe pointer = cx.core.attachment(.sockets).assumingMemoryBound(to: SocketContext.self)
  }

  var counters: SocketCounters { _read { yield unsafe pointer.pointee.counters } }
  var memory: MemoryShare { _read { yield unsafe pointer.pointee.memory } }
  /// The stack, which outlives its contexts: nothing is counted.
  @inline(__always) func withLayer<R>(_ body: (SocketLayer) -> R) -> R {
    unsafe pointer.pointee.layer._withUnsafeGuaranteedRef { body($0) }
  }
  /// The layer below, likewise.
  @inline(__always) func withInternet<R>(_ body: (InternetLayer) -> R) -> R {
    unsafe pointer.pointee.internet._withUnsafeGuaranteedRef { body($0) }
  }
  /// Whose habits the stack has.
  var optionOrder: TCPOptionOrder {
    switch unsafe pointer.pointee.personality {
    case .linux: .linux
    case .bsd: .bsd
    }
  }
  var hashKey: HashKey { unsafe pointer.pointee.hashKey }

  /// The home of a flow: its timers and its shard live there.
  func home(hash: UInt64) -> Int {
    let count = unsafe pointer.pointee.contextCount
    return count == 1 ? 0 : Int(hash >> 32) % count
  }
  func shard(_ home: Int) -> ConnectionShardRef { unsafe pointer.pointee.shards[home] }

  /// The listener for a flow that has no connection.
  func listener(_ key: FlowKey, hash: UInt64) -> ListenerRef? {
    if isForeign(key.localAddress) { return nil }
    let binding = BindingKey(address: key.localAddress, port: key.localPort, protocol: .tcp)
    return withLayer { $0.bindings.match(binding)?.member(hash) }.map { unsafe ListenerRef($0.raw) }
  }

  /// Sends a segment that no connection sends: a reset, a SYN-ACK.
  func send(
    _ outgoing: TCPOutgoing, _ key: FlowKey, marks: PacketMarks = PacketMarks(),
    as protection: SegmentProtection = .none, _ cx: inout SoftInterrupt
  ) {
    guard var packet = cx.pool.allocateReserve() else { return counters.segmentsWithoutBuffer.increment() }
    let header = TCPHeader(
      sourcePort: key.localPort, destinationPort: key.remotePort, sequence: outgoing.sequence,
      acknowledgment: outgoing.acknowledgment, flags: outgoing.flags, window: outgoing.window,
      options: outgoing.options)
    SegmentBuilder.finish(
      header, from: key.localAddress, to: key.remoteAddress, order: optionOrder, protection, into: &packet)
    var number = IPProtocol.tcp
    if key.encapsulation != 0 {
      guard encapsulate(&packet, key) else { return }
      number = .udp
    }
    if outgoing.flags.contains(.rst) { counters.resetsSent.increment() }
    counters.segmentsSent.increment()
    // Not of a link-local peer: that one is asked for by its link.
    let route = key.remoteAddress.isLinkLocal ? nil : route(to: key.remoteAddress, from: key.localAddress)
    packet.metadata.trafficClass = marks.trafficClass.rawValue
    var segment: Packet? = packet
    withInternet { internet in
      guard let packet = segment.take() else { return }
      if let route {
        internet.send(
          packet, by: route, from: key.localAddress, to: key.remoteAddress, protocol: number,
          hopLimit: marks.hopLimit, mayFragment: marks.mayFragment, &cx)
        return
      }
      _ = internet.send(
        packet, from: key.localAddress, to: key.remoteAddress, protocol: number, hopLimit: marks.hopLimit,
        trafficClass: marks.trafficClass, mayFragment: marks.mayFragment, route: nil, &cx)
    }
  }

  /// Makes a connection's block with one reference, the protocol's claim; it is reachable only after
  /// ``insert(_:_:)`` (SO-PUBLISH, L5). Nil: the limit on connections is reached, or memory is exhausted. `hash`: of
  /// `key`, if it is known. `engine` makes it where it stays: it is too large to be handed on.
  func make(
    _ key: FlowKey, hash: UInt64? = nil, limits: BufferLimits, home: Int? = nil,
    engine: () -> TCPConnection
  ) -> ConnectionRef? {
    guard memory.state != .exhausted else {
      counters.connectionsWithoutMemory.increment()
      return nil
    }
    guard let workspace = unsafe pointer.pointee.workspaces.allocate() else {
      counters.connectionsRefused.increment()
      return nil
    }
    guard let slot = unsafe pointer.pointee.connections.allocate() else {
      unsafe pointer.pointee.workspaces.free(workspace)
      counters.connectionsRefused.increment()
      return nil
    }
    let hash = hash ?? key.hash(hashKey)
    let home = home ?? self.home(hash: hash)
    let raw = unsafe slot.raw
    let connection = unsafe ConnectionRef(raw)
    if unsafe connection.wasUsed.pointee == 1 {
      connection.endSharedHeader()
    } else {
      unsafe connection.wasUsed.pointee = 1
      unsafe connection.reader.initialize(to: WaitPair())
      unsafe connection.writer.initialize(to: WaitPair())
    }
    unsafe GateRef<ConnectionBlock>.initialize(
      raw, kind: SocketKind.connection, home: withLayer { $0.contexts.port(home) },
      segmentLimit: ConnectionBlock.segmentLimit, budget: ConnectionBlock.budget)
    unsafe connection.shared.initialize(
      to: ConnectionShared(
        key: key, hash: hash, home: home, layer: pointer.pointee.layer, limits: limits,
        memory: withLayer { $0.memory }))
    connection.enter(workspace)
    unsafe connection.owned.initialize(to: ConnectionOwned(engine: engine(), receiveLimit: limits.receive))
    unsafe ObserverList.initialize(at: raw + ConnectionBlock.observersOffset)
    _ = unsafe TimerRef.initialize(
      at: raw + ConnectionBlock.timerOffset, kind: SocketKind.connectionTimer, owner: UInt(bitPattern: raw))
    connection.retain()
    counters.connectionsMade.increment()
    return connection
  }

  /// A control block that is not connected (SO-PCB): in no table, at home here until it has a flow.
  func makeUnconnected(_ options: StreamOptions?, _ cx: inout SoftInterrupt) -> ConnectionRef? {
    let nowhere = FlowKey(localAddress: .anyIPv6, localPort: 0, remoteAddress: .anyIPv6, remotePort: 0)
    let options = options ?? withLayer { $0.options() }
    let now = cx.now
    let made = make(nowhere, limits: options.limits, home: cx.index) {
      TCPConnection.idle(configuration: options.tcp, now: now)
    }
    guard let connection = made else { return nil }
    unsafe connection.owned.pointee.isInserting = false
    unsafe connection.owned.pointee.isUnconnected = true
    connection.share(options)
    connection.adopt(options, now: cx.now)
    return connection
  }

  /// Asks the flow's shard for a check and insert; `.inserted` or `.insertFailed` comes back as an event.
  func insert(_ connection: ConnectionRef, _ cx: inout SoftInterrupt) {
    let item = connection.commandItem
    item.kind = SocketKind.shard
    item.code = ConnectionShard.Command.insert
    let home = unsafe home(hash: connection.shared.pointee.hash)
    #if Explore
      let (hash, key) = unsafe (connection.shared.pointee.hash, connection.shared.pointee.key)
      item.value = Mutation.lookedBeforeEntering.isOn && shard(home).find(hash: hash, key) != nil ? 1 : 0
    #endif
    _ = shard(home).gate.submit(item, isSegment: false, &cx)
  }

  /// A closed connection: off its home's wheel, then out of the table, then the protocol's claim goes.
  func finish(_ connection: ConnectionRef, _ cx: inout SoftInterrupt) {
    let home = connection.home
    let item = connection.commandItem
    #if Explore
      if Mutation.timerCancelledAway.isOn { return finishAtHome(connection, &cx) }
    #endif
    guard home == cx.index else {
      item.kind = SocketKind.finish
      withLayer { $0.contexts.port(home) }.post(item)
      return
    }
    finishAtHome(connection, &cx)
  }

  func finishAtHome(_ connection: ConnectionRef, _ cx: inout SoftInterrupt) {
    // A timer request may still be on its way here; it comes in order, before or after, and holds a reference.
    #if Explore
      if !Mutation.timerLeftOnWheel.isOn { cx.cancel(connection.timer) }
    #else
      cx.cancel(connection.timer)
    #endif
    let item = connection.commandItem
    item.kind = SocketKind.shard
    item.code = ConnectionShard.Command.remove
    _ = unsafe shard(home(hash: connection.shared.pointee.hash)).gate.submit(item, isSegment: false, &cx)
  }

  /// An owner that is not at home asks home's wheel for an earlier deadline.
  func requestTimer(_ connection: ConnectionRef, at deadline: Instant) {
    let shared = unsafe connection.shared
    unsafe shared.pointee.timerRequest.store(deadline.nanoseconds)
    if unsafe shared.pointee.timerRequestQueued.exchange(1) == 0 {
      connection.retain()  // TM-REF
      let home = connection.home
      withLayer { $0.contexts.port(home) }.post(connection.timerRequestItem)
    }
  }

  static func runTimerRequest(_ item: ItemRef, _ cx: inout SoftInterrupt) {
    let connection = ConnectionRef.fromTimerRequest(item)
    let shared = unsafe connection.shared
    unsafe _ = shared.pointee.timerRequestQueued.exchange(0)
    let deadline = unsafe Instant(nanoseconds: shared.pointee.timerRequest.load())
    // A connection that has ended meanwhile was, or will be, taken off the wheel here: do not put it back.
    if !connection.status.contains(.ended) { cx.arm(connection.timer, at: deadline) }
    connection.release()
  }
}
