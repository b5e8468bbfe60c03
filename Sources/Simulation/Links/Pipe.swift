import Buffers
import Chance
import Exclusion
import Timing

/// What passed one direction of a link.
public struct PipeStatistics: Sendable, Hashable {
  /// Frames given to it, and those that came out.
  public var offered = 0, delivered = 0
  /// Bytes that came out.
  public var deliveredBytes = 0
  /// Frames that the queue dropped, that the line lost, that were too long, or found the link down.
  public var queueDrops = 0, losses = 0, tooLong = 0, downDrops = 0
  /// Frames damaged, doubled and held back.
  public var damaged = 0, duplicated = 0, heldBack = 0
  /// The most bytes that waited at once.
  public var largestQueue = 0
  /// Bytes that waited, times nanoseconds that they did.
  var queueIntegral = 0.0
  /// Packets marked with CE.
  public var marked = 0
}

/// One direction of a link: a queue, a line of a rate, and what happens to frames on it.
final class Pipe {
  unowned let network: Network
  let index: Int
  /// Where frames come out.
  var target: (node: Int, port: Int) = (-1, 0)
  private(set) var parameters: LinkParameters
  private var queue: LinkQueue
  private var random: SeededGenerator
  private(set) var statistics = PipeStatistics()
  private(set) var isUp = true
  /// Something is being put on the line.
  private var isBusy = false
  /// The state of ``LossModel/bursty(worsening:recovery:good:bad:)``.
  private var isBad = false
  /// Frames that keep their order do not arrive before this.
  private var lastArrival: UInt64 = 0
  private var queueChanged: UInt64 = 0
  /// Changes frames that leave the line; for structured fuzzing.
  var mutator: FrameMutator?
  /// Tells of every change of the queue, for plots: nanoseconds and bytes.
  var queueObserver: ((UInt64, Int) -> Void)?

  init(_ network: Network, index: Int, _ parameters: LinkParameters, seed: UInt64) {
    self.network = network
    self.index = index
    self.parameters = parameters
    random = SeededGenerator(seed: seed)
    queue = LinkQueue(parameters.queueing, seed: seed &+ 1)
  }

  /// Bytes that wait.
  var queuedBytes: Int { queue.byteCount }

  /// Changes the line while it runs; the queue stays as it is.
  func change(_ edit: (inout LinkParameters) -> Void) {
    let queueing = parameters.queueing
    edit(&parameters)
    parameters.queueing = queueing
  }

  /// Cuts the link, or mends it. What waits is lost with the cut, as is what is on the line.
  func setUp(_ isUp: Bool) {
    self.isUp = isUp
    guard !isUp else { return }
    var lost = PacketQueue()
    while let packet = queue.dequeue(now: network.clock.now(), dropped: &lost) { lost.append(packet) }
    noteQueue()
    while let packet = lost.popFirst() { lose(packet, .linkDown) }
  }

  // MARK: The way of a frame

  /// A frame is given to the link.
  func offer(_ packet: consuming Packet) {
    statistics.offered += 1
    network.note(.sent, self, packet)
    guard isUp else { return lose(packet, .linkDown) }
    guard packet.count <= parameters.mtu + FrameLayout.linkBytes else { return lose(packet, .tooLong) }
    if isBusy {
      var dropped = PacketQueue()
      queue.enqueue(packet, now: network.clock.now(), dropped: &dropped, &random)
      noteQueue()
      while let victim = dropped.popFirst() { lose(victim, .queueDrop) }
    } else {
      transmit(packet)
    }
  }

  private func transmit(_ packet: consuming Packet) {
    let time = parameters.sendingTime(bytes: packet.count)
    guard time > 0 else { return leave(packet) }
    isBusy = true
    network.plan(.transmitted, after: time, index: index, packet)
  }

