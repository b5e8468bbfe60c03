// Interfaces, addresses, routes, neighbours, IPv4, IPv6 and ICMP of one stack.

import Buffers
public import Exclusion
public import SoftInterrupts
import Timing
public import Wire

/// Limits and seeds of an ``InternetLayer``.
public struct InternetConfiguration: Sendable {
  /// Hop limit, TTL, of what we send.
  public var hopLimit: UInt8 = 64
  /// ICMP and ICMPv6 errors that the whole stack sends.
  public var errorLimit = RateLimitParameters(perSecond: 1000, burst: 50)
  /// The same for each context.
  public var errorLimitPerContext = RateLimitParameters(perSecond: 1000, burst: 50)
  /// Neighbours of each interface, at most.
  public var neighborLimit = 1024
  /// Packets that wait for one neighbour, at most; the oldest gives way (X4).
  public var neighborQueueLimit = 16
  /// Packets of which fragments are missing, in each context; the oldest gives way.
  public var reassemblyLimit = 64
  /// Bytes of memory that their fragments may occupy, in each context.
  public var reassemblyBytes = 4 << 20
  /// Seeds what is random here: reachable times, hash keys. Equal seeds give equal runs.
  public var seed: UInt64

  /// The defaults, with a seed.
  public init(seed: UInt64 = UInt64.random(in: 1...UInt64.max)) { self.seed = seed }
}

/// The internet layer of one stack. Assembled by one thread (``addInterface(_:)``,
/// ``setTransport(_:for:)``, ``configure(_:)``) before the contexts start; afterwards its records never
/// change, except the tables, which the control context publishes as snapshots, and neighbour caches, which
/// are gates.
///
/// Protection: (c) constant after the start, (a) atomic, (p) published snapshot, (0) control context.
@safe
public final class InternetLayer: @unchecked Sendable {
  /// (c)
  public let configuration: InternetConfiguration
  /// (c)
  let contexts: ContextSet
  /// (c) index 0 is unused: 0 means "no interface" in zones.
  private let interfaces: UnsafeMutablePointer<InterfaceRecord>
  /// (c)
  private let assembly: UnsafeMutablePointer<Assembly>
  /// (c) by protocol number.
  private let transports: UnsafeMutablePointer<Unmanaged<Transport>?>
  /// A handler in a place that says that it is constant: a call through it counts no reference.
  private final class Transport: Sendable {
    let handler: TransportHandler
    init(_ handler: TransportHandler) { self.handler = handler }
  }
  /// One for each context.
  private let records: UnsafeMutablePointer<ContextRecord>
  /// (p)
  let snapshot: Published<NetworkSnapshot>
  /// (a) of the snapshot, published after it.
  private let publishedGeneration = AtomicWord(0)
  /// (0) what the next snapshot is made from.
  private var tables = NetworkTables()
  /// (a)
  let errorLimit: SharedRateLimit

  /// What assembly leaves behind. In plain memory, because the packet path reads it: a class's variables
  /// are checked for exclusive access at each look.
  private struct Assembly {
    var interfaceCount = 0
    var loopbackInterface: UInt16 = 0
    var isStarted = false
  }

  /// How many interfaces there are; their indices are 1...interfaceCount.
  public var interfaceCount: Int { unsafe assembly.pointee.interfaceCount }
  /// 0 if there is none.
  var loopbackInterface: UInt16 { unsafe assembly.pointee.loopbackInterface }
  /// Interfaces at most.
  public static var interfaceLimit: Int { 63 }

  /// Makes a layer without interfaces on `contexts`, and registers its work there. The contexts and the
  /// layer must outlive each other's use: the layer is let go after the contexts have stopped.
  public init(contexts: ContextSet, configuration: InternetConfiguration = InternetConfiguration()) {
    self.configuration = configuration
    self.contexts = contexts
    unsafe interfaces = .allocate(capacity: Self.interfaceLimit + 1)
    unsafe assembly = .allocate(capacity: 1)
    unsafe assembly.initialize(to: Assembly())
    unsafe transports = .allocate(capacity: 256)
    unsafe transports.initialize(repeating: nil, count: 256)
    unsafe records = .allocate(capacity: contexts.coreCount)
    for index in 0..<contexts.coreCount {
      unsafe (records + index).initialize(
        to: ContextRecord(
          interfaceLimit: Self.interfaceLimit + 1, errorLimit: RateLimit(configuration.errorLimitPerContext),
          identification: UInt16(
            truncatingIfNeeded: (configuration.seed &+ UInt64(index)) &* 0x9E37_79B9_7F4A_7C15 >> 48),
          fragments: FragmentTable(
            limit: configuration.reassemblyLimit, byteLimit: configuration.reassemblyBytes)))
    }
    snapshot = Published(NetworkSnapshot(tables, generation: 1))
    publishedGeneration.store(1)
    errorLimit = SharedRateLimit(configuration.errorLimit)
    for index in 0..<contexts.coreCount {
      unsafe contexts.attach(Unmanaged.passUnretained(self).toOpaque(), .internet, to: index)
    }
    Self.register(in: &contexts.handlers)
  }

