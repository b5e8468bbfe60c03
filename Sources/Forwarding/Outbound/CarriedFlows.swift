import CLinux
import Exclusion
import Timing
import Wire

/// The flows of a carrier, each with a host's socket, and whose turn it is: those whose socket has something, in the order in
/// which they were heard of. The forwarder's thread only.
struct CarriedFlows: ~Copyable {
  private(set) var flows = DatagramFlows()
  /// Slots of flows that have something to be read.
  private var queued: [Int] = []
  private let epoll: Int32
  private let firstToken: UInt32

  /// `firstToken`: of flows, at `epoll`.
  init(epoll: Int32, firstToken: UInt32) {
    self.epoll = epoll
    self.firstToken = firstToken
  }

  /// How many there are.
  var count: Int { flows.count }
  /// Whether none has something to be read.
  var isIdle: Bool { queued.isEmpty }
  /// When one is forgotten next.
  var nextDeadline: Instant? { flows.nextDeadline }
  subscript(slot: Int) -> DatagramFlow? { flows[slot] }
  func find(_ name: DatagramFlow.Name) -> Int? { flows.find(name) }
  /// Something passed.
  mutating func use(_ slot: Int, until deadline: Instant, isAnswered: Bool) {
    flows.use(slot, until: deadline, isAnswered: isAnswered)
  }

  // MARK: Coming and going

  /// A flow by a socket that is watched from now on. Nil: the system has no room, and the socket is closed.
  mutating func open(_ name: DatagramFlow.Name, _ descriptor: Int32, asksForNames: Bool = false) -> Int? {
    let slot = flows.takeSlot()
    guard sluice_epoll_add_edges(epoll, descriptor, firstToken + UInt32(slot)) == 0 else {
      flows.giveSlot(slot)
      sluice_tcp_close(descriptor)
      return nil
    }
    flows.insert(DatagramFlow(name, descriptor: descriptor, asksForNames: asksForNames), at: slot)
    return slot
  }
  /// Has the oldest give way if there are so many. True: one did.
  mutating func makeRoom(below limit: Int) -> Bool {
    guard flows.count >= limit, let oldest = flows.oldest else { return false }
    remove(oldest)
    return true
  }
  /// Forgets those whose time is over. How many.
  mutating func expire(_ now: Instant) -> Int {
    var count = 0
    while let slot = flows.expired(now) {
      remove(slot)
      count += 1
    }
    return count
  }
  private mutating func remove(_ slot: Int) {
    guard let flow = flows.remove(slot) else { return }
    sluice_tcp_close(flow.descriptor)
  }
  /// All go.
  mutating func removeAll() {
    for slot in flows.slots.indices { remove(slot) }
  }

  // MARK: Turns

  /// The socket of a flow has changed. `hasFailed`: the network said something.
  mutating func hear(token: UInt32, hasFailed: Bool) {
    let slot = Int(token - firstToken)
    guard let flow = flows[slot] else { return }
    flow.isReadable = true
    if hasFailed { flow.hasErrors = true }
    enqueue(slot, flow)
  }
  private mutating func enqueue(_ slot: Int, _ flow: DatagramFlow) {
    if flow.isQueued { return }
    flow.isQueued = true
    queued.append(slot)
  }
  /// Whose turn it is, oldest first; each is told to ``endTurn(_:)`` after it.
  mutating func takeTurns() -> [Int] {
    defer { queued.removeAll(keepingCapacity: true) }
    return queued.filter { flows[$0]?.isQueued ?? false }
  }
  /// The flow waits again if it has more.
  mutating func endTurn(_ slot: Int) {
    guard let flow = flows[slot] else { return }
    flow.isQueued = false
    if flow.isReadable { enqueue(slot, flow) }
  }
}
