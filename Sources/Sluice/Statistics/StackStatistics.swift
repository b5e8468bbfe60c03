public import Internet
public import Sockets

/// What a stack did and has, at one moment. Counters of contexts that run meanwhile are each exact; together they
/// may be a little apart.
public struct StackStatistics: Sendable {
  /// One context.
  public struct Context: Sendable, Hashable {
    /// Passes begun. Equal to ``exits`` when the context is at rest.
    public var entries: UInt64
    /// Passes ended.
    public var exits: UInt64
    /// Times that it went to sleep.
    public var sleeps: UInt64
    /// Times that a poster woke it.
    public var kicks: UInt64
    /// Posted items run.
    public var items: ByLevel
    /// Times that a level used up its budget and left work for the next pass.
    public var budgetEnds: ByLevel
    /// Passes that ended early because their wake-ups had nearly filled the buffer.
    public var wakeRoomEnds: UInt64
    /// Frames received by its queues.
    public var framesReceived: UInt64
    /// Packets that it gave to the home of their flow.
    public var steered: UInt64
    /// Packets that it dropped because the home had too many waiting.
    public var steeringDrops: UInt64
    /// Timers that expired.
    public var timersFired: UInt64
    /// Timers armed now.
    public var timersArmed: UInt64
    /// The most that a timer was late beyond its tick, in nanoseconds.
    public var worstTimerLateness: UInt64
    /// The longest pass, in nanoseconds.
    public var longestPass: UInt64
    /// Grace periods that took too long.
    public var graceStalls: UInt64
    /// Who held the last of them up.
    public var straggler: String?
    /// Retired memory that waits for a grace period.
    public var slotsInLimbo: UInt64
    /// Times that an application thread was its guest.
    public var guestEntries: UInt64
    /// Times that an application thread drove it in its own thread's place.
    public var borrows: UInt64
    /// Looks at its descriptors and sleeps over them: a system call each.
    public var polls: UInt64
    /// Of the sleeps, rests in which frames of bulk gathered.
    public var rests: UInt64
    /// Spins of whoever drove it that found work.
    public var spinsFound: UInt64
    /// Spins after which it slept all the same.
    public var spinsFailed: UInt64
  }

  /// A number for each level of a context.
  public struct ByLevel: Sendable, Hashable {
    /// Expired timers.
    public var clock: UInt64
    /// Devices and handed-over gates.
    public var net: UInt64
    /// Serial lines.
    public var serial: UInt64
    /// Storage.
    public var bio: UInt64
    /// Control.
    public var general: UInt64
    /// All levels together.
    public var total: UInt64 { clock &+ net &+ serial &+ bio &+ general }
  }

  /// The gates of all contexts: how often one was entered, found occupied, handed over.
  public struct Gates: Sendable, Hashable {
    /// Work run at once by who brought it.
    public var entries: UInt64
    /// Work left at an occupied gate.
    public var posts: UInt64
    /// Gates handed to their home with work left.
    public var handOvers: UInt64
    /// Closed gates met.
    public var closedFound: UInt64
    /// Segments dropped because too many waited.
    public var dropped: UInt64
    /// Locks between application threads that were found taken, in all stacks of the process. Contexts take none.
    public var locksContended: UInt64
  }

  /// Wake-ups of threads and tasks.
  public struct Wakeups: Sendable, Hashable {
    /// Those that a waiting operation took.
    public var delivered: UInt64
    /// Those after which no operation could make progress: 0, or the stack has a bug (SB-EXACT).
    public var wasted: UInt64
    /// Those beyond the room of a context's buffer, which were kept all the same.
    public var overflowed: UInt64
    /// Times that a blocked thread spun, and was woken before it slept.
    public var spinsFound: UInt64
    /// Times that it spun and slept all the same.
    public var spinsFailed: UInt64
  }

  /// A pool of equal pieces of memory.
  public struct Pool: Sendable, Hashable {
    /// What it holds.
    public var name: String
    /// Pieces in use.
    public var inUse: Int
    /// The most that were in use.
    public var highWater: Int
    /// Pieces that memory was taken for.
    public var capacity: Int
    /// Pieces at most.
    public var limit: Int
    /// Times that it had none.
    public var failures: UInt64
    /// Pieces set aside for what ends or acknowledges connections.
    public var reserveLeft = 0
    /// Times that one of these was used.
    public var reserveUses: UInt64 = 0
  }

