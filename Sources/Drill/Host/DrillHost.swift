public import Timing

/// A host of one context in virtual time, with a link to nowhere: what it sends is given to whoever asks, and what
/// it receives is injected. Its socket calls are those of the ``Personality``. Nothing sleeps: a call that would is a
/// ``CallHandle``, and is tried again after each step of time.
///
/// One thread.
public final class DrillHost {
  /// How it behaves; what concerns sockets is read when a socket is made. Addresses, prefixes, MTU, personality and
  /// seed are read when the host is made.
  public var settings: HostSettings

  /// A host that is up. Throws what the stack's assembly does.
  public init(_ settings: HostSettings = HostSettings()) throws {
    self.settings = settings
  }

  /// The time.
  public var now: Instant { .zero }

  /// Makes a call, and lets the stack do what follows at this instant.
  public func begin(_ call: SystemCall) -> CallStart { .unsupported("") }

  /// The result of a call that waited, once; nil while it waits. Looks again, so ask after each step.
  public func poll(_ handle: CallHandle) -> CallResult? { nil }

  /// A packet from the link, from its IP header on, and what follows at this instant.
  public func inject(_ packet: [UInt8]) {}

  /// A packet that the host sent.
  public struct Emission: Sendable, Hashable {
    /// When.
    public let time: Instant
    /// From its IP header on.
    public let bytes: [UInt8]
  }
  /// What was sent since the last time, in order.
  public func takeOutgoing() -> [Emission] { [] }

  /// When something is due next, in the stack or for a call that waits; nil: nothing is.
  public var nextDeadline: Instant? { nil }

  /// Runs until `instant`, through everything that is due before.
  public func advance(to instant: Instant) {}

  /// Runs until the next deadline at which a packet leaves or a call that waits can end, or until `limit`. True: one of
  /// the two; the time is then its.
  @discardableResult public func advanceToNextEvent(limit: Instant) -> Bool { false }

  /// What TCP_INFO tells of a socket; nil: it is none of TCP.
  public func info(_ descriptor: Int32) -> ConnectionInfo? { nil }

  /// A file for `open`.
  public func addFile(_ path: String, _ contents: [UInt8]) {}

  /// Closes everything with resets, lets all of it end, and returns what is left that should not be, in words; empty:
  /// nothing is. The host is of no use afterwards.
  public func finish() -> [String] { [] }
}
