/// Grace periods by quiescence: who takes memory out of a shared table reuses it only when everyone who may have
/// found it has let go (PCB-GRACE). Readers are contexts, which say so after each pass at the price of a load and
/// a store, and application threads, which pin for the length of a look-up and a submit.
///
/// A reader's word is 0 while it holds nothing, else the epoch it saw last. A retirer unlinks, then advances the
/// epoch; when every word is 0 or at least that, nobody can still hold what was unlinked.
///
/// Of the pins few are ever used, as a thread begins to look for one where it found one last. A word says which were:
/// the first to take one sets its bit before it pins, so that a scan which does not find the bit is before the pin, by
/// the fences that both have anyway.
@safe public final class GraceDomain: @unchecked Sendable {
  /// How many contexts report.
  public let contexts: Int
  /// How many application threads may be inside at once; one more waits for a place.
  public let pins: Int
  /// One cache line each: the epoch, what is known to have passed, the pins that were ever taken, the readers.
  let lines: UnsafeMutableRawPointer
  private let pinWaits = SharedCounter()

  static let lineBytes = 64
  static let epochLine = 0
  static let passedLine = 64
  static let takenLine = 128
  static let firstReader = 192
  static let offline: UInt64 = 0

  /// A domain of contexts numbered from 0, all offline.
  ///
  /// - Parameter pins: 1...64.
  public init(contexts: Int, pins: Int = 64) {
    precondition(contexts >= 0 && 1...64 ~= pins)
    self.contexts = contexts
    self.pins = pins
    let bytes = Self.firstReader + (contexts + pins) * Self.lineBytes
    unsafe lines = SharedMemory.allocate(byteCount: bytes, alignment: Self.lineBytes)
    unsafe lines.initializeMemory(as: UInt64.self, repeating: 0, count: bytes / 8)
    unsafe atomicWord(lines, Self.epochLine).pointee.store(1)
  }
  deinit {
    unsafe SharedMemory.deallocate(lines, byteCount: Self.firstReader + (contexts + pins) * Self.lineBytes)
  }

  private func reader(_ number: Int) -> UnsafePointer<AtomicWord> {
    unsafe atomicWord(lines, Self.firstReader + number * Self.lineBytes)
  }
  private var epoch: UnsafePointer<AtomicWord> { unsafe atomicWord(lines, Self.epochLine) }
  private var passed: UnsafePointer<AtomicWord> { unsafe atomicWord(lines, Self.passedLine) }
  private var taken: UnsafePointer<AtomicWord> { unsafe atomicWord(lines, Self.takenLine) }

  // MARK: Readers

  /// Context `context` holds nothing that it found before.
  public func quiescent(context: Int) { GraceReader(self, context: context).quiescent() }
  /// Context `context` holds nothing and will look at nothing until `online`.
  public func offline(context: Int) { GraceReader(self, context: context).offline() }
  /// Context `context` may look again.
  public func online(context: Int) { GraceReader(self, context: context).online() }

  /// The place of an application thread that is inside.
  public struct Pin: Sendable { fileprivate let place: Int }

