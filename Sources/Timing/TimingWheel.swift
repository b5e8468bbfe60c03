import Exclusion

/// A hierarchical timing wheel, private to one context: 4 levels of 256 slots, ticks of one millisecond.
///
/// A deadline is rounded up to a tick, so no timer fires early; it fires less than a millisecond late when
/// the context is on time. Arming, re-arming and cancelling take constant time and allocate nothing. Nothing
/// here happens per tick: occupied slots are found by bitmaps, so an idle stack does not tick and a long
/// sleep costs nothing to catch up.
///
/// A slot at level *n* holds timers of one block of 256ⁿ ticks that the present does not lie in; when time
/// reaches the block's start they move to the levels below, and until that is done time stands still there: a
/// slot of the present that is not empty is work to be done. Level 3 is a ring of 255 future blocks (49
/// days); a later deadline waits in the farthest block and is placed again from there.
///
/// Not thread-safe: the context's own thread only (TM-OWNER).
@safe public struct TimingWheel: ~Copyable {
  private let lies = InPlace()
  private let heads: UnsafeMutablePointer<UInt>  // first node of each slot's ring, 0: empty
  private let occupied: UnsafeMutablePointer<UInt64>  // 4 words per level
  /// The tick that is being dealt with.
  private var current: UInt64
  /// The tick of the latest time heard of; `current` lags behind it while the budget does not suffice.
  @usableFromInline var horizon: UInt64
  /// Nothing expires, and no block begins, before this tick: until then there is nothing to look for. What is cancelled
  /// leaves it as it is, so it may be early.
  @usableFromInline var quietUntil: UInt64 = 0 {
    didSet { quietBefore = Instant(milliseconds: quietUntil) }
  }
  /// The same as an instant.
  @usableFromInline var quietBefore = Instant.zero

  /// How many timers are armed.
  public private(set) var armedCount = 0
  /// How late timers fired.
  public private(set) var lateness = TimerLateness()
  /// How many timers were moved from one level to a lower one so far.
  public private(set) var moves: UInt64 = 0

  /// An empty wheel whose present is `now`.
  public init(now: Instant) {
    unsafe heads = .allocate(capacity: 1024)
    unsafe heads.initialize(repeating: 0, count: 1024)
    unsafe occupied = .allocate(capacity: 16)
    unsafe occupied.initialize(repeating: 0, count: 16)
    current = Self.tick(reachedAt: now)
    horizon = current
  }
  deinit {
    unsafe heads.deallocate()
    unsafe occupied.deallocate()
  }

  // MARK: Arming

  /// Arms `timer` for `deadline`, or moves it there when it is armed.
  ///
  /// A deadline that has passed fires at the next tick, never within the ``advance(to:budget:_:)`` under way:
  /// a handler that arms for the past does not loop.
  public mutating func arm(_ timer: TimerRef, at deadline: Instant) {
    if current < horizon, !isBehind { current = horizon }
    if timer.isArmed { unlink(timer) } else { armedCount &+= 1 }
    unsafe timer.node.pointee.deadline = deadline
    place(timer, tick: max(Self.tick(atOrAfter: deadline), horizon &+ 1))
  }

  /// Disarms `timer`; nothing happens when it is not armed.
  public mutating func cancel(_ timer: TimerRef) {
    guard timer.isArmed else { return }
    unlink(timer)
    unsafe timer.node.pointee.slot = TimerNode.idle
    armedCount &-= 1
  }

  // MARK: Time

  /// When the wheel next wants to be advanced: the earliest deadline, rounded up to a tick, or an earlier
  /// moment at which far timers are placed again (at most four times in a timer's life within 49 days). Nil:
  /// no timer is armed.
  public var nextDeadline: Instant? {
    guard !hasWorkAtPresent else { return Instant(milliseconds: current) }
    guard let next = nextEvent() else { return nil }
    return Instant(milliseconds: next)
  }

