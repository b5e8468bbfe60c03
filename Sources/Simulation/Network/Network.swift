import Buffers
import Chance
import Exclusion
import Timing

/// Something with ports that frames arrive at.
protocol Node: AnyObject {
  /// A frame came in by a port. Called between the steps of all stacks.
  func receive(_ packet: consuming Packet, port: Int)
}

/// Nodes, links and the time: a discrete-event simulation of one thread. Everything that is random comes from one
/// seed, so a run is the same whenever it is repeated.
final class Network {
  let clock = VirtualClock(start: Instant(milliseconds: 1000))
  /// Frames in flight are copies of this pool's.
  private let pool = PacketPool(limit: 1 << 20, reserve: 0)
  private var events = EventHeap()
  private(set) var pipes: [Pipe] = []
  private(set) var nodes: [any Node] = []
  private(set) var hosts: [Host] = []
  private let seed: UInt64
  /// What happened so far, folded into a word: equal runs have equal ones.
  private(set) var fingerprint: UInt64
  /// Frames that were sent and that arrived.
  private(set) var frameEvents = 0
  var trace: Trace?
  /// Called for steps of the timeline and for sleepers.
  var timeline: (Int) -> Void = { _ in }
  var wakes: (Int) -> Void = { _ in }

  init(seed: UInt64) {
    self.seed = seed
    fingerprint = SeededGenerator.mixed(seed)
  }

  // MARK: Assembly

  func add(_ node: any Node) -> Int {
    nodes.append(node)
    if let host = node as? Host { hosts.append(host) }
    return nodes.count - 1
  }

  /// Joins two ports. Returns the number of the pipe from `left` to `right`; the other is the next one.
  @discardableResult
  func connect(
    _ left: (node: Int, port: Int), _ right: (node: Int, port: Int), _ rightward: LinkParameters,
    _ leftward: LinkParameters? = nil
  ) -> Int {
    let first = pipes.count
    for (offset, parameters) in [rightward, leftward ?? rightward].enumerated() {
      let index = first + offset
      pipes.append(
        Pipe(self, index: index, parameters, seed: SeededGenerator.mixed(seed &+ UInt64(index) &+ 1)))
    }
    pipes[first].target = right
    pipes[first + 1].target = left
    return first
  }

  // MARK: Events

  func plan(_ action: Event.Action, after delay: UInt64, index: Int) {
    events.plan(action, at: clock.now().nanoseconds + delay, index: index)
  }
  func plan(_ action: Event.Action, after delay: UInt64, index: Int, _ packet: consuming Packet) {
    events.plan(
      action, at: clock.now().nanoseconds + delay, index: index, item: packet.intoItem().address)
  }

  /// When something is next due, of events and of the stacks' timers, in nanoseconds.
  var nextTime: UInt64? {
    var earliest = events.nextTime
    for host in hosts {
      guard let deadline = host.nextDeadline?.nanoseconds else { continue }
      earliest = earliest.map { min($0, deadline) } ?? deadline
    }
    return earliest
  }

  /// Moves time to the next thing that is due, and does it. False: nothing is due before `limit`.
  func advance(limit: UInt64) -> Bool {
    guard let next = nextTime, next <= limit else { return false }
    clock.advance(to: Instant(nanoseconds: next))
    let now = clock.now().nanoseconds
    while let due = events.nextTime, due <= now, let event = events.takeFirst() { perform(event) }
    return true
  }

  private func perform(_ event: Event) {
    switch event.action {
    case .transmitted:
      if let packet = takePacket(event) { pipes[Int(event.index)].transmitted(packet) }
    case .arrives:
      if let packet = takePacket(event) { pipes[Int(event.index)].arrived(packet) }
    case .timeline: timeline(Int(event.index))
    case .wakes: wakes(Int(event.index))
    }
  }
  private func takePacket(_ event: Event) -> Packet? {
    guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: event.item) else { return nil }
    return unsafe Packet(item: ItemRef(raw))
  }

  /// Runs all stacks until none has anything to do at this moment.
  func settle() {
    var isBusy = true
    while isBusy {
      isBusy = false
      for host in hosts where host.settle() { isBusy = true }
    }
  }

  /// Loses what is in flight: the end of a network.
  func loseAll() {
    while let event = events.takeFirst() { _ = takePacket(event) }
    for pipe in pipes { pipe.setUp(false) }
    for host in hosts { host.loseFrames() }
  }

  // MARK: Frames

  /// A frame of this network's with the bytes of `packet`; nil when there is no memory for one.
  func copy(_ packet: borrowing Packet) -> Packet? {
    guard var copy = pool.ref.allocate() else { return nil }
    copy.becomeCopy(of: packet)
    copy.markNetworkHeader()
    return copy
  }
  /// An empty frame.
  func makePacket() -> Packet? { pool.ref.allocate() }
  /// Frames that are in flight or wait.
  var framesInUse: Int { pool.counters.inUse }

  func deliver(_ packet: consuming Packet, to target: (node: Int, port: Int)) {
    nodes[target.node].receive(packet, port: target.port)
  }

  func note(_ event: FrameEvent, _ pipe: Pipe, _ packet: borrowing Packet) {
    frameEvents += 1
    var word = clock.now().nanoseconds &* 31 &+ UInt64(pipe.index) &* 7 &+ UInt64(packet.count)
    let bytes = packet.bytes
    // From the IP header's middle over the transport's checksum: what is in a frame is known by that.
    var offset = 18
    while offset + 8 <= bytes.byteCount, offset < 82 {
      word = word &* 0x9E37_79B9_7F4A_7C15 ^ bytes.uint64(at: offset)
      offset += 8
    }
    fingerprint = SeededGenerator.mixed(fingerprint ^ word)
    if trace != nil {
      trace?.add(TraceEntry(event, pipe: pipe.index, packet, time: clock.now().nanoseconds))
    }
  }
}

extension Packet {
  /// Says where the IP header of an Ethernet frame is, for queue disciplines.
  mutating func markNetworkHeader() {
    let type = count >= FrameLayout.linkBytes ? bytes.uint16(at: 12) : 0
    metadata.networkOffset =
      type == 0x0800 || type == 0x86DD ? UInt16(startOffset + FrameLayout.linkBytes) : 0
  }
}
