import Buffers
import Devices
import Exclusion
import Internet
import SoftInterrupts
import Sockets
import TCP
public import Timing
import Wire

/// A host of one context in virtual time, with a link to nowhere: what it sends is given to whoever asks, and what
/// it receives is injected. Its socket calls are those of the ``Personality``. Nothing sleeps: a call that would is a
/// ``CallHandle``, and is tried again after each step of time.
///
/// One thread.
public final class DrillHost {
  /// How it behaves; what concerns sockets is read when a socket is made, but what Linux reads whenever it needs it (when
  /// accurate ECN sends options) also concerns those that there are, and so does TCP in UDP. Addresses, prefixes, MTU,
  /// TTL, personality and seed are read when the host is made.
  public var settings: HostSettings {
    didSet {
      if settings.fastOpenKeys != oldValue.fastOpenKeys { setFastOpenKeys() }
      if settings.encapsulation != oldValue.encapsulation { followEncapsulation() }
      let (new, old) = (settings.transport, oldValue.transport)
      if (new.accurateOption, new.accurateOptionBeacon) != (old.accurateOption, old.accurateOptionBeacon) {
        followAccurateOption()
      }
    }
  }

  let clock = VirtualClock(start: Instant(milliseconds: 1000))
  let link: ScriptLink
  let contexts: ContextSet
  let internet: InternetLayer
  let sockets: SocketLayer
  private let scheduler: ManualScheduler
  var descriptors = DescriptorTable()
  var files: [String: [UInt8]] = [:]
  private var waiting: [(handle: CallHandle, call: WaitingCall)] = []
  private var finished: [CallHandle: CallResult] = [:]
  private var handles = 0
  private var isFinished = false

  /// A host that is up. Throws what the stack's assembly does.
  public init(_ settings: HostSettings = HostSettings()) throws {
    self.settings = settings
    contexts = try ContextSet(ContextConfiguration(packetLimit: 32768, timeSource: clock))
    var addressing = InternetConfiguration(seed: settings.seed)
    addressing.hopLimit = settings.hopLimit
    internet = InternetLayer(contexts: contexts, configuration: addressing)
    var configuration = SocketConfiguration()
    configuration.seed = settings.seed
    // What leaves has left: nothing waits below IP.
    configuration.smallQueueLimit = 0
    configuration.synOverflow = settings.synCookies ? .cookies : .drop
    configuration.tcp = settings.configuration()
    configuration.remembers = settings.remembers
    configuration.encapsulation = settings.encapsulation
    sockets = SocketLayer(contexts: contexts, internet: internet, configuration: configuration)
    link = ScriptLink(mtu: min(max(settings.mtu, 68), 65535), clock: clock)
    let loopback = try internet.addInterface(
      InterfaceDescription(device: LoopbackDevice(queues: 1), isLoopback: true))
    let interface = try internet.addInterface(InterfaceDescription(device: link))
    try internet.configure { tables in
      try tables.addAddress(InterfaceAddress(IPPrefix("127.0.0.1/8")!, interface: loopback))
      try tables.addAddress(InterfaceAddress(IPPrefix("::1/128")!, interface: loopback))
      for (address, length, gateway) in [
        (settings.localIPv4, settings.prefixLengthIPv4, settings.gatewayIPv4),
        (settings.localIPv6, settings.prefixLengthIPv6, settings.gatewayIPv6),
      ] {
        guard let prefix = IPPrefix(address, length: length),
          let everywhere = IPPrefix(address.isIPv4 ? .anyIPv4 : .anyIPv6, length: 0)
        else { throw HostSettings.Mistake.prefix(address, length) }
        try tables.addAddress(InterfaceAddress(prefix, interface: interface))
        // A gateway beside the link's own network could not be reached; the link takes packets for anyone.
        let router = prefix.contains(gateway) ? gateway : nil
        try tables.addRoute(
          Route(
            to: everywhere, interface: interface, gateway: router, source: address, mtu: settings.routeMTU))
      }
    }
    scheduler = ManualScheduler(clock: clock)
    scheduler.add(contexts)
    setFastOpenKeys()
  }

  /// The default routes have the settings' MTU from now on.
  func changeRoutes() {
    let mtu = settings.routeMTU
    // The same routes with another MTU: nothing can be wrong with them.
    try? internet.configure { tables in
      for route in tables.routes where route.destination.length == 0 {
        try tables.removeRoute(route)
        try tables.addRoute(
          Route(
            to: route.destination, interface: route.interface, gateway: route.gateway, source: route.source,
            metric: route.metric, mtu: mtu))
      }
    }
  }