  /// Moves the present to `now` and takes one expired timer, disarmed; nil when there is none, or when the
  /// allowance is used up (``isBehind`` tells).
  ///
  /// For handlers that arm timers of this same wheel: nothing is borrowed between calls.
  ///
  /// - Parameters:
  ///   - now: the present; an earlier one than before is taken as unchanged.
  ///   - moves: how many timers may still be moved between levels; lowered by those that were.
  public mutating func popExpired(at now: Instant, moves: inout Int) -> TimerRef? {
    let tick = Self.tick(reachedAt: now)
    if tick > horizon { horizon = tick }
    if horizon < quietUntil {
      current = horizon
      return nil
    }
    return popDue(now, &moves)
  }
  @inline(never) private mutating func popDue(_ now: Instant, _ moves: inout Int) -> TimerRef? {
    while unsafe heads[dueSlot] == 0 {
      if let slot = cascadingSlot {
        guard cascade(slot, &moves) else { return nil }
        continue
      }
      let next = nextEvent() ?? .max
      guard next <= horizon else {
        current = horizon
        quietUntil = next
        return nil
      }
      current = next
    }
    let timer = unsafe TimerRef(address: heads[dueSlot])
    cancel(timer)
    lateness.record(now - timer.deadline)
    return timer
  }

  /// Moves the present to `now`, at which nothing can expire (``isQuiet(at:)``): what is armed next counts from there.
  public mutating func hear(of now: Instant) {
    let tick = Self.tick(reachedAt: now)
    if tick > horizon { horizon = tick }
    if horizon < quietUntil { current = horizon }
  }

  /// Whether nothing can expire at `now`: false may only mean that it has to be looked for.
  @inlinable @inline(__always) public func isQuiet(at now: Instant) -> Bool { now < quietBefore }

  /// Whether there is something to be done by `now`: what ``nextDeadline`` says, without looking for it as long as
  /// nothing can be due.
  public func isDue(by now: Instant) -> Bool {
    if max(horizon, Self.tick(reachedAt: now)) < quietUntil { return false }
    guard let deadline = nextDeadline else { return false }
    return deadline <= now
  }

  /// Whether something is left to be done at the latest time heard of: a pass ran out of its budget.
  @inlinable @inline(__always) public var isBehind: Bool { horizon < quietUntil ? false : isLookedBehind }
  @usableFromInline var isLookedBehind: Bool {
    if hasWorkAtPresent { return true }
    guard let next = nextEvent() else { return false }
    return next <= horizon
  }

  /// Moves the present to `now` and fires up to `budget` timers, earliest tick first; each is disarmed when
  /// `fire` gets it, and `fire` must not touch this wheel (use ``popExpired(at:moves:)`` where it must).
  ///
  /// - Returns: true when the budget ran out and work is left; call again, soon.
  public mutating func advance(to now: Instant, budget: Int, _ fire: (TimerRef) -> Void) -> Bool {
    var allowance = budget &* 16  // a move costs a fraction of a handler
    var left = budget
    while left > 0, let timer = popExpired(at: now, moves: &allowance) {
      fire(timer)
      left &-= 1
    }
    // With no budget left, or a budget of nothing, the present has still been heard of.
    horizon = max(horizon, Self.tick(reachedAt: now))
    return isBehind
  }

  // MARK: Slots

