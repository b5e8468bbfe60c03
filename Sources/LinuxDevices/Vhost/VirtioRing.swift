import CLinux
import Exclusion
import Wire

/// A split virtqueue in a guest's memory, from the device's side (virtio 1.2 section 2.7). One owner at a time.
///
/// The guest may write anything there at any time. So each field is read once, into a value of ours, and that is looked
/// at and used; indices are bounded by the ring's size, chains by it and by what memory there is; a chain of no sense
/// breaks the ring, as the guest's driver has to be reset then whatever we do (section 2.1.2, DEVICE_NEEDS_RESET).
///
/// Order (section 2.7.13), each half against the other one's:
///
///     guest                                  device
///       descriptors, available.ring            available.index (acquire)
///       available.index (release)              available.ring, descriptors
///
///       used.index (acquire)                   used.ring
///       used.ring, buffers                     buffers, used.index (release)
///
///       available.index                        used.availableEvent (or flags)
///       fence                                  fence
///       used.availableEvent: kick?             available.index: was there something after all?
///
///       available.usedEvent (or flags)         used.index
///       fence                                  fence
///       used.index: something after all?       available.usedEvent: call?
@safe struct VirtioRing {
  private let descriptors: UnsafeMutableRawPointer
  private let available: UnsafeMutableRawPointer
  private let used: UnsafeMutableRawPointer
  /// Places.
  let size: Int
  private let hasEventIndex: Bool
  private let hasIndirect: Bool
  /// The next chain to be taken.
  private(set) var next: UInt16
  /// As far as the guest has told that there are chains.
  private var known: UInt16
  /// The next place in the used ring, as far as the guest was told of it, and as of its last call.
  private var usedIndex: UInt16
  private var published: UInt16
  private var called: UInt16
  private var wasCalled = false
  /// It makes no sense; nothing is taken from it any more.
  private(set) var isBroken = false
  private var isTold = false

  /// The largest ring that is served.
  static let largestSize = 1024

  /// What a chain is taken for.
  enum Head: Equatable {
    case none
    case chain(UInt16)
  }

  /// A ring of `size` places that goes on at `base`. Throws `.ringSize` and `.ringAddress`.
  init(
    _ address: VhostUserRingAddress, size: Int, base: UInt16, hasEventIndex: Bool, hasIndirect: Bool,
    in memory: borrowing GuestMemory
  ) throws(VhostError) {
    guard Self.isSize(size) else { throw .ringSize }
    guard let descriptors = unsafe memory.place(user: address.descriptors, bytes: size * 16, alignment: 16),
      let available = unsafe memory.place(user: address.available, bytes: 6 + size * 2, alignment: 2),
      let used = unsafe memory.place(user: address.used, bytes: 6 + size * 8, alignment: 4)
    else { throw .ringAddress }
    unsafe (self.descriptors, self.available, self.used) = (descriptors, available, used)
    (self.size, self.hasEventIndex, self.hasIndirect) = (size, hasEventIndex, hasIndirect)
    (next, known) = (base, base)
    usedIndex = unsafe sluice_ring_load(used + 2)
    (published, called) = (usedIndex, usedIndex)
    if !hasEventIndex { unsafe sluice_ring_store(used, 1) }
  }

  /// A power of two up to ``largestSize``.
  static func isSize(_ size: Int) -> Bool { size > 0 && size <= largestSize && size & (size - 1) == 0 }

  /// The same ring after memory was mapped anew.
  func moved(_ address: VhostUserRingAddress, to memory: borrowing GuestMemory) throws(VhostError)
    -> VirtioRing
  {
    var ring = try VirtioRing(
      address, size: size, base: next, hasEventIndex: hasEventIndex, hasIndirect: hasIndirect, in: memory)
    (ring.usedIndex, ring.published, ring.called) = (usedIndex, published, called)
    (ring.wasCalled, ring.isBroken, ring.isTold) = (wasCalled, isBroken, isTold)
    return ring
  }

  // MARK: What the guest made available

  /// Takes the next chain, by the number of its first descriptor.
  @inline(__always) mutating func take() -> Head {
    if next == known {
      guard !isBroken else { return .none }
      let index = unsafe sluice_ring_acquire(available + 2)
      guard index != next else { return .none }
      guard Int(index &- next) <= size else { return breaks() }
      known = index
    }
    let head = unsafe sluice_ring_load(available + (4 + 2 * (Int(next) & (size - 1))))
    guard Int(head) < size else { return breaks() }
    next &+= 1
    return .chain(head)
  }
  /// Gives the last `count` chains back: they are taken again.
  mutating func untake(_ count: Int) { next &-= UInt16(truncatingIfNeeded: count) }

