#if Explore
  /// What a schedule was seen to do that none may.
  public struct Verdict: Hashable, Sendable {
    /// What kind of failure.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
      /// Somebody sleeps, and nobody is left who could wake him: a deadlock, or a lost wake-up.
      case stuck
      /// The schedule does not end.
      case endless
      /// Two threads touched plain memory with no order between them.
      case race
      /// Memory was touched after it was freed.
      case useAfterFree
      /// A slot was freed twice.
      case doubleFree
      /// Memory was still in use at the end.
      case leak
      /// An invariant was broken.
      case invariant
      /// The outcome is not one of those that are allowed.
      case outcome
      /// The code trapped.
      case trap
    }
    /// The kind.
    public let kind: Kind
    /// What it was, for people.
    public let text: String
    init(_ kind: Kind, _ text: String) {
      self.kind = kind
      self.text = text
    }
  }
#endif
