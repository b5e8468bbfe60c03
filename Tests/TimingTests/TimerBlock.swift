import Timing

/// Memory for a few timers, as a control block would hold them; a timer's owner is its index.
@safe final class TimerBlock {
  private let nodes: UnsafeMutablePointer<TimerNode>
  let count: Int

  init(count: Int) {
    self.count = count
    unsafe nodes = .allocate(capacity: count)
    for index in 0..<count {
      unsafe (nodes + index).initialize(to: TimerNode(kind: UInt8(index & 255), owner: UInt(index)))
    }
  }
  deinit {
    for index in 0..<count { self[index].retire() }
    unsafe nodes.deallocate()
  }
  subscript(index: Int) -> TimerRef { unsafe TimerRef(nodes + index) }
}
