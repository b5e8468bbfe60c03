#if Explore
  /// Every schedule, depth first, that differs in a state: a state that was seen with as few pre-emptions is not
  /// searched again. A pre-emption is leaving a thread that could have gone on.
  final class DepthFirst: Chooser {
    private struct Node {
      /// Choices that were not tried yet, the current one included.
      var open: UInt64
      var choice: Int
    }
    private let bound: Int
    private var path: [Node] = []
    private var visited: [UInt64: UInt8] = [:]
    private var depth = 0
    private var spent = 0
    private var isPruned = false
    private(set) var pruned = 0

    /// At most `bound` pre-emptions a schedule; nil: any number.
    init(bound: Int?) { self.bound = bound ?? .max }

    var states: Int { visited.count }
    /// What repeats the schedule that ran last.
    var choices: [UInt8] { path.map { UInt8($0.choice) } }

    func begin() {
      (depth, spent, isPruned) = (0, 0, false)
    }

    func choose(among choices: UInt64, last: Int, _ machine: Machine) -> Int {
      let stay = choices & 1 << UInt64(last)
      if isPruned { return (stay != 0 ? stay : choices).trailingZeroBitCount }
      if depth == path.count {
        var open = choices
        if stay != 0 && spent >= bound { open &= stay | ~0 << UInt64(Machine.flush) }
        var key = machine.state()
        if bound != .max { key = mixed(key, UInt64(last)) }
        if let before = visited[key], before <= spent {
          isPruned = true
          return (stay != 0 ? stay : choices).trailingZeroBitCount
        }
        visited[key] = UInt8(clamping: spent)
        path.append(Node(open: open, choice: (open & stay != 0 ? open & stay : open).trailingZeroBitCount))
      }
      let choice = path[depth].choice
      depth += 1
      if stay != 0 && choice < Machine.flush && choice != last { spent += 1 }
      return choice
    }

    /// Turns to the next schedule. False: all were tried.
    func advance() -> Bool {
      if isPruned { pruned += 1 }
      while var node = path.popLast() {
        node.open &= ~(1 << UInt64(node.choice))
        if node.open == 0 { continue }
        node.choice = node.open.trailingZeroBitCount
        path.append(node)
        return true
      }
      return false
    }
  }

  /// The choices of an earlier schedule again.
  final class Replay: Chooser {
    private let choices: [UInt8]
    private var next = 0
    init(_ choices: [UInt8]) { self.choices = choices }

    func choose(among enabled: UInt64, last: Int, _ machine: Machine) -> Int {
      defer { next += 1 }
      if next < choices.count, enabled >> UInt64(choices[next]) & 1 != 0 { return Int(choices[next]) }
      return enabled >> UInt64(last) & 1 != 0 ? last : enabled.trailingZeroBitCount
    }
  }
#endif
