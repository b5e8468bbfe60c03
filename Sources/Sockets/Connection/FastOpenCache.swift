// What connecting sockets know of Fast Open (RFC 7413 section 4.1.3): cookies by destination, and where they were in vain.
// Contexts write, and application threads read before they connect; neither waits. Each slot is a sequence of words
// with a version, odd while somebody writes: a writer that finds it odd leaves its news out, a reader takes nothing.
//
//   writer                                   reader
//     CAS version even → odd                   v = version (acquire); odd: nothing is known
//     the words                                the words (acquire)
//     version = odd + 1 (release)              version still v: the words belong together
//
// The words lie between the two versions for the writer, since the CAS acquires and the last store releases; and for
// the reader, since the words are loaded with acquire before the version is looked at again, and a word of a later
// writer brings the odd version with it.

import Exclusion
import TCP
import Timing
import Wire

/// One destination. (a) all words.
private struct FastOpenSlot: ~Copyable {
  let version = AtomicWord(0)
  let high = AtomicWord(0)
  let low = AtomicWord(0)
  let cookieFront = AtomicWord(0)
  let cookieBack = AtomicWord(0)
  /// Segment size 16 · cookie length 8 · form 8 · losses 8 · tried forms 8.
  let facts = AtomicWord(0)
  /// When the last SYN was lost, in nanoseconds.
  let lostAt = AtomicWord(0)
  private let padding: UInt64 = 0
}