  /// Whether there is a chain to be taken.
  var hasChain: Bool {
    next != known || hasNews
  }

  /// Whether there is more than was known when the last one was looked for.
  var hasNews: Bool { unsafe !isBroken && sluice_ring_acquire(available + 2) != known }

  private mutating func breaks() -> Head {
    fail()
    return .none
  }
  /// Takes nothing from it any more.
  mutating func fail() {
    isBroken = true
    known = next
  }
  /// True once after it broke.
  mutating func takeBreak() -> Bool {
    guard isBroken, !isTold else { return false }
    isTold = true
    return true
  }

  /// Adds where the bytes of a chain lie to `pieces`. False: it makes no sense, or is for the other direction.
  @inline(__always) func follow(
    _ head: UInt16, isWritable: Bool, in memory: borrowing GuestMemory, into pieces: inout VirtioPieces
  ) -> Bool {
    var table = unsafe descriptors
    var (limit, isIndirect) = (size, false)
    var index = Int(head)
    var steps = 0
    while true {
      // A chain has no more descriptors than its table: else it is a loop.
      guard index < limit, steps < limit else { return false }
      steps += 1
      let address = unsafe sluice_ring_load_word(table + 16 * index)
      let rest = unsafe sluice_ring_load_word(table + (16 * index + 8))
      let length = Int(UInt32(truncatingIfNeeded: rest))
      let flags = UInt16(truncatingIfNeeded: rest &>> 32)
      if flags & Flag.indirect != 0 {
        guard hasIndirect, !isIndirect, flags & Flag.next == 0, length > 0, length & 15 == 0,
          length >> 4 <= Self.largestSize, let (at, count) = unsafe memory.find(address, length),
          count == length,
          UInt(bitPattern: at) & 7 == 0
        else { return false }
        unsafe table = at
        (limit, isIndirect, index, steps) = (length >> 4, true, 0, 0)
        continue
      }
      guard (flags & Flag.write != 0) == isWritable else { return false }
      guard add(address, length, in: memory, to: &pieces) else { return false }
      guard flags & Flag.next != 0 else { return true }
      index = Int(UInt16(truncatingIfNeeded: rest &>> 48))
    }
  }

  @inline(__always) private func add(
    _ start: UInt64, _ length: Int, in memory: borrowing GuestMemory, to pieces: inout VirtioPieces
  ) -> Bool {
    var (address, left) = (start, length)
    while left > 0 {
      guard let (at, count) = unsafe memory.find(address, left), unsafe pieces.add(at, count) else {
        return false
      }
      address &+= UInt64(count)
      left -= count
    }
    return true
  }

  private enum Flag {
    static let next: UInt16 = 1, write: UInt16 = 2, indirect: UInt16 = 4
  }

  /// Asks to be kicked for what comes beyond what is known. True: something came meanwhile, for which there may be no kick.
  func askForKick() -> Bool {
    unsafe hasEventIndex ? sluice_ring_store(used + (4 + 8 * size), known) : sluice_ring_store(used, 0)
    fullFence()
    return hasNews
  }
  /// Takes what comes without being kicked. With an event index that passes by itself: the index that was asked for is
  /// behind.
  func wantNoKick() {
    if !hasEventIndex { unsafe sluice_ring_store(used, 1) }
  }

  // MARK: What is done

  /// A chain is done, and so many bytes were written to it. The guest sees it once it is ``publish()``ed.
  @inline(__always) mutating func finish(_ head: UInt16, bytes: Int) {
    unsafe sluice_ring_store_used(
      used + (4 + 8 * (Int(usedIndex) & (size - 1))), UInt32(head), UInt32(truncatingIfNeeded: bytes))
    usedIndex &+= 1
  }

  /// Shows the guest what is done. True: it wants to be called for it.
  mutating func publish() -> Bool {
    guard usedIndex != published else { return false }
    unsafe sluice_ring_release(used + 2, usedIndex)
    published = usedIndex
    fullFence()
    guard hasEventIndex else { return unsafe sluice_ring_load(available) & 1 == 0 }
    let event = unsafe sluice_ring_load(available + (4 + 2 * size))
    let isPassed = usedIndex &- event &- 1 < usedIndex &- called
    defer { (called, wasCalled) = (usedIndex, true) }
    return isPassed || !wasCalled
  }
}
