// How a source of packets learns that what it sent has left this host (TCP small queues, DESIGN section 5).
//
// The source takes credit for what it hands down, and stops when it has as much below as it may. Whoever is done
// with a packet gives its credit back, and rings the source's bell if it waits. All in one word, so neither side
// needs a fence: the wish to be told is in the word before the credit comes back, or the credit was there.

public import Exclusion

/// What one source has on its way to the links: in its queues, and with devices. Lies at a fixed address in the
/// source's own block, which lives until all credit is back (``PacketCreditRef/endsLater()``).
@frozen public struct PacketCredit: ~Copyable, Sendable {
  /// (a) Bytes that are out · LAST · WANTED.
  @usableFromInline let word = AtomicWord(0)
  /// (a) Below this the source is told; written before WANTED.
  @usableFromInline let limit = AtomicWord(1)
  /// (c) Tells the source.
  @usableFromInline let bell: GateBell

  /// Nothing is out; `bell` tells the source that it may go on.
  @inlinable public init(bell: GateBell) { self.bell = bell }

  @inlinable static var wanted: UInt64 { 1 }
  @inlinable static var last: UInt64 { 2 }
  @inlinable static func bytes(_ word: UInt64) -> Int { Int(truncatingIfNeeded: word &>> 2) }
}

/// A source's account by its address.
@safe @frozen public struct PacketCreditRef: Hashable, @unchecked Sendable {  // what it refers to is atomic
  @usableFromInline let credit: UnsafePointer<PacketCredit>

  /// The account at `credit`, which outlives its packets.
  @inlinable public init(_ credit: UnsafePointer<PacketCredit>) { unsafe self.credit = credit }
  @inlinable init?(address: UInt) {
    guard let credit = unsafe UnsafePointer<PacketCredit>(bitPattern: address) else { return nil }
    unsafe self.credit = credit
  }
  @inlinable var address: UInt { unsafe UInt(bitPattern: credit) }

  // MARK: The source

  /// Bytes that are out, as ``Packet/charge`` counts.
  @inlinable public var outstanding: Int { unsafe PacketCredit.bytes(credit.pointee.word.load()) }

  /// So many bytes more are about to be handed down. The source, before it does.
  @inlinable public func take(_ bytes: Int) { unsafe credit.pointee.word.add(UInt64(bytes) &<< 2) }

  /// The source has more to send than it may. True: the bell will ring once less than `limit` bytes (at least 1)
  /// are out. False: that is so already.
  @inlinable public func waits(below limit: Int) -> Bool {
    unsafe credit.pointee.limit.storeRelaxed(UInt64(max(1, limit)))
    var seen = unsafe credit.pointee.word.load()
    #if Explore
      if Mutation.creditAwaitedByStore.isOn, PacketCredit.bytes(seen) >= max(1, limit) {
        unsafe credit.pointee.word.store(seen | PacketCredit.wanted)
        return true
      }
    #endif
    repeat {
      if PacketCredit.bytes(seen) < max(1, limit) { return false }
    } while unsafe !credit.pointee.word.compareExchange(&seen, seen | PacketCredit.wanted)
    return true
  }

  /// The source sends nothing more. True: some credit is out, its block must stay until the bell has rung for the
  /// last of it. False: nothing is out.
  @inlinable public func endsLater() -> Bool {
    var seen = unsafe credit.pointee.word.load()
    repeat {
      if PacketCredit.bytes(seen) == 0 { return false }
    } while unsafe !credit.pointee.word.compareExchange(&seen, seen | PacketCredit.last)
    return true
  }

  // MARK: Whoever is done with a packet

  /// So many bytes are no longer this host's concern. Any thread that may hold packets, with anything owned: what
  /// the source does about it is posted.
  @inlinable public func give(_ bytes: Int) {
    // Read first: after the word has changed the source may be gone with its next grace period.
    let bell = unsafe credit.pointee.bell
    var seen = unsafe credit.pointee.word.load()
    var after: UInt64
    var isTold: Bool
    repeat {
      after = seen &- UInt64(bytes) &<< 2
      let rest = PacketCredit.bytes(after)
      isTold =
        unsafe seen & PacketCredit.wanted != 0 && rest < Int(credit.pointee.limit.loadRelaxed())
        || seen & PacketCredit.last != 0 && rest == 0
      if isTold { after &= ~PacketCredit.wanted }
    } while unsafe !credit.pointee.word.compareExchange(&seen, after)
    #if Explore
      if Mutation.creditReturnedUnheard.isOn { return }
    #endif
    if isTold { bell.ring() }
  }

  /// The same account.
  @inlinable public static func == (a: PacketCreditRef, b: PacketCreditRef) -> Bool { a.address == b.address }
  /// By address.
  @inlinable public func hash(into hasher: inout Hasher) { hasher.combine(address) }
}

extension Packet {
  /// What the packet counts for while it is out: the memory that it occupies, in bytes.
  @inlinable public var charge: Int { Packet.occupied &+ attachedCount }
  /// Whose account the packet is on. Setting it takes no credit: a source takes it for many at once.
  @inlinable public var credit: PacketCreditRef? {
    get { PacketCreditRef(address: metadata.creditOwner) }
    set { metadata.creditOwner = newValue?.address ?? 0 }
  }
  /// Takes the packet off its source's account without giving anything back: the source goes away with it.
  @inlinable public mutating func forfeitCredit() { metadata.creditOwner = 0 }

  /// A packet is freed: the credit goes back. Half of ``release(_:)``.
  @usableFromInline static func settle(_ owner: UInt, _ slot: UnsafeMutableRawPointer) {
    let attached = unsafe slot.load(fromByteOffset: PacketLayout.attachment, as: UInt32.self) & 0xff_ffff
    PacketCreditRef(address: owner)?.give(Packet.occupied &+ Int(attached))
  }
}

extension PacketQueue {
  /// Puts all packets on an account, or takes them off theirs; gives and takes no credit.
  public mutating func setCredit(_ credit: PacketCreditRef?) {
    var next = items.first
    while let item = next {
      next = item.next
      var packet = Packet(item: item)
      packet.credit = credit
      _ = packet.intoItem()
    }
  }
}

/// Credit that is to be given back, collected while it is one source's: packets come in runs of one source, which
/// then cost one change of its word. Private to whoever holds it.
@frozen public struct CreditRun: ~Copyable, Sendable {
  @usableFromInline var owner: PacketCreditRef?
  @usableFromInline var bytes = 0

  /// Nothing to give.
  @inlinable public init() {}

  /// Adds a packet's credit.
  @inlinable public mutating func add(_ credit: PacketCreditRef, _ charge: Int) {
    if owner != credit { settle() }
    owner = credit
    bytes &+= charge
  }
  /// Gives back what was collected.
  @inlinable public mutating func settle() {
    guard let owner = owner.take() else { return }
    owner.give(bytes)
    bytes = 0
  }
}
