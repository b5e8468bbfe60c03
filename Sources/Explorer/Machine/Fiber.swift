#if Explore
  import CFiber

  /// A closure on a stack of its own, run by switching to it, on the one thread that explores.
  ///
  /// Nothing here is an exclusive access that stays open over a switch: other fibers would run inside it. Hence raw
  /// memory, touched for an instant at a time; what the closures themselves have open, the Swift runtime moves
  /// aside at each switch, as it does for tasks.
  @safe final class Fiber {
    private static var stackSize: Int { 512 << 10 }
    private static var accessBytes: Int { 16 }

    /// Where the scheduler was left, while a fiber runs: also where a trap continues. Nil otherwise.
    nonisolated(unsafe) private static let scheduler = {  // one thread explores
      let slot = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: 1)
      unsafe slot.initialize(to: nil)
      return unsafe slot
    }()
    /// The signal of the trap that ended the last fiber; 0: none did.
    // Written by the signal's handler, between two switches.
    nonisolated(unsafe) private static let trapped = {
      let slot = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
      unsafe slot.initialize(to: 0)
      return unsafe slot
    }()

    /// From here on a trap inside a fiber is an answer of ``resume()``.
    static func catchTraps() { unsafe cfiber_catch_traps(scheduler, trapped) }

    private let top: UnsafeMutableRawPointer
    private let mine: UnsafeMutablePointer<UnsafeMutableRawPointer>
    private let accesses: UnsafeMutablePointer<CChar>  // the Swift runtime's: two words
    private var body: (() -> Void)?
    private(set) var isFinished = true

    init() {
      guard let mapped = unsafe cfiber_map_stack(Self.stackSize) else {
        fatalError("no memory for the stack of a virtual thread")
      }
      unsafe top = mapped
      unsafe mine = .allocate(capacity: 1)
      unsafe mine.initialize(to: mapped)
      unsafe accesses = .allocate(capacity: Self.accessBytes)
    }
    deinit {
      unsafe cfiber_unmap_stack(top, Self.stackSize)
      unsafe mine.deallocate()
      unsafe accesses.deallocate()
    }

    /// Where the stack begins: frames lie below it.
    var stackTop: UnsafeMutableRawPointer { unsafe top }

    /// Prepares `body` to begin at the next ``resume()``. What was left in the middle is forgotten, and what its
    /// frames retained leaks.
    func prepare(_ body: @escaping () -> Void) {
      self.body = body
      isFinished = false
      unsafe accesses.initialize(repeating: 0, count: Self.accessBytes)
      unsafe mine.pointee = cfiber_prepare(
        top, { unsafe Unmanaged<Fiber>.fromOpaque($0).takeUnretainedValue().main() },
        Unmanaged.passUnretained(self).toOpaque())
    }

    /// The scheduler runs the fiber until it suspends or ends. The number of the signal if it trapped.
    @inline(never) func resume() -> Int32 {
      unsafe Self.trapped.pointee = 0
      unsafe cfiber_accesses_enter(accesses)
      unsafe Self.scheduler.withMemoryRebound(to: UnsafeMutableRawPointer.self, capacity: 1) {
        unsafe cfiber_switch($0, mine.pointee)
      }
      unsafe Self.scheduler.pointee = nil
      unsafe cfiber_accesses_exit(accesses)
      return unsafe Self.trapped.pointee
    }
    /// The fiber goes back to the scheduler.
    @inline(never) func suspend() {
      let to = unsafe Self.scheduler.pointee.unsafelyUnwrapped
      unsafe cfiber_switch(mine, to)
    }

    private func main() -> Never {
      body?()
      body = nil  // releases the captures here, not in a later run
      isFinished = true
      suspend()
      fatalError("a finished fiber was resumed")
    }
  }
#endif
