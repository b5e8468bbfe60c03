public import Buffers
public import Exclusion
public import Timing

/// Runs one posted item in soft-interrupt context. Registered functions capture nothing that is shared,
/// so that calling one counts no reference; they find their state in the context's attachments.
public typealias ItemHandler = @Sendable (ItemRef, inout SoftInterrupt) -> Void
/// A timer of the handler's kind has expired; it is disarmed.
public typealias TimerHandler = @Sendable (TimerRef, inout SoftInterrupt) -> Void
/// Nobody can hold the retired item any more.
public typealias ReclaimHandler = @Sendable (ItemRef) -> Void
/// Frames arrived on an interface, oldest first. The handler takes them all.
public typealias ReceiveHandler = @Sendable (inout PacketQueue, _ interface: Int, inout SoftInterrupt) -> Void

/// Packets that another context received came to the home of their flows, oldest first. The handler takes them
/// all.
public typealias SteeredHandler = @Sendable (inout PacketQueue, inout SoftInterrupt) -> Void

/// Who runs which kind of work. Filled while a stack is assembled, constant afterwards.
public struct Handlers: Sendable {
  /// Kinds of work that the contexts themselves know; users register theirs from ``firstFree`` on.
  public enum Kind {
    /// A closure to call.
    public static let call = WorkKind(rawValue: 1)
    /// A ``ReceiveSignalRef``.
    public static let receiveSignal = WorkKind(rawValue: 2)
    /// A transmit queue handed over to its home.
    public static let transmitQueue = WorkKind(rawValue: 3)
    /// A lane of steered packets.
    public static let steeringSignal = WorkKind(rawValue: 4)
    /// What a context looks at once in a while.
    public static let housekeeping = WorkKind(rawValue: 5)
    /// A transmit queue of this context stands, and was noticed elsewhere.
    public static let transmitNotice = WorkKind(rawValue: 6)
    /// The first kind for users.
    public static let firstFree = WorkKind(rawValue: 8)
  }

  /// Timers that the contexts themselves know; users number theirs from 8 on.
  enum Timer { static let transmitWatchdog: UInt8 = 1 }

  /// Kinds are below this.
  static var kinds: Int { 32 }
  struct Entry: Sendable {
    var level: Level
    var run: ItemHandler
  }
  private(set) var items: [Entry?] = Array(repeating: nil, count: kinds)
  private(set) var timers: [TimerHandler?] = Array(repeating: nil, count: kinds)
  private(set) var reclaims: [ReclaimHandler?] = Array(repeating: nil, count: kinds)
  private(set) var steered: SteeredHandler = { batch, _ in while batch.popFirst() != nil {} }
  private(set) var receive: ReceiveHandler = { batch, _, _ in while batch.popFirst() != nil {} }

  /// None but the contexts' own.
  public init() {}

  /// Items of `kind` run at `level`. Kinds are below 32.
  public mutating func register(_ kind: WorkKind, at level: Level, _ run: @escaping ItemHandler) {
    precondition(items[Int(kind.rawValue)] == nil, "each kind of work has one handler")
    items[Int(kind.rawValue)] = Entry(level: level, run: run)
  }
  /// Timers of `kind` run at the clock level. Kinds are below 31.
  public mutating func registerTimer(_ kind: UInt8, _ fire: @escaping TimerHandler) {
    precondition(timers[Int(kind)] == nil, "each kind of timer has one handler")
    timers[Int(kind)] = fire
  }
  /// Retired items of `kind` are not slots of a pool: `free` ends them after their grace period.
  public mutating func registerReclaim(_ kind: WorkKind, _ free: @escaping ReclaimHandler) {
    precondition(reclaims[Int(kind.rawValue)] == nil, "each kind of retired item has one handler")
    reclaims[Int(kind.rawValue)] = free
  }
  /// Who takes packets that another context steered to this one.
  public mutating func registerSteered(_ steered: @escaping SteeredHandler) { self.steered = steered }
  /// Who takes received frames.
  public mutating func registerReceive(_ receive: @escaping ReceiveHandler) { self.receive = receive }
}
