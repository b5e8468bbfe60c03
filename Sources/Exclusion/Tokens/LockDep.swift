#if LockDep
  import CLinux
  import Glibc

  /// The run-time checker of the lock order, under the trait `LockDep`. The types prove the order; this draws
  /// the graph that was really seen, and traps if the types were got round.
  ///
  /// With `SLUICE_LOCKDEP_DOT` in its environment, the name of a folder, a process that took locks leaves its graph
  /// there when it exits: `lock-order-PID.dot`. Graphs of several processes add up.
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

    /// Registered by the first lock of the process; done at its exit, when other threads may still run.
    private static let atExit: Bool = {
      guard unsafe getenv("SLUICE_LOCKDEP_DOT") != nil else { return false }
      return atexit { LockDep.leaveGraph() } == 0
    }()
    private static func leaveGraph() {
      guard let folder = unsafe getenv("SLUICE_LOCKDEP_DOT") else { return }
      let path = unsafe "\(String(cString: folder))/lock-order-\(getpid()).dot"
      guard let file = unsafe fopen(path, "w") else { return }
      unsafe fputs(graph + "\n", file)
      unsafe fclose(file)
    }

    @usableFromInline static func acquire(_ level: any LockLevel.Type) {
      _ = atExit
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
