import Chance
import Exclusion

@testable import Sluice

/// What one thread of the storm does now, for who watches: whether it waits for something that is there.
final class StormWatch: @unchecked Sendable {
  enum Doing {
    case working
    case reading(StormEnd)
    case writing(StormEnd)
    case accepting(TCPListener)
    case connecting
    case harvesting(StormQueue)
  }
  private let lock = TryLock()
  /// Guarded by `lock`.
  private var doing = Doing.working
  private var serial: UInt64 = 0

  func begin(_ what: Doing) {
    let before = lock.locked {
      defer {
        doing = what
        serial += 1
      }
      return doing
    }
    _ = consume before  // let go of outside the lock
  }
  var now: (serial: UInt64, doing: Doing) { lock.locked { (serial, doing) } }
}

extension StormWatch.Doing {
  /// Whether what the thread waits for is there: then it is about to go on, or its wake-up was lost.
  var isReady: Bool {
    switch self {
    case .working, .connecting, .harvesting: false
    case .reading(let end): end.stream.socket.isReadable(need: 1)
    case .writing(let end): end.stream.socket.isWritable(need: UInt32(end.stream.limits.send / 3))
    case .accepting(let listener): listener.socket.isAcceptable
    }
  }

  var description: String {
    switch self {
    case .working: "works"
    case .connecting: "connects"
    case .harvesting: "waits for events"
    case .reading(let end): "reads \(end.place)"
    case .writing(let end): "writes \(end.place)"
    case .accepting(let listener): "accepts on \(listener.address)"
    }
  }

  /// Ends what the thread waits for, in a way of `random`'s choice, so that it goes on.
  func disturb(_ random: inout SeededGenerator) {
    switch self {
    case .working, .connecting: break
    case .harvesting(let queue):
      if random.chance(percent: 70) { queue.disturb() } else { queue.queue.close() }
    case .reading(let end):
      switch random.below(4) {
      case 0: end.shutdownReceive()
      case 1: end.abort()
      default: end.close()
      }
    case .writing(let end):
      switch random.below(4) {
      case 0: end.shutdownSend()
      case 1: end.abort()
      default: end.close()
      }
    case .accepting(let listener): listener.close()
    }
  }
}
