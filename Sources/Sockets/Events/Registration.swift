// One registration of an event queue, in a slot of the queue's that is used again after a grace period.
//
//   offset  size  what                                            who
//   0         64  item: its link in the ready list, or in `gone`  who holds it
//   64        64  `RegistrationBody`                              see its fields
//   128       40  wheel node of a timer                           its home context
//
// The state is one word: QUEUED, DETACHED, DISABLED, the trigger, pending edges, interest, generation.
//
// A raise sets QUEUED by the compare-and-swap that also notes the edges; who set it, and nobody else, puts the
// registration on the ready list. A harvest clears QUEUED and the edges, fences, and looks at the socket. So the
// two halves are
//
//     raise:    update the data · fence · load the state: QUEUED, this edge pending? then leave it
//     harvest:  clear QUEUED and the edges · fence · look at the data
//
// and one of them sees the other (SB-FENCE): an edge is told, or it was there to be seen when the registration was
// looked at. It is the same at registration: publish in the socket's list, fence, look, against update, fence,
// look at the list.
//
// Who ends it: the socket's close, or remove and the queue's close, whoever takes it out of the socket's list. That
// one sets DETACHED, once. From then on nobody sets QUEUED. If it was QUEUED then, whoever takes it off the ready
// list gives the slot back; if not, who detached it does.

import Exclusion
import SoftInterrupts
import Timing

/// Key: (l) the queue's lock, (c) constant while the slot is in use, (a) atomic.
@safe
struct RegistrationBody: ~Copyable {
  /// (l) What it watches.
  var watched = Watched.user
  /// (l) The user's.
  var token: UInt64 = 0
  /// (c) Nanoseconds between two expiries of a timer; 0: it expires once.
  var interval: UInt64 = 0
  /// (c) The queue; it outlives its slots.
  let queue: EventQueueRef
  /// (a) See above.
  let state = AtomicWord(0)
  /// (a) Triggers or expiries that were not told yet.
  let count = AtomicWord(0)

  init(queue: EventQueueRef) { self.queue = queue }
}

/// A registration by its address. Who keeps one holds the queue's lock or is inside a grace section.
@safe
struct RegistrationRef: Hashable, @unchecked Sendable {  // every field behind it says who protects it
  let raw: UnsafeMutableRawPointer

  static var bytes: Int { 192 }
  private static var bodyOffset: Int { 64 }
  private static var timerOffset: Int { 128 }

  init(_ raw: UnsafeMutableRawPointer) { unsafe self.raw = raw }
  var item: ItemRef { unsafe ItemRef(raw) }
  var body: UnsafeMutablePointer<RegistrationBody> {
    unsafe (raw + Self.bodyOffset).assumingMemoryBound(to: RegistrationBody.self)
  }
  var timer: TimerRef { unsafe TimerRef((raw + Self.timerOffset).assumingMemoryBound(to: TimerNode.self)) }
  var queue: EventQueueRef { unsafe body.pointee.queue }

  static func == (a: RegistrationRef, b: RegistrationRef) -> Bool { unsafe a.raw == b.raw }
  func hash(into hasher: inout Hasher) { unsafe hasher.combine(raw) }

  /// A slot in fresh memory, detached.
  static func make(_ queue: EventQueueRef) -> RegistrationRef {
    precondition(MemoryLayout<RegistrationBody>.size <= 64)
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    let registration = unsafe RegistrationRef(raw)
    unsafe registration.body.initialize(to: RegistrationBody(queue: queue))
    unsafe registration.body.pointee.state.storeRelaxed(State.detached)
    _ = unsafe TimerRef.initialize(
      at: raw + timerOffset, kind: SocketKind.eventTimer, owner: UInt(bitPattern: raw))
    return registration
  }
  func destroy() {
    timer.retire()
    unsafe body.deinitialize(count: 1)
    unsafe raw.deallocate()
  }

  // MARK: The state word

  enum State {
    static let queued: UInt64 = 1 << 0
    static let detached: UInt64 = 1 << 1
    static let disabled: UInt64 = 1 << 2
    static let edge: UInt64 = 1 << 3
    static let oneShot: UInt64 = 1 << 4
    /// A user event or timer that was removed; it is detached at once, or when it is off its wheel.
    static let ending: UInt64 = 1 << 5
    static let pending: UInt64 = 0xFF << 8
    static let interest: UInt64 = 0xFF << 16
    static let generations: UInt64 = ~0 << 32