  /// The keys of Fast Open's cookies are those of the host; or those of a listener, as long as there is one that has
  /// some of its own.
  func setFastOpenKeys(_ own: TCPFastOpenCookies? = nil) {
    if let keys = own ?? settings.fastOpenKeys { sockets.setFastOpenKeys(keys) }
  }

  /// As FreeBSD has it, a port that a socket has leaves the host without encapsulation.
  private func followEncapsulation() {
    guard let outcome = wait(sockets.setEncapsulation(settings.encapsulation)) else { return }
    if case .failure = outcome {
      _ = wait(sockets.setEncapsulation(nil))
      settings.encapsulationPort = 0
    }
  }

  private func followAccurateOption() {
    for number in descriptors.numbers {
      guard case .stream(let endpoint) = descriptors[number] else { continue }
      endpoint.settings.transport.accurateOption = settings.transport.accurateOption
      endpoint.settings.transport.accurateOptionBeacon = settings.transport.accurateOptionBeacon
      apply(endpoint)
    }
  }

  deinit {
    // What is open would outlive its stack.
    if !isFinished { _ = finish() }
  }

  // MARK: Calls

  /// Makes a call, and lets the stack do what follows at this instant.
  public func begin(_ call: SystemCall) -> CallStart {
    let step = perform(call)
    switch step {
    case .done(let result):
      settle()
      return .done(result)
    case .unsupported(let reason): return .unsupported(reason)
    case .wait(let call):
      handles += 1
      let handle = CallHandle(number: handles)
      waiting.append((handle, call))
      settle()
      return finished.removeValue(forKey: handle).map { .done($0) } ?? .blocked(handle)
    }
  }

  /// The result of a call that waited, once; nil while it waits.
  public func poll(_ handle: CallHandle) -> CallResult? { finished.removeValue(forKey: handle) }

  /// Lets the stack come to rest at this instant, and every call that waits have a look.
  func settle() {
    repeat {
      scheduler.settle()
      observe()
    } while tryWaiting()
  }

  /// The answer of the stack's control context.
  func wait<Value>(_ answer: Answer<Value>) -> Value? {
    scheduler.settle()
    return answer.take()
  }

  private func observe() {
    for number in descriptors.numbers {
      switch descriptors[number] {
      case .stream(let endpoint): endpoint.observe(now)
      case .datagram(let endpoint): endpoint.observe()
      case .epoll, .pipe, .file, nil: break
      }
    }
  }

  /// Whether one of them has come to its end.
  private func tryWaiting() -> Bool {
    let before = waiting.count
    let all = waiting
    waiting = []
    for (handle, call) in all {
      if let result = call.attempt() {
        finished[handle] = result
      } else if let deadline = call.deadline, deadline <= clock.now() {
        finished[handle] = call.expired()
      } else {
        waiting.append((handle, call))
      }
    }
    return waiting.count < before
  }

  // MARK: Packets

  /// A packet from the link, from its IP header on, and what follows at this instant. False: it is larger than the
  /// stack's packets are, some 1900 bytes, and no segment of TCP's, and is lost.
  ///
  /// - Parameters:
  ///   - packet: its bytes, at most 65,535.
  ///   - isSegment: it is a segment of TCP's, which may be larger than the link's packets, as one is that a driver has
  ///     joined from several.
  ///   - segmentSize: bytes of text in each of those but the last; 0: it is one.
  ///   - payload: bytes of text in all of them.
  @discardableResult public func inject(
    _ packet: [UInt8], isSegment: Bool = false, segmentSize: Int = 0, payload: Int = 0
  ) -> Bool {
    let size = min(max(segmentSize, 0), Int(UInt16.max))
    let joined =
      size > 0 && payload > size
      ? ScriptLink.Joined(size: UInt16(size), count: UInt16(clamping: (payload + size - 1) / size)) : nil
    let isTaken = link.inject(packet, joined, isSegment: isSegment)
    settle()
    return isTaken
  }

  /// A packet that the host sent.
  public struct Emission: Sendable, Hashable {
    /// When.
    public let time: Instant
    /// From its IP header on.
    public let bytes: [UInt8]
  }
  /// What was sent since the last time, in order.
  public func takeOutgoing() -> [Emission] { link.take() }

  // MARK: Time

  /// The time. It begins at one second.
  public var now: Instant { clock.now() }

  /// When something is due next, in the stack or for a call that waits; nil: nothing is.
  public var nextDeadline: Instant? {
    ([scheduler.nextDeadline] + waiting.map(\.call.deadline)).compactMap { $0 }.min()
  }

