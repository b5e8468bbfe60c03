import CLinux
import Timing
import Wire

/// Datagrams between one socket of the guest's and one address outside, carried by a host's socket of their own. The
/// forwarder's thread only.
final class DatagramFlow {
  /// What a flow is found by.
  struct Name: Hashable {
    let guest: SocketAddress
    /// As the guest calls it.
    let destination: SocketAddress
  }
  let name: Name
  let descriptor: Int32
  /// Its datagrams are questions about names, and each may go to another server.
  let asksForNames: Bool
  /// Which server, of the host's.
  var server = 0
  /// Who began it, if somebody outside did, at a socket that others use as well.
  var client: InboundDatagrams.Client?
  /// Hops that its host's socket was told; 0: as many as usual.
  var hopLimit: UInt8 = 0
  /// What its host's socket sends may go in fragments.
  var mayFragment = true
  /// The outside has answered.
  var isAnswered = false
  /// The network said something of what was sent.
  var hasErrors = false
  /// The host's socket may have something.
  var isReadable = false
  /// It is among those that have something to do.
  var isQueued = false
  /// When it is forgotten, unless something passes before.
  var deadline = Instant.distantFuture
  /// Its neighbours in the order in which flows were used last, by slot; -1 at the ends.
  var previous = -1
  var next = -1

  init(_ name: Name, descriptor: Int32, asksForNames: Bool) {
    self.name = name
    self.descriptor = descriptor
    self.asksForNames = asksForNames
  }
}

extension DatagramFlow {
  /// A hop limit below this is somebody's who counts hops, and is passed on, less the one to here; others are this host's.
  private static var probing: UInt8 { 33 }

  /// Makes what is sent next go so many hops, as it came to us.
  func passHops(_ came: UInt8) {
    let hops = came < Self.probing ? max(2, came) - 1 : 0
    guard hops != hopLimit else { return }
    hopLimit = hops
    _ = sluice_hop_limit(descriptor, name.destination.address.isIPv4 ? 1 : 0, Int32(hops))
  }

  /// Makes what is sent next stay whole if its sender wants that: so it learns what the path carries, by the error of
  /// what is larger.
  func passWholeness(_ mayFragment: Bool) {
    guard mayFragment != self.mayFragment else { return }
    self.mayFragment = mayFragment
    _ = sluice_may_fragment(descriptor, name.destination.address.isIPv4 ? 1 : 0, mayFragment ? 1 : 0)
  }
}

/// The flows, and in which order they were used: those that were answered apart, for they are kept for longer.
struct DatagramFlows {
  private(set) var slots: [DatagramFlow?] = []
  private var free: [Int] = []
  private var names: [DatagramFlow.Name: Int] = [:]
  /// Oldest and newest, of those without an answer and of those with one.
  private var ends = [(first: -1, last: -1), (first: -1, last: -1)]

  /// How many there are.
  var count: Int { names.count }
  subscript(slot: Int) -> DatagramFlow? { slots.indices.contains(slot) ? slots[slot] : nil }
  func find(_ name: DatagramFlow.Name) -> Int? { names[name] }

  /// A slot for a flow that is about to be made.
  mutating func takeSlot() -> Int {
    if let slot = free.popLast() { return slot }
    slots.append(nil)
    return slots.count - 1
  }
  mutating func giveSlot(_ slot: Int) { free.append(slot) }
  mutating func insert(_ flow: DatagramFlow, at slot: Int) {
    slots[slot] = flow
    names[flow.name] = slot
    link(slot, flow)
  }
  mutating func remove(_ slot: Int) -> DatagramFlow? {
    guard let flow = slots[slot] else { return nil }
    unlink(slot, flow)
    names[flow.name] = nil
    slots[slot] = nil
    free.append(slot)
    return flow
  }

  /// Something passed: it is the newest of its list, which an answer may change.
  mutating func use(_ slot: Int, until deadline: Instant, isAnswered: Bool) {
    guard let flow = slots[slot] else { return }
    unlink(slot, flow)
    flow.isAnswered = isAnswered
    flow.deadline = deadline
    link(slot, flow)
  }
  /// Who gives way to a newer flow: the oldest without an answer, or else the oldest.
  var oldest: Int? { ends[0].first >= 0 ? ends[0].first : ends[1].first >= 0 ? ends[1].first : nil }
  /// The flow that is forgotten next. Within a list the oldest is.
  var nextDeadline: Instant? {
    let deadlines = ends.compactMap { $0.first >= 0 ? slots[$0.first]?.deadline : nil }
    return deadlines.min()
  }
  /// A flow whose time is over.
  func expired(_ now: Instant) -> Int? {
    ends.map { $0.first }.first { $0 >= 0 && (slots[$0].map { $0.deadline <= now } ?? false) }
  }

  private mutating func link(_ slot: Int, _ flow: DatagramFlow) {
    let list = flow.isAnswered ? 1 : 0
    flow.previous = ends[list].last
    flow.next = -1
    if flow.previous >= 0 { slots[flow.previous]?.next = slot } else { ends[list].first = slot }
    ends[list].last = slot
  }
  private mutating func unlink(_ slot: Int, _ flow: DatagramFlow) {
    let list = flow.isAnswered ? 1 : 0
    if flow.previous >= 0 { slots[flow.previous]?.next = flow.next } else { ends[list].first = flow.next }
    if flow.next >= 0 { slots[flow.next]?.previous = flow.previous } else { ends[list].last = flow.previous }
  }
}