/// The cache: a slot for each destination, and the newer of two with the same slot.
@safe
package final class FastOpenCache: @unchecked Sendable {  // all words are atomic
  static var capacity: Int { 1024 }
  private let slots: UnsafeMutablePointer<FastOpenSlot>
  private let key: HashKey

  /// An empty cache.
  package init(key: HashKey) {
    self.key = key
    unsafe slots = .allocate(capacity: Self.capacity)
    for index in 0..<Self.capacity { unsafe (slots + index).initialize(to: FastOpenSlot()) }
  }
  deinit {
    unsafe slots.deinitialize(count: Self.capacity)
    unsafe slots.deallocate()
  }

  /// What is known of one destination.
  package struct Entry: Equatable {
    package var cookie = InlineBytes<16>()
    var form = TCPFastOpenForm.standard
    package var segment: UInt16 = 536
    /// SYNs in a row that seem to have been lost because of Fast Open.
    var losses: UInt8 = 0
    var lostAt = Instant.zero
    /// 1: the standard form was in vain; 2: the experimental one was, too.
    var tried: UInt8 = 0

    /// Two losses in a row are no chance: plain SYNs for two minutes, and longer each time (section 4.1.3.1).
    func isAvoided(_ now: Instant) -> Bool {
      losses > 1 && now - lostAt < .seconds(60) * Int64(1 << min(losses, 10))
    }
  }

  private func slot(_ address: IPAddress) -> UnsafeMutablePointer<FastOpenSlot> {
    let hash = keyedHash(key, address.high, address.low)
    return unsafe slots + Int(truncatingIfNeeded: hash % UInt64(Self.capacity))
  }

  /// What is known; any thread.
  package func find(_ address: IPAddress) -> Entry? {
    let slot = unsafe slot(address)
    let version = unsafe slot.pointee.version.load()
    guard version > 0, version & 1 == 0 else { return nil }
    let entry = unsafe read(slot, address)
    #if Explore
      if Mutation.cookieNotLookedAtAgain.isOn { return entry }
    #endif
    return unsafe slot.pointee.version.load() == version ? entry : nil
  }

  private func read(_ slot: UnsafeMutablePointer<FastOpenSlot>, _ address: IPAddress) -> Entry? {
    guard unsafe slot.pointee.high.load() == address.high, unsafe slot.pointee.low.load() == address.low
    else {
      return nil
    }
    let facts = unsafe slot.pointee.facts.load()
    let words = unsafe (slot.pointee.cookieFront.load(), slot.pointee.cookieBack.load())
    var entry = Entry()
    entry.segment = UInt16(truncatingIfNeeded: facts)
    for index in 0..<min(16, Int(facts >> 16 & 0xFF)) {
      let word = index < 8 ? words.0 : words.1
      entry.cookie.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * (index & 7))))
    }
    entry.form = TCPFastOpenForm(rawValue: UInt8(truncatingIfNeeded: facts >> 24)) ?? .standard
    entry.losses = UInt8(truncatingIfNeeded: facts >> 32)
    entry.tried = UInt8(truncatingIfNeeded: facts >> 40)
    entry.lostAt = unsafe Instant(nanoseconds: slot.pointee.lostAt.load())
    return entry
  }

  /// Takes note of what came of an attempt; any context. While somebody else writes the same slot it is left out: the
  /// next attempt tells again.
  package func note(_ address: IPAddress, _ outcome: TCPFastOpenOutcome, now: Instant) {
    let slot = unsafe slot(address)
    var version = unsafe slot.pointee.version.load()
    #if Explore
      if Mutation.cookieWrittenUnclaimed.isOn { unsafe slot.pointee.version.store(version | 1) }
    #endif
    guard version & 1 == 0, unsafe slot.pointee.version.compareExchange(&version, version + 1) else { return }
    var entry = unsafe version > 0 ? read(slot, address) ?? Entry() : Entry()
    Self.merge(&entry, outcome, now)
    var words: (UInt64, UInt64) = (0, 0)
    for index in 0..<entry.cookie.count {
      let byte = UInt64(entry.cookie[index]) << UInt64(8 * (index & 7))
      if index < 8 { words.0 |= byte } else { words.1 |= byte }
    }
    unsafe slot.pointee.high.store(address.high)
    unsafe slot.pointee.low.store(address.low)
    unsafe slot.pointee.cookieFront.store(words.0)
    unsafe slot.pointee.cookieBack.store(words.1)
    unsafe slot.pointee.facts.store(
      UInt64(entry.segment) | UInt64(entry.cookie.count) << 16 | UInt64(entry.form.rawValue) << 24
        | UInt64(entry.losses) << 32 | UInt64(entry.tried) << 40)
    unsafe slot.pointee.lostAt.store(entry.lostAt.nanoseconds)
    unsafe slot.pointee.version.store(version + 2)
  }

  /// Forgets everything; any thread. What somebody writes at the moment stays.
  func forget() {
    for index in 0..<Self.capacity {
      let slot = unsafe slots + index
      var version = unsafe slot.pointee.version.load()
      guard version > 0, version & 1 == 0,
        unsafe slot.pointee.version.compareExchange(&version, version + 1)
      else { continue }
      unsafe slot.pointee.high.store(0)
      unsafe slot.pointee.low.store(0)
      unsafe slot.pointee.facts.store(0)
      unsafe slot.pointee.version.store(version + 2)
    }
  }

  private static func merge(_ entry: inout Entry, _ outcome: TCPFastOpenOutcome, _ now: Instant) {
    entry.segment = outcome.segment
    if outcome.isRefused {
      // For a quarter of an hour.
      (entry.cookie, entry.losses, entry.lostAt) = (InlineBytes(), 4, now)
      return
    }
    if let cookie = outcome.cookie {
      (entry.cookie, entry.form) = (cookie, outcome.form)
    } else if outcome.wasIgnored, entry.cookie.count == 0 {
      entry.tried = max(entry.tried, outcome.form == .experimental ? 2 : 1)
    }
    if outcome.synLost {
      entry.losses = min(entry.losses + 1, 200)
      entry.lostAt = now
    } else {
      entry.losses = 0
    }
  }

  /// What the next connection to `address` tries; nil: a plain SYN. Any thread.
  func attempt(_ address: IPAddress, _ settings: TCPFastOpen, now: Instant) -> TCPFastOpenAttempt? {
    guard settings.contains(.client) else { return nil }
    let entry = find(address)
    if entry?.isAvoided(now) ?? false { return nil }
    if settings.contains(.clientWithoutCookie), entry?.cookie.count ?? 0 == 0 {
      return TCPFastOpenAttempt(needsNoCookie: true, segment: entry?.segment ?? 1460)
    }
    guard let entry else { return TCPFastOpenAttempt() }
    if entry.cookie.count > 0 {
      return TCPFastOpenAttempt(cookie: entry.cookie, form: entry.form, segment: entry.segment)
    }
    // The other form once, then this one again.
    return TCPFastOpenAttempt(form: entry.tried == 1 ? .experimental : .standard)
  }
}