  /// Runs until `instant`, through everything that is due before.
  public func advance(to instant: Instant) {
    settle()
    while let deadline = nextDeadline, deadline <= instant { step(to: deadline) }
    step(to: instant)
  }

  /// Runs until the next deadline at which a packet leaves or a call that waits ends, or until `limit`. True: one of
  /// the two; the time is then its.
  @discardableResult public func advanceToNextEvent(limit: Instant) -> Bool {
    settle()
    let (packets, results) = (link.waiting, finished.count)
    while let deadline = nextDeadline, deadline <= limit {
      step(to: deadline)
      if link.waiting > packets || finished.count > results { return true }
    }
    step(to: limit)
    return link.waiting > packets || finished.count > results
  }

  private func step(to instant: Instant) {
    clock.advance(to: max(instant, clock.now()))
    settle()
  }

  // MARK: Looks

  /// How many TCP endpoints are in the state with this number of Linux's: 3 half open, as listeners keep them, 6 in
  /// TIME-WAIT, 7 sockets that are not connected (any more) and not closed, 10 listeners.
  public func connectionCount(state: Int64) -> Int {
    let states = sockets.inventory(limit: 0).states
    func inStack(_ state: TCPState) -> Int { states[Int(state.rawValue)] }
    func inTable(_ state: TCPState) -> Int {
      descriptors.numbers.count {
        if case .stream(let endpoint) = descriptors[$0] { endpoint.protocolState == state } else { false }
      }
    }
    guard let wanted = TCPState.allCases.first(where: { Int64($0.linuxNumber) == state }) else { return 0 }
    switch wanted {
    case .closed, .listen: return inTable(wanted)
    case .synReceived: return inStack(wanted) + Int(sockets.withCounters(0) { $0.halfOpen.value })
    case .synSent, .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck, .timeWait:
      return inStack(wanted)
    }
  }

  /// What the stack has counted, by Linux's names.
  public func counters() -> [String: UInt64] {
    sockets.withCounters(0) { counters in
      [
        "TcpExtOutOfWindowIcmps": counters.errorsOutOfWindow.value,
        "TcpExtListenOverflows": counters.listenOverflows.value,
        "TcpRetransSegs": counters.segmentsRetransmitted.value, "TcpInErrs": counters.checksumErrors.value,
        "TcpExtTCPFastOpenPassive": counters.fastOpenPassive.value,
        "TcpExtBeyondWindow": counters.segmentsBeyondWindow.value,
        "TcpExtTCPZeroWindowDrop": counters.segmentsAtClosedWindow.value,
        "TcpExtTCPRcvQDrop": counters.receiveQueueFull.value,
      ]
    }
  }

  /// Forgets what is remembered of the peers of past connections.
  public func forgetPeers() {
    sockets.forgetFastOpenPeers()
    sockets.forgetPaths()
  }

  // MARK: The end

  /// A file for `open`.
  public func addFile(_ path: String, _ contents: [UInt8]) { files[path] = contents }

  /// Closes everything with resets, lets all of it end, and returns what is left that should not be, in words; empty:
  /// nothing is. The host is of no use afterwards.
  public func finish() -> [String] {
    isFinished = true
    waiting = []
    finished = [:]
    for number in descriptors.numbers {
      if case .stream(let endpoint) = descriptors[number] { endpoint.stream?.abort() }
      close(number)
    }
    sockets.stopIntake()
    sockets.abortAll()
    // What nobody can reset, half-open connections and those in TIME-WAIT, ends by itself.
    scheduler.run(milliseconds: 600_000)
    _ = link.take()
    var left: [String] = []
    func expect(_ count: Int, _ what: String) { if count != 0 { left.append("\(count) \(what)") } }
    expect(contexts.pool(0).inUse, "packets")
    expect(sockets.connectionsInUse(0), "connections")
    expect(sockets.connectionsFindable(0), "connections in the table")
    expect(sockets.buffers.chunks.inUse, "chunks")
    expect(sockets.buffers.packets.inUse, "application packets")
    expect(sockets.bindingCount, "bindings")
    expect(sockets.memoryStatistics().total, "bytes in the account of memory")
    if let deadline = scheduler.nextDeadline { left.append("a timer for \(deadline.nanoseconds)") }
    return left
  }
}

extension HostSettings {
  /// Why a host could not be made.
  enum Mistake: Error {
    case prefix(IPAddress, Int)
  }
}
