// Packets on their way from the context that received them to the home of their flow.
//
// One lane for each ordered pair of contexts: a bounded ring, and the signal that tells the target, by the same
// protocol by which a device in memory tells of frames (RX-MISSED). The source fills lanes while it receives and
// raises the signals once, when its turns at net and serial are over: one post and at most one kick for each
// target and pass, and no system call for a packet. A lane is first in first out, so a flow that always comes by
// one queue keeps its order (RX-ORDER).

public import Buffers
import Devices
public import Exclusion

/// Where a packet is worked on that came in on a context that is not the home of its flow.
public enum ReceiveSteering: Hashable, Sendable {
  /// Where it came in: the connection's gate keeps contexts apart.
  case none
  /// At home: one context has the connection, its timers and its queue in its cache.
  case home
}

/// A lane. In memory of its own, so that a packet counts no reference.
struct SteeringLane: ~Copyable {
  /// (s) source pushes, (t) target pops.
  let ring: Ring<Packet>
  /// (c) posts itself to the target.
  let signal: ReceiveSignalRef
  /// (s) packets that went in.
  let entered = Counter()
  /// (t) packets whose work at the target is done.
  let done = Counter()
  /// (s) something went in since the signal was raised.
  var isDirty = false
}

/// A lane by its address; it lives as long as the contexts.
@safe
struct SteeringLaneRef: @unchecked Sendable {  // each field has one writer
  private let lane: UnsafeMutablePointer<SteeringLane>

  init(limit: Int, number: Int, target: ContextPortRef) {
    unsafe lane = .allocate(capacity: 1)
    unsafe lane.initialize(
      to: SteeringLane(
        ring: Ring(minimumCapacity: limit),
        signal: ReceiveSignalRef.make(
          kind: Handlers.Kind.steeringSignal, source: UInt32(number), port: target)))
  }
  func destroy() {
    unsafe lane.pointee.signal.destroy()
    unsafe lane.deinitialize(count: 1)
    unsafe lane.deallocate()
  }

  /// Packets that went in, in all. Any thread; exact for the source.
  var entered: UInt64 { unsafe lane.pointee.entered.value }
  /// Packets that were worked on, in all. Any thread; exact for the target.
  var done: UInt64 { unsafe lane.pointee.done.value }

  // MARK: Source

  /// Nil: the lane has it. Else it is full.
  func push(_ packet: consuming Packet) -> Packet? {
    if let back = unsafe lane.pointee.ring.push(packet) { return back }
    unsafe lane.pointee.entered.increment()
    unsafe lane.pointee.isDirty = true
    return nil
  }
  /// Tells the target, if there is something to tell.
  func raise() {
    guard unsafe lane.pointee.isDirty else { return }
    unsafe lane.pointee.isDirty = false
    unsafe lane.pointee.signal.raise()
  }

  // MARK: Target

  /// Takes up to `limit` packets, oldest first. True: there may be more.
  func take(limit: Int, into batch: inout PacketQueue) -> Bool {
    unsafe lane.pointee.signal.beginDrain()
    for _ in 0..<limit {
      guard let packet = unsafe lane.pointee.ring.pop() else {
        #if Explore
          if Mutation.laneDrainForgetsRaise.isOn {
            _ = unsafe lane.pointee.signal.endDrain()
            return false
          }
        #endif
        return unsafe !lane.pointee.signal.endDrain()  // keeps RX-MISSED: raised meanwhile, once more
      }
      #if Explore
        if Mutation.laneEmptiedNewestFirst.isOn {
          batch.prepend(packet)
          continue
        }
      #endif
      batch.append(packet)
    }
    return true
  }
  func finish(_ count: Int) { unsafe lane.pointee.done.increment(by: UInt64(count)) }
}

/// A lane that ends at a context.
struct IncomingLane {
  let lane: SteeringLaneRef
  var isPending = false
}

extension SoftInterrupt {
  /// Gives a packet to context `target`, whose steered-packet handler gets it in the order of its lane. Comes
  /// back, counted, when the lane is full, or when there is none: steering is off, or the target is this context.
  public func steer(_ packet: consuming Packet, to target: Int) -> Packet? {
    guard unsafe target < state.pointee.outgoing.count, let lane = unsafe state.pointee.outgoing[target]
    else {
      return packet
    }
    guard let back = lane.push(packet) else {
      unsafe state.pointee.counters.steered.increment()
      return nil
    }
    unsafe state.pointee.counters.steeringDrops.increment()
    return back
  }
  /// Whether received packets go to the home of their flow.
  public var steers: Bool { unsafe !state.pointee.outgoing.isEmpty }
}

extension ContextRunner {
  /// Packets of one pending lane: lanes follow one another, turn by turn.
  @inline(never) func receiveSteered(limit: Int, _ left: inout Allowance, _ cx: inout SoftInterrupt) {
    let count = unsafe state.pointee.incoming.count
    let start = unsafe state.pointee.nextLane
    for step in 0..<count {
      let number = (start + step) % count
      guard unsafe state.pointee.incoming[number].isPending else { continue }
      unsafe state.pointee.nextLane = number + 1
      let lane = unsafe state.pointee.incoming[number].lane
      var batch = PacketQueue()
      let isMore = lane.take(limit: max(1, min(limit, left.items)), into: &batch)
      unsafe state.pointee.incoming[number].isPending = isMore
      if !isMore { unsafe state.pointee.pendingLanes -= 1 }
      let taken = batch.count
      if taken > 0 { unsafe state.pointee.handlers._withUnsafeGuaranteedRef { $0.steered(&batch, &cx) } }
      lane.finish(taken)
      left.items -= max(1, taken)
      spendTime(of: &left)
      return
    }
  }

  /// The end of the receive levels: each target is told, once.
  @inline(__always) func raiseLanes() {
    if unsafe state.pointee.outgoing.isEmpty { return }
    for target in unsafe state.pointee.outgoing.indices { unsafe state.pointee.outgoing[target]?.raise() }
  }
}
