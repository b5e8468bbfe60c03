#if LockDep
  import CLinux

  /// The run-time checker of the lock order, under the trait `LockDep`. The types prove the order; this draws
  /// the graph that was really seen, and traps if the types were got round.
  public enum LockDep {
    /// By rank of the lock that was taken: the ranks that were held (bits). Words, never freed.
    private nonisolated(unsafe) static let seen = unsafe rows()
    /// By rank: the address of the level's name. Words, never freed.
    private nonisolated(unsafe) static let names = unsafe rows()
    private static func rows() -> UnsafeMutablePointer<AtomicWord> {
      let rows = UnsafeMutablePointer<AtomicWord>.allocate(capacity: 64)
      for rank in 0..<64 { unsafe (rows + rank).initialize(to: AtomicWord(0)) }
      return unsafe rows
    }

    @usableFromInline static func acquire(_ level: any LockLevel.Type) {
      let held = sluice_held_levels()
      precondition(
        held >> UInt64(level.rank) == 0,
        "lock order: \(level.name) taken while ranks \(String(held, radix: 2)) are held")
      let before = held == 0 ? 1 : held
      unsafe (seen + Int(level.rank)).pointee.formOr(before)
      let name = unsafe level.name.utf8Start
      unsafe (names + Int(level.rank)).pointee.storeRelaxed(UInt64(UInt(bitPattern: name)))
      sluice_set_held_levels(held | 1 << UInt64(level.rank))
    }
    @usableFromInline static func release(_ level: any LockLevel.Type) {
      sluice_set_held_levels(sluice_held_levels() & ~(1 << UInt64(level.rank)))
    }
    static func requireNoneHeld() {
      precondition(sluice_held_levels() == 0, "a root was entered while locks are held")
    }

    /// The order that was seen so far in the whole process, in the DOT language.
    public static var graph: String {
      func name(_ rank: Int) -> String {
        let address = UInt(unsafe (names + rank).pointee.loadRelaxed())
        guard let text = unsafe UnsafePointer<CChar>(bitPattern: address) else { return "Unlocked" }
        return unsafe String(cString: text)
      }
      var lines = ["digraph LockOrder {"]
      for taken in 0..<64 {
        let held = unsafe (seen + taken).pointee.load()
        for rank in 0..<64 where held >> UInt64(rank) & 1 != 0 {
          lines.append("  \(name(rank)) -> \(name(taken));")
        }
      }
      return (lines + ["}"]).joined(separator: "\n")
    }
  }
#endif
