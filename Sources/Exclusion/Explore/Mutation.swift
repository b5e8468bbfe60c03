#if Explore
  /// A mistake that somebody made, or could make, at the very place in the shipped code where it matters. Compiled
  /// in under the trait `Explore` only, and switched on by name, one at a time, for the explorer to find.
  ///
  /// A target declares its mutations in an extension and asks at the place:
  ///
  ///     #if Explore
  ///       if Mutation.queueStopWithoutRecheck.isOn { return true }
  ///     #endif
  public struct Mutation: Hashable, Sendable {
    /// What it is called on the command line.
    public let name: String
    private let digest: UInt64

    /// A mutation called `name`.
    public init(_ name: String) {
      self.name = name
      // FNV-1a: asking whether a mutation is on compares numbers.
      digest = name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    nonisolated(unsafe) private static var active: UInt64 = 0  // changed between explorations only

    /// Whether the code was asked to make the mistake since it was activated: a mutation that no schedule reaches
    /// proves nothing.
    nonisolated(unsafe) public private(set) static var wasReached = false  // likewise

    /// Whether the code is to make this mistake.
    public var isOn: Bool {
      guard unsafe Mutation.active == digest else { return false }
      unsafe Mutation.wasReached = true
      return true
    }
    /// Makes the code make this mistake and no other; nil: none.
    public static func activate(_ mutation: Mutation?) {
      unsafe active = mutation?.digest ?? 0
      unsafe wasReached = false
    }

    /// By name.
    public static func == (a: Mutation, b: Mutation) -> Bool { a.digest == b.digest }
    /// By name.
    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }
  }
#endif