  /// The tick at or after `instant`.
  private static func tick(atOrAfter instant: Instant) -> UInt64 {
    let (whole, rest) = instant.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000)
    return rest == 0 ? whole : whole &+ 1
  }
  /// The last tick at or before `instant`.
  private static func tick(reachedAt instant: Instant) -> UInt64 { instant.nanoseconds / 1_000_000 }

  /// Puts a timer that is in no ring where `tick` belongs, seen from `current`.
  private mutating func place(_ timer: TimerRef, tick: UInt64) {
    let slot: Int
    let begin: UInt64
    if tick <= current {
      (slot, begin) = (dueSlot, current)
    } else if tick &>> 8 == current &>> 8 {
      (slot, begin) = (Int(tick & 255), tick)
    } else if tick &>> 16 == current &>> 16 {
      (slot, begin) = (256 | Int(tick &>> 8 & 255), tick & ~0xFF)
    } else if tick &>> 24 == current &>> 24 {
      (slot, begin) = (512 | Int(tick &>> 16 & 255), tick & ~0xFFFF)
    } else {
      let block = min(tick &>> 24, (current &>> 24) &+ 255)
      (slot, begin) = (768 | Int(block & 255), block &<< 24)
    }
    quietUntil = min(quietUntil, begin)
    link(timer, into: slot)
  }

  private mutating func link(_ timer: TimerRef, into slot: Int) {
    let first = unsafe heads[slot]
    if first == 0 {
      unsafe heads[slot] = timer.address
      unsafe timer.node.pointee.next = timer.address
      unsafe timer.node.pointee.previous = timer.address
      unsafe occupied[slot &>> 6] |= 1 &<< UInt64(slot & 63)
    } else {
      let head = TimerRef(address: first)
      let tail = unsafe TimerRef(address: head.node.pointee.previous)
      unsafe timer.node.pointee.next = first
      unsafe timer.node.pointee.previous = tail.address
      unsafe tail.node.pointee.next = timer.address
      unsafe head.node.pointee.previous = timer.address
    }
    unsafe timer.node.pointee.slot = UInt16(truncatingIfNeeded: slot)
  }

  private mutating func unlink(_ timer: TimerRef) {
    let slot = unsafe Int(timer.node.pointee.slot)
    let next = unsafe timer.node.pointee.next
    if next == timer.address {
      unsafe heads[slot] = 0
      unsafe occupied[slot &>> 6] &= ~(1 &<< UInt64(slot & 63))
    } else {
      let previous = unsafe timer.node.pointee.previous
      unsafe TimerRef(address: previous).node.pointee.next = next
      unsafe TimerRef(address: next).node.pointee.previous = previous
      if unsafe heads[slot] == timer.address { unsafe heads[slot] = next }
    }
  }

  /// Where timers of the present tick wait to be fired.
  private var dueSlot: Int { Int(current & 255) }

  /// A slot whose block the present has entered, and whose timers have not all been placed again.
  private var cascadingSlot: Int? {
    for level in 1..<4 {
      let slot = level &* 256 | Int(current &>> UInt64(level &* 8) & 255)
      if unsafe heads[slot] != 0 { return slot }
    }
    return nil
  }

  private var hasWorkAtPresent: Bool { unsafe heads[dueSlot] != 0 || cascadingSlot != nil }

  /// Places the timers of a block that time has reached. False when the allowance ran out first.
  private mutating func cascade(_ slot: Int, _ allowance: inout Int) -> Bool {
    while unsafe heads[slot] != 0 {
      guard allowance > 0 else { return false }  // keeps TM-LATE: a million TIME-WAITs do not stall a pass
      allowance &-= 1
      moves &+= 1
      let timer = unsafe TimerRef(address: heads[slot])
      unlink(timer)
      place(timer, tick: Self.tick(atOrAfter: timer.deadline))
    }
    return true
  }

  /// The first tick after `current` at which a slot expires or has to be cascaded.
  ///
  /// Whatever a level holds starts later than all of the level below, and within a level slots lie ahead of
  /// the present in order, except on the ring of level 3.
  private func nextEvent() -> UInt64? {
    for level in 0..<3 {
      let shift = UInt64(level &* 8)
      let present = Int(current &>> shift & 255)
      if let slot = firstOccupied(level: level, from: present &+ 1) {
        let parent = current & (.max &<< (shift &+ 8))
        return parent | UInt64(slot) &<< shift
      }
    }
    let block = current &>> 24
    let present = Int(block & 255)
    if let slot = firstOccupied(level: 3, from: present &+ 1) ?? firstOccupied(level: 3, from: 0) {
      return (block &+ UInt64((slot &- present) & 255)) &<< 24
    }
    return nil
  }

  private func firstOccupied(level: Int, from start: Int) -> Int? {
    guard start < 256 else { return nil }
    var word = start &>> 6
    var bits = unsafe occupied[level &* 4 &+ word] & (.max &<< UInt64(start & 63))
    while bits == 0 {
      word &+= 1
      guard word < 4 else { return nil }
      bits = unsafe occupied[level &* 4 &+ word]
    }
    return word &<< 6 | bits.trailingZeroBitCount
  }
}