  /// The line is free again.
  func transmitted(_ packet: consuming Packet) {
    isBusy = false
    if isUp { leave(packet) } else { lose(packet, .linkDown) }
    var dropped = PacketQueue()
    let next = queue.dequeue(now: network.clock.now(), dropped: &dropped)
    noteQueue()
    while let victim = dropped.popFirst() { lose(victim, .queueDrop) }
    if let next { transmit(next) }
  }

  /// A frame is on the line: its fate is decided.
  private func leave(_ packet: consuming Packet) {
    if isLost() { return lose(packet, .lost) }
    var packet = packet
    if parameters.corruption > 0, random.chance(parameters.corruption) {
      guard damage(&packet) else { return lose(packet, .damaged) }
      statistics.damaged += 1
      network.note(.damaged, self, packet)
    }
    if parameters.duplication > 0, random.chance(parameters.duplication), let copy = network.copy(packet) {
      statistics.duplicated += 1
      network.note(.duplicated, self, copy)
      travel(copy)
    }
    if var mutator {
      mutator.work(on: &packet, of: self)
      self.mutator = mutator
    }
    travel(packet)
  }

  /// Out at the far end after the line's delay.
  func travel(_ packet: consuming Packet, after extra: UInt64 = 0) {
    var delay = UInt64(parameters.delay.count) + extra
    if parameters.jitter.count > 0 { delay += random.next() % UInt64(parameters.jitter.count) }
    let now = network.clock.now().nanoseconds
    if extra > 0 || (parameters.reordering > 0 && random.chance(parameters.reordering)) {
      if extra == 0 { delay += UInt64(parameters.reorderingDelay.count) }
      statistics.heldBack += 1
      network.note(.heldBack, self, packet)
    } else if parameters.keepsOrder {
      delay = max(now + delay, lastArrival) - now
      lastArrival = now + delay
    }
    network.plan(.arrives, after: delay, index: index, packet)
  }

  /// A frame has come out, unless the link was cut meanwhile.
  func arrived(_ packet: consuming Packet) {
    guard isUp else { return lose(packet, .linkDown) }
    statistics.delivered += 1
    statistics.deliveredBytes += packet.count
    network.note(.arrived, self, packet)
    network.deliver(packet, to: target)
  }

  // MARK: Fates

  private func isLost() -> Bool {
    switch parameters.loss {
    case .none: return false
    case .random(let probability): return random.chance(probability)
    case .bursty(let worsening, let recovery, let good, let bad):
      if random.chance(isBad ? recovery : worsening) { isBad.toggle() }
      return random.chance(isBad ? bad : good)
    }
  }

  /// Flips one bit of an IP packet. False: nothing would tell the receiver.
  private func damage(_ packet: inout Packet) -> Bool {
    guard let layout = FrameLayout(packet.bytes) else { return false }
    let bit = random.below((layout.end - FrameLayout.linkBytes) * 8)
    let place = FrameLayout.linkBytes + bit / 8
    var bytes = packet.mutableBytes
    bytes.set(bytes.bytes.uint8(at: place) ^ UInt8(1 << (bit % 8)), at: place)
    return true
  }

  private func lose(_ packet: consuming Packet, _ event: FrameEvent) {
    switch event {
    case .queueDrop: statistics.queueDrops += 1
    case .tooLong: statistics.tooLong += 1
    case .linkDown: statistics.downDrops += 1
    case .lost, .damaged, .sent, .arrived, .duplicated, .heldBack, .mutated: statistics.losses += 1
    }
    network.note(event, self, packet)
  }

  private var queuedBefore = 0
  private func noteQueue() {
    let now = network.clock.now().nanoseconds
    statistics.queueIntegral += Double(queuedBefore) * Double(now - queueChanged)
    queueChanged = now
    queuedBefore = queue.byteCount
    statistics.largestQueue = max(statistics.largestQueue, queuedBefore)
    statistics.marked = Int(queue.marked)
    queueObserver?(now, queuedBefore)
  }
}
