#if Explore
  /// What a word operation may assume and what it promises, as C11 has it.
  @frozen public enum WordOrder: UInt8, Sendable {
    /// Nothing.
    case relaxed
    /// A load that acquires, or a store that releases.
    case synchronizing
  }

  /// A word of shared memory: where it is, and how wide.
  @safe @frozen public struct WordPlace: @unchecked Sendable {  // the machine alone looks behind it
    /// Its address.
    public let raw: UnsafeMutableRawPointer
    /// 32 bits rather than 64.
    public let isHalf: Bool
    @usableFromInline init(_ raw: UnsafeMutableRawPointer, isHalf: Bool) {
      unsafe self.raw = raw
      self.isHalf = isHalf
    }
  }

  /// What takes the processor's and the kernel's place while schedules are explored (trait `Explore`). Everything
  /// that threads do to each other comes through here: a machine that runs one virtual thread at a time decides,
  /// at each call, who goes on. Called on virtual threads only, but for `isRunning`.
  public protocol VirtualMachine: AnyObject {
    /// Whether the calling code runs on a virtual thread.
    var isRunning: Bool { get }

    /// The word's value.
    func load(_ place: WordPlace, _ order: WordOrder) -> UInt64
    /// Changes the word; others may see it later.
    func store(_ place: WordPlace, _ value: UInt64, _ order: WordOrder)
    /// Reads the word and, unless `change` returns nil, writes it, in one step that acquires and releases.
    func update(_ place: WordPlace, _ change: (UInt64) -> UInt64?) -> UInt64
    /// Orders all before before all after.
    func fence()

    /// Memory that is not atomic is about to be read.
    func read(_ raw: UnsafeRawPointer)
    /// Memory that is not atomic is about to be written.
    func write(_ raw: UnsafeRawPointer)
    /// Memory is about to be looked at by someone who does not own it, but relies on its being there.
    func look(_ raw: UnsafeRawPointer)
    /// A statistic that says nothing about what happens next lies here.
    func statistic(_ raw: UnsafeRawPointer)

    /// Zeroed memory, until the end of the schedule at the latest.
    func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer
    /// Gives it back; who touches it from here on is caught.
    func deallocate(_ raw: UnsafeMutableRawPointer, byteCount: Int)
    /// A slot of a pool is in use from here on.
    func slotAllocated(_ raw: UnsafeMutableRawPointer, byteCount: Int)
    /// A slot of a pool is free from here on. Twice in a row is caught.
    func slotFreed(_ raw: UnsafeMutableRawPointer, byteCount: Int)

    /// As `sluice_futex_wait`.
    func futexWait(_ place: WordPlace, expected: UInt32, untilNanoseconds deadline: UInt64) -> Int32
    /// As `sluice_futex_wake`.
    func futexWake(_ place: WordPlace, count: Int)
    /// A descriptor that can be kicked.
    func makeDescriptor() -> Int32
    /// Makes the descriptor readable.
    func kick(_ descriptor: Int32)
    /// Makes the descriptor unreadable.
    func absorb(_ descriptor: Int32)

    /// Starts a virtual thread and returns its number, which is not 0.
    func start(_ name: String, _ body: @escaping () -> Void) -> UInt64
    /// Waits for a virtual thread's end.
    func join(_ thread: UInt64)
    /// Lets others go first.
    func yield()
    /// The number of the running virtual thread.
    var threadNumber: UInt64 { get }

    /// An invariant that holds in every schedule did not.
    func violated(_ invariant: String)
  }

  /// The machine that explores now, if one does. Set and cleared by the one thread that explores.
  nonisolated(unsafe) public var virtualMachine: (any VirtualMachine)?

  /// The machine whose virtual thread the caller is; nil on a real one.
  @inline(__always) var explorer: (any VirtualMachine)? {
    guard let machine = unsafe virtualMachine, machine.isRunning else { return nil }
    return machine
  }
#endif