  /// A table and its number of entries.
  public struct Table: Sendable, Hashable {
    /// What it holds.
    public var name: String
    /// Entries.
    public var count: Int
  }

  /// A device's frames, all queues together.
  public struct Link: Sendable, Hashable {
    /// The device's name.
    public var name: String
    /// Frames received.
    public var framesReceived: UInt64
    /// Their bytes.
    public var bytesReceived: UInt64
    /// Frames lost or refused on receipt.
    public var receiveDrops: UInt64
    /// Times that there was no buffer to receive into.
    public var receiveOutOfBuffers: UInt64
    /// System calls for receiving.
    public var receiveCalls: UInt64
    /// Frames sent.
    public var framesSent: UInt64
    /// Their bytes.
    public var bytesSent: UInt64
    /// Frames that the link refused.
    public var transmitDrops: UInt64
    /// System calls for sending.
    public var transmitCalls: UInt64
    /// Its transmit queues together.
    public var queueing = Queueing()
  }

  /// What waits to be sent, as `tc -s qdisc` would tell it, all queues of a device together.
  public struct Queueing: Sendable, Hashable {
    /// `fifo` or `fq_codel`.
    public var discipline = ""
    /// Packets given to the driver.
    public var sent: UInt64 = 0
    /// Packets dropped because a limit was reached.
    public var overLimit: UInt64 = 0
    /// Packets dropped because their queue stood too long.
    public var dropped: UInt64 = 0
    /// Packets marked instead (ECN).
    public var marked: UInt64 = 0
    /// Packets that the driver gave back, to be tried again.
    public var requeued: UInt64 = 0
    /// Flows that began to send after silence.
    public var newFlows: UInt64 = 0
    /// Packets that wait now.
    public var backlogPackets: UInt64 = 0
    /// Their bytes.
    public var backlogBytes: UInt64 = 0
    /// Times that a driver stopped its queue.
    public var stops: UInt64 = 0
    /// Times that a byte limit held packets back.
    public var byteLimitStops: UInt64 = 0
    /// Bytes that devices may have in flight; 0: there is no limit to keep.
    public var byteLimit: UInt64 = 0
    /// Bytes that they have.
    public var bytesInFlight: UInt64 = 0
    /// Times that a queue stood still for longer than its watchdog bears. A driver's bug, or a dead device.
    public var timeouts: UInt64 = 0
    /// Packets that a driver gave back although its queue ran. A driver's bug.
    public var busyWhileRunning: UInt64 = 0
    /// Super-segments that were cut here, as the device does not.
    public var softwareSegmented: UInt64 = 0
    /// Packets that were dropped because what they left to the device could not be done here.
    public var offloadDrops: UInt64 = 0
  }

  /// By number.
  public var contexts: [Context]
  /// All contexts together.
  public var gates: Gates
  /// Of the whole stack.
  public var wakeups: Wakeups
  /// Packets, chunks, connections.
  public var pools: [Pool]
  /// What sockets occupy, and how much is left.
  public var memory: MemoryStatistics
  /// Connections, bindings, neighbours, routes.
  public var tables: [Table]
  /// Interfaces, routes, and every event of the network layer.
  public var internet: InternetStatistics
  /// Every counter of the socket layer with its name, all contexts together.
  public var sockets: [(name: String, count: UInt64)]
  /// Devices, in the order of the interfaces.
  public var links: [Link]
  /// Open connections, up to a limit, in no order.
  public var connections: [ConnectionSummary]
  /// Connections in each state, by its name.
  public var states: [(name: String, count: Int)]
  /// Listeners and datagram sockets.
  public var bindings: [BindingSummary]

  /// Sums of a context's counter.
  public func total(_ counter: KeyPath<Context, UInt64>) -> UInt64 {
    contexts.reduce(0) { $0 &+ $1[keyPath: counter] }
  }
  /// Frames and packets that somebody threw away, by reason.
  public var drops: [(name: String, count: UInt64)] {
    DropReasons.counted(in: self)
  }
}