  /// An application thread may look. For the length of a look-up and a submit; nests. Unpinned exactly once.
  public func pin() -> Pin {
    let start = Int(truncatingIfNeeded: threadHash() % UInt64(pins))
    while true {
      for step in 0..<pins {
        let place = (start + step) % pins
        var free = Self.offline
        let seen = unsafe epoch.pointee.load()
        let word = unsafe reader(contexts + place)
        #if Explore
          if !Mutation.pinNotAnnounced.isOn { announce(place) }
        #else
          announce(place)
        #endif
        #if Explore
          if Mutation.pinByPlainStore.isOn, unsafe word.pointee.loadRelaxed() == free {
            unsafe word.pointee.store(seen)
            return Pin(place: place)
          }
        #endif
        if unsafe word.pointee.loadRelaxed() == free, unsafe word.pointee.compareExchange(&free, seen) {
          fullFence()  // the pin before every look, against the unlink before the scan
          return Pin(place: place)
        }
      }
      pinWaits.increment()
      yieldProcessor()
    }
  }
  /// The first time that the pin is taken, for ever.
  @inline(__always) private func announce(_ place: Int) {
    let bit = 1 as UInt64 &<< UInt64(place)
    if unsafe taken.pointee.loadRelaxed() & bit == 0 { unsafe taken.pointee.formOr(bit) }
  }
  /// It holds nothing any more.
  public func unpin(_ pin: Pin) { unsafe reader(contexts + pin.place).pointee.store(Self.offline) }
  /// Runs `body` pinned.
  @inline(__always)
  public func withPin<R: ~Copyable, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    let pin = pin()
    defer { unpin(pin) }
    return try body()
  }

  // MARK: Retirers

  /// The epoch now.
  public func currentEpoch() -> UInt64 { unsafe epoch.pointee.load() }
  /// Begins an epoch, after something was unlinked, and returns its number: the memory may be reused when it
  /// `hasPassed`. Any thread.
  public func advance() -> UInt64 { unsafe epoch.pointee.add(1) + 1 }

  /// Whether nobody can hold what was unlinked before `epoch` began. Any thread; never waits.
  public func hasPassed(_ epoch: UInt64) -> Bool {
    #if Explore
      if Mutation.graceNeverAwaited.isOn { return true }
    #endif
    if unsafe passed.pointee.load() >= epoch { return true }
    // Those who are offline from here on will see what was unlinked before now, and no more.
    var oldest = unsafe self.epoch.pointee.load()
    fullFence()
    func look(_ number: Int) {
      let seen = unsafe reader(number).pointee.load()
      if seen != Self.offline && seen < oldest { oldest = seen }
    }
    for number in 0..<contexts { look(number) }
    var places = unsafe taken.pointee.load()
    while places != 0 {
      look(contexts + places.trailingZeroBitCount)
      places &= places &- 1
    }
    var known = unsafe passed.pointee.load()
    while known < oldest { if unsafe passed.pointee.compareExchange(&known, oldest) { break } }
    return oldest >= epoch
  }

  /// Who keeps `epoch` from passing, for a watchdog: contexts by number, then pins by `contexts` + place.
  public func stragglers(before epoch: UInt64) -> [Int] {
    (0..<(contexts + pins)).filter { number in
      let seen = unsafe reader(number).pointee.load()
      return seen != Self.offline && seen < epoch
    }
  }
  /// How often a thread found every pin taken.
  public var waitsForPin: UInt64 { pinWaits.value }
}

/// A context's way to its domain: two addresses, no reference counting. Without a domain it does nothing.
@safe @frozen @usableFromInline struct GraceReader: @unchecked Sendable {
  private let word: UnsafePointer<AtomicWord>?
  private let epoch: UnsafePointer<AtomicWord>?

  init(_ domain: GraceDomain?, context: Int) {
    guard let domain else {
      unsafe (word, epoch) = (nil, nil)
      return
    }
    precondition(0..<domain.contexts ~= context)
    unsafe word = atomicWord(domain.lines, GraceDomain.firstReader + context * GraceDomain.lineBytes)
    unsafe epoch = atomicWord(domain.lines, GraceDomain.epochLine)
  }

  func quiescent() {
    guard let word = unsafe word, let epoch = unsafe epoch else { return }
    // Acquiring the epoch shows what was unlinked before it; releasing it ends the reads before.
    unsafe word.pointee.store(epoch.pointee.load())
  }
  func offline() { unsafe word?.pointee.store(GraceDomain.offline) }
  func online() {
    guard let word = unsafe word, let epoch = unsafe epoch else { return }
    unsafe word.pointee.store(epoch.pointee.load())
    #if Explore
      if Mutation.onlineWithoutFence.isOn { return }
    #endif
    fullFence()  // online before every look, against the unlink before the scan
  }
}