  deinit {
    for index in 0..<interfaceCount {
      unsafe interfaces[index + 1].neighbors?.destroy()
      unsafe (interfaces + index + 1).deinitialize(count: 1)
    }
    for index in 0..<contexts.coreCount { unsafe (records + index).deinitialize(count: 1) }
    for number in 0..<256 { unsafe transports[number]?.release() }
    unsafe interfaces.deallocate()
    unsafe assembly.deallocate()
    unsafe transports.deallocate()
    unsafe records.deallocate()
  }

  /// Registers who takes a protocol. Before the start.
  public func setTransport(_ handler: TransportHandler, for protocolNumber: IPProtocol) {
    unsafe transports[Int(protocolNumber.rawValue)]?.release()
    unsafe transports[Int(protocolNumber.rawValue)] = .passRetained(Transport(handler))
  }

  func hasTransport(_ protocolNumber: IPProtocol) -> Bool {
    unsafe transports[Int(protocolNumber.rawValue)] != nil
  }
  @inline(__always) private func withTransport(
    _ protocolNumber: IPProtocol, _ body: (TransportHandler) -> Void
  ) {
    unsafe transports[Int(protocolNumber.rawValue)]?._withUnsafeGuaranteedRef { body($0.handler) }
  }
  /// Gives a packet to the transport that takes its protocol; there is one.
  func deliver(_ packet: consuming Packet, to protocolNumber: IPProtocol, _ cx: inout SoftInterrupt) {
    let item = packet.intoItem()
    withTransport(protocolNumber) { $0.receive(Packet(item: item), &cx) }
  }
  /// The same for a packet that came alone, and is all of its batch.
  func deliverAlone(_ packet: consuming Packet, to protocolNumber: IPProtocol, _ cx: inout SoftInterrupt) {
    let item = packet.intoItem()
    withTransport(protocolNumber) { handler in
      if let receive = handler.receiveAlone { return receive(Packet(item: item), &cx) }
      handler.receive(Packet(item: item), &cx)
      // Segments may come in it.
      finishBatch(&cx)
    }
  }
  /// A batch of received packets ends. Only TCP holds any back.
  func finishBatch(_ cx: inout SoftInterrupt) { withTransport(.tcp) { $0.finish(&cx) } }
  /// Tells the transport, if there is one, what became of a packet of its.
  func fail(_ failure: DeliveryFailure, _ cx: inout SoftInterrupt) {
    withTransport(failure.protocolNumber) { $0.fail(failure, &cx) }
  }

  /// Adds an interface. Before the start. Returns its index, 1 for the first. Throws what the poller does.
  public func addInterface(_ description: InterfaceDescription) throws -> UInt16 {
    precondition(interfaceCount < Self.interfaceLimit, "an internet layer has at most 63 interfaces")
    let index = UInt16(interfaceCount + 1)
    let queues = try contexts.addDevice(
      description.device, interface: Int(index), transmit: description.transmit)
    var neighbors: NeighborCacheRef?
    if case .ethernet = description.device.linkLayer {
      neighbors = NeighborCacheRef.make(
        layer: self, interface: index, home: contexts.port(Int(index) % contexts.count),
        grace: contexts.grace)
    }
    unsafe (interfaces + Int(index)).initialize(
      to: InterfaceRecord(index: index, description: description, queues: queues, neighbors: neighbors))
    unsafe assembly.pointee.interfaceCount = Int(index)
    if description.isLoopback {
      precondition(loopbackInterface == 0, "a stack has one loopback interface")
      unsafe assembly.pointee.loopbackInterface = index
    }
    configure { $0.interfaceCount = interfaceCount }
    beginAdvertising(index)
    return index
  }

  /// The interface with this index, or nil. Any context.
  func interface(_ index: UInt16) -> InterfaceRef? {
    guard index > 0, Int(index) <= interfaceCount else { return nil }
    return unsafe InterfaceRef(interfaces + Int(index))
  }

  // MARK: Tables

  /// Changes addresses and routes while the stack is assembled. Rethrows what `change` throws; then nothing
  /// is changed.
  public func configure<E: Error>(_ change: (inout NetworkTables) throws(E) -> Void) throws(E) {
    precondition(
      unsafe !assembly.pointee.isStarted && !contexts.isRunning,
      "RT-ORDER: after the start only the control context changes the tables")
    try edit(change)
  }

  /// Changes addresses and routes in one step: readers see all of it or nothing; links are told of new
  /// addresses. On context 0 only, at the general level (``ContextSet/perform(on:_:)``). Rethrows what
  /// `change` throws; then nothing is changed.
  public func change<E: Error>(
    _ cx: inout SoftInterrupt, _ change: (inout NetworkTables) throws(E) -> Void
  ) throws(E) {
    precondition(cx.index == 0, "RT-ORDER: only the control context changes the tables")
    unsafe assembly.pointee.isStarted = true
    let before = tables.addresses
    try edit(change)
    // After the publication: who asks because of the announcement is answered.
    for added in tables.addresses where !before.contains(added) { announce(added, &cx) }
  }