    static func pending(_ word: UInt64) -> SocketEvents {
      SocketEvents(rawValue: UInt8(truncatingIfNeeded: word >> 8))
    }
    static func interest(_ word: UInt64) -> SocketEvents {
      SocketEvents(rawValue: UInt8(truncatingIfNeeded: word >> 16))
    }
    static func asking(_ interest: SocketEvents, _ trigger: EventTrigger) -> UInt64 {
      let mode: UInt64 =
        switch trigger {
        case .level: 0
        case .edge: edge
        case .oneShot: oneShot
        }
      return UInt64(interest.rawValue) << 16 | mode
    }
  }

  /// The state, acquired.
  var word: UInt64 { unsafe body.pointee.state.load() }
  /// Changes the state in one step, or shows what it is.
  @inline(__always) func change(_ seen: inout UInt64, _ after: UInt64) -> Bool {
    unsafe body.pointee.state.compareExchange(&seen, after)
  }
  var isDetached: Bool { word & State.detached != 0 }
  /// How often the slot was used, modulo 2³²: a handle that remembers it knows whether it is still its own.
  var generation: UInt32 { UInt32(truncatingIfNeeded: word >> 32) }
  func isLive(_ generation: UInt32) -> Bool {
    let word = word
    return word & (State.detached | State.ending) == 0 && UInt32(truncatingIfNeeded: word >> 32) == generation
  }

  // MARK: The queue's lock held

  /// Begins to use the slot, which nobody can find yet.
  func begin(_ watched: Watched, _ interest: SocketEvents, _ trigger: EventTrigger, token: UInt64) {
    let body = unsafe body
    unsafe body.pointee.watched = watched
    unsafe body.pointee.token = token
    unsafe body.pointee.interval = 0
    unsafe body.pointee.count.store(0)
    let generation = unsafe (body.pointee.state.loadRelaxed() & State.generations) &+ 1 << 32
    unsafe body.pointee.state.store(generation | State.asking(interest, trigger))
  }

  /// Asks for something else from now on, and again if it was once only.
  func change(_ interest: SocketEvents, _ trigger: EventTrigger, token: UInt64) {
    unsafe body.pointee.token = token
    var seen = word
    let asked = State.interest | State.edge | State.oneShot | State.disabled
    while !change(&seen, seen & ~asked | State.asking(interest, trigger)) {}
  }

  /// What is true already counts as an edge. Whom to wake, if somebody waits for it. Inside a grace section.
  func raiseWhatIsTrue() -> WakeTarget? {
    #if Explore
      if Mutation.registrationWithoutLook.isOn { return nil }
    #endif
    fullFence()  // keeps SB-FENCE: the registration before the look, against the update before the raise
    let interest = State.interest(word)
    return raise(readiness(asking: interest).events)
  }

  /// What is true now. Inside a grace section in which the registration was seen not detached.
  func readiness(asking interest: SocketEvents) -> Readiness {
    switch unsafe body.pointee.watched {
    case .stream, .listener, .datagram: return unsafe body.pointee.watched.readiness(asking: interest)
    case .user, .timer:
      let count = unsafe Int(clamping: body.pointee.count.load())
      return Readiness(events: count > 0 ? .triggered : [], available: count)
    }
  }

  // MARK: Any thread, inside a grace section

  /// `edges` became true, or more true, and the data says so since before a full fence. Puts the registration on
  /// the ready list unless it is there, and returns whom to wake. Takes no lock, allocates nothing, waits for
  /// nobody.
  func raise(_ edges: SocketEvents) -> WakeTarget? {
    var seen = word
    while true {
      let wanted = edges.intersection(State.interest(seen))
      guard !wanted.isEmpty, seen & (State.detached | State.disabled) == 0 else { return nil }
      let after = seen | State.queued | UInt64(wanted.rawValue) << 8
      // Queued, with this edge: who takes it off the list looks at the data after that.
      if after == seen { return nil }
      let wasQueued = seen & State.queued != 0
      guard change(&seen, after) else { continue }
      return wasQueued ? nil : queue.makeReady(self)
    }
  }

  /// Ends it, for who took it out of its socket's list.
  func end() {
    queue.countEnd()
    detach()
  }

  /// From here on nobody puts it on the ready list. Once, by who ended it. What is not on the list is given back
  /// here, the rest by who takes it off.
  func detach() {
    let before = unsafe body.pointee.state.formOr(State.detached)
    precondition(before & State.detached == 0, "SO-REF: a registration ends once")
    if before & State.queued == 0 { queue.giveBack(self) }
  }
}
