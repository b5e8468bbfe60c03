import Exclusion

/// What one context, or whoever holds the lock around it, has of a stack's ``MemoryAccount``: it takes and gives
/// slot by slot without touching shared memory, and reserves and returns in steps. Under pressure nothing is
/// cached, so that what one gives back others can have.
///
/// Memory may be given back to another share than it was taken from, and to the account; the sums are right.
///
/// (h) its holder writes, anyone looks.
public struct MemoryShare: ~Copyable, Sendable {
  private let account: MemoryAccountRef
  private let quota = Counter()  // (h)
  private let used = InlineArray<4, Counter> { _ in Counter() }  // (h) by kind
  private let refused = Counter()  // (h)

  /// A share of nothing yet.
  public init(_ account: MemoryAccountRef) { self.account = account }

  /// The state of the account.
  public var state: MemoryState { account.state }

  /// Takes memory. False: it would exceed the hard limit; `isGuaranteed` memory is never refused. The holder only.
  public func take(_ bytes: Int, _ kind: MemoryKind, isGuaranteed: Bool = false) -> Bool {
    if !isGuaranteed, account.state == .exhausted {
      // What is cached is not to be had either: those with a guarantee come first.
      shrink()
      refused.increment()
      return false
    }
    let cached = Int(quota.value)
    if cached < bytes {
      let got = account.reserve(
        bytes - cached, wanted: bytes - cached + account.step, isGuaranteed: isGuaranteed)
      if got == 0 {
        refused.increment()
        return false
      }
      quota.increment(by: UInt64(got))
    }
    quota.increment(by: UInt64(bitPattern: Int64(-bytes)))
    return note(bytes, kind)
  }
  private func note(_ bytes: Int, _ kind: MemoryKind) -> Bool {
    used[kind.rawValue].increment(by: UInt64(bitPattern: Int64(bytes)))
    return true
  }

  /// Gives memory back. The holder only.
  public func give(_ bytes: Int, _ kind: MemoryKind) {
    guard bytes != 0 else { return }
    used[kind.rawValue].increment(by: UInt64(bitPattern: Int64(-bytes)))
    quota.increment(by: UInt64(bytes))
    if quota.value > UInt64(account.step) &* 2 || account.state != .normal { shrink() }
  }
  /// Taken memory serves another purpose now. The holder only.
  public func move(_ bytes: Int, from old: MemoryKind, to new: MemoryKind) {
    used[old.rawValue].increment(by: UInt64(bitPattern: Int64(-bytes)))
    used[new.rawValue].increment(by: UInt64(bitPattern: Int64(bytes)))
  }

  /// Returns what is cached, beyond a step when there is no shortage.
  private func shrink() {
    let cached = Int(quota.value)
    let kept = account.state == .normal ? min(cached, account.step) : 0
    guard cached > kept else { return }
    quota.increment(by: UInt64(bitPattern: Int64(kept - cached)))
    account.giveBack(cached - kept)
  }

  /// Bytes taken and not given back here; negative when more was given back here than taken. Any thread.
  public func used(_ kind: MemoryKind) -> Int { Int(truncatingIfNeeded: used[kind.rawValue].value) }
  /// Requests that were turned down. Any thread.
  public var refusals: UInt64 { refused.value }
  /// Bytes reserved and not in use. Any thread.
  public var cached: Int { Int(quota.value) }
}