  private func edit<E: Error>(_ change: (inout NetworkTables) throws(E) -> Void) throws(E) {
    var edited = tables
    try change(&edited)
    #if Explore
      if Mutation.routePublishedBeforeAddress.isOn {
        snapshot.publish(
          NetworkSnapshot(edited.withAddresses(of: tables), generation: generation), contexts.grace)
      }
    #endif
    tables = edited
    let next = publishedGeneration.load() + 1
    snapshot.publish(NetworkSnapshot(edited, generation: next), contexts.grace)
    // After the snapshot: who sees the new generation looks up in the new tables (keeps RT-GEN).
    publishedGeneration.store(next)
  }

  /// Whether `address` belongs to this host: one of its interfaces', or loopback. Any context, inside a grace
  /// section.
  public func isOwn(_ address: IPAddress) -> Bool {
    address.isLoopback || snapshot.with { $0.own(address) != nil }
  }

  /// Whether `address` is on a link of `interface`, by the prefixes of our addresses there. Any context, inside a grace
  /// section.
  public func isNeighbor(_ address: IPAddress, interface: UInt16) -> Bool {
    snapshot.with { $0.isOnLink(address, interface: interface) }
  }

  /// Counts the publications of addresses and routes. A ``RouteDecision`` with another one is out of date.
  public var generation: UInt64 { publishedGeneration.load() }

  // MARK: What is known of addresses

  /// Whether a packet with these addresses, which came by `interface` in a frame to us alone, was found to be for us
  /// and no Martian, since the tables changed last. Else the caller looks, and says so by ``noteOurs(_:_:_:_:_:)``.
  @inline(__always) func isOurs(
    _ source: IPAddress, _ destination: IPAddress, _ flags: PacketFlags, _ interface: InterfaceRef,
    _ cx: borrowing SoftInterrupt
  ) -> Bool {
    guard flags.isDisjoint(with: [.linkBroadcast, .linkMulticast]) else { return false }
    let generation = snapshot.with { $0.generation }
    return unsafe records[cx.index].knows(
      source, destination, interface: interface.index, generation: generation)
  }
  func noteOurs(
    _ source: IPAddress, _ destination: IPAddress, _ flags: PacketFlags, _ interface: InterfaceRef,
    _ cx: borrowing SoftInterrupt
  ) {
    guard flags.isDisjoint(with: [.linkBroadcast, .linkMulticast]) else { return }
    let generation = snapshot.with { $0.generation }
    unsafe records[cx.index].note(source, destination, interface: interface.index, generation: generation)
  }

  // MARK: Counting

  /// What the running context counts with, for who counts several things in a row.
  @inline(__always) func record(_ cx: borrowing SoftInterrupt) -> UnsafeMutablePointer<ContextRecord> {
    unsafe records + cx.index
  }
  func count(_ event: InternetEvent, by amount: Int = 1, _ cx: borrowing SoftInterrupt) {
    unsafe records[cx.index].count(event, by: UInt64(amount))
  }
  func count(_ event: InterfaceEvent, _ interface: UInt16, by amount: Int = 1, _ cx: borrowing SoftInterrupt)
  {
    unsafe records[cx.index].count(event, interface: Int(interface), by: UInt64(amount))
  }

  /// A number for a packet that may be fragmented: not again for 65,536 of this context (RFC 6864 section 4.3). The
  /// first of `count`, for a super-segment.
  func nextIdentification(_ cx: borrowing SoftInterrupt, count: UInt16 = 1) -> UInt16 {
    let first = unsafe records[cx.index].identification &+ 1
    unsafe records[cx.index].identification &+= max(1, count)
    return first
  }

  func withFragments<R: ~Copyable>(
    _ cx: borrowing SoftInterrupt, _ body: (inout FragmentTable) -> R
  ) -> R {
    unsafe body(&records[cx.index].fragments)
  }
  func fragmentTimer(_ cx: borrowing SoftInterrupt) -> TimerRef {
    unsafe records[cx.index].fragmentTimer
  }

  /// Whether this context and the whole stack may send another ICMP error now; counts if not.
  func allowsError(_ cx: borrowing SoftInterrupt) -> Bool {
    guard unsafe records[cx.index].errorLimit.allows(at: cx.now) else {
      count(.icmpErrorsLimitedContext, cx)
      return false
    }
    guard errorLimit.allows(at: cx.now) else {
      count(.icmpErrorsLimitedStack, cx)
      return false
    }
    return true
  }

  func total(_ event: InternetEvent) -> UInt64 {
    (0..<contexts.coreCount).reduce(0) { sum, index in unsafe sum &+ records[index].value(event) }
  }
  func total(_ event: InterfaceEvent, interface: UInt16) -> UInt64 {
    (0..<contexts.coreCount).reduce(0) { sum, index in
      unsafe sum &+ records[index].value(event, interface: Int(interface))
    }
  }
}

extension SoftInterrupt {
  /// The internet layer of the running context's stack.
  public var internet: InternetLayer {
    unsafe Unmanaged<InternetLayer>.fromOpaque(core.attachment(.internet)).takeUnretainedValue()
  }
}
