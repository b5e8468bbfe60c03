#if Explore
  import Exclusion

  /// What a thread is about to do when it asks for its turn.
  enum OperationKind: UInt8 {
    case begin, load, store, update, fence, futexWait, futexWake, kick, absorb, poll, join, yield, lookAtClock

    var name: String {
      switch self {
      case .begin: "begins"
      case .load: "load"
      case .store: "store"
      case .update: "update"
      case .fence: "fence"
      case .futexWait: "futex wait"
      case .futexWake: "futex wake"
      case .kick: "kick"
      case .absorb: "absorb"
      case .poll: "poll"
      case .join: "join"
      case .yield: "yield"
      case .lookAtClock: "clock"
      }
    }
  }

  /// What a thread sleeps for.
  enum Sleep: Equatable {
    case word(UInt)
    case descriptors
    case thread(Int)
    /// Until its time comes.
    case time
    /// Until everyone else sleeps or has ended.
    case quiet

    var name: String {
      switch self {
      case .word: "a futex"
      case .descriptors: "its poller"
      case .thread(let number): "the end of thread \(number)"
      case .time: "its time"
      case .quiet: "everyone to come to rest"
      }
    }
  }

  /// A store that other threads do not see yet.
  struct BufferedStore {
    var place: WordPlace
    var value: UInt64
    var released: VectorClock
  }

  /// A thread of the program that is explored. Only the machine touches it.
  final class VirtualThread {
    let number: Int
    let fiber = Fiber()
    var name = ""
    /// What it will run.
    var body: (() -> Void)?
    var isFinished = true
    var sleep: Sleep?
    /// When the sleep ends by itself, in virtual nanoseconds.
    var deadline: UInt64?
    var timedOut = false
    var operation = OperationKind.begin
    var address: UInt = 0
    var buffer: [BufferedStore] = []
    /// All that it has learnt and done, as a number: the local state of a deterministic thread.
    var history: UInt64 = 0
    var clock = VectorClock()
    /// What relaxed loads saw: learnt at the next fence.
    var seen = VectorClock()
    /// What relaxed stores release: the clock of the last fence.
    var fenced = VectorClock()
    /// Thread-local words while it does not run.
    var words = ThreadWords()

    init(number: Int) { self.number = number }

    func begin(_ name: String) {
      self.name = name
      isFinished = false
      sleep = nil
      deadline = nil
      timedOut = false
      operation = .begin
      address = 0
      buffer.removeAll(keepingCapacity: true)
      history = 0
      clock = VectorClock()
      seen = VectorClock()
      fenced = VectorClock()
      words = ThreadWords()
      clock[number] = 1
    }

    @inline(__always) func learn(_ value: UInt64) { history = mixed(history &+ UInt64(address), value) }
  }
#endif
