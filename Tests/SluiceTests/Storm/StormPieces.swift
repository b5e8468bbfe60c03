import Chance
import Exclusion

/// A bounded number of places. What is taken out is let go of outside: its end enters the stack.
final class Places<Element: AnyObject & Sendable>: @unchecked Sendable {
  private let lock = TryLock()
  /// Guarded by `lock`.
  private var elements: [Element] = []
  private var most = 0
  let limit: Int

  init(limit: Int) { self.limit = limit }

  var count: Int { lock.locked { elements.count } }
  /// The most that there were at once.
  var highWater: Int { lock.locked { most } }
  /// False: there is no room.
  func add(_ element: Element) -> Bool {
    lock.locked {
      guard elements.count < limit else { return false }
      elements.append(element)
      most = max(most, elements.count)
      return true
    }
  }
  /// Half of the time one of the few newest: that is where threads meet.
  func any(_ random: inout SeededGenerator) -> Element? {
    let (number, isNew) = (random.next(), random.chance(percent: 50))
    return lock.locked {
      if elements.isEmpty { return nil }
      let range = isNew ? min(4, elements.count) : elements.count
      return elements[elements.count - 1 - Int(number % UInt64(range))]
    }
  }
  func remove(_ element: Element) {
    lock.locked {
      guard let index = elements.firstIndex(where: { $0 === element }) else { return }
      elements.swapAt(index, elements.count - 1)
      elements.removeLast()
    }
  }
  func takeAll() -> [Element] {
    lock.locked {
      defer { elements = [] }
      return elements
    }
  }
}

/// Both directions of a connection, as its two ends agree on them: found by the number that the client sends first.
final class Pairing: Sendable {
  /// Never 0.
  let number: UInt64
  /// Bytes that were handed to the stack, for certain and at most; by direction, 0 from the client.
  private let certain = [AtomicBox(), AtomicBox()]
  private let possible = [AtomicBox(), AtomicBox()]

  init(_ number: UInt64) { self.number = number }

  final class AtomicBox: Sendable {
    let word = AtomicWord(0)
  }

  func begin(_ direction: Int, upTo position: Int) { possible[direction].word.store(UInt64(position)) }
  func finish(_ direction: Int, at position: Int) { certain[direction].word.store(UInt64(position)) }
  /// Where the end of a direction may be.
  func end(_ direction: Int) -> ClosedRange<Int> {
    let least = Int(certain[direction].word.load())
    return least...max(least, Int(possible[direction].word.load()))
  }
  func unread(_ direction: Int, at position: Int) -> Bool { position < Int(certain[direction].word.load()) }

  /// What the client sends first.
  var name: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) } }

  /// The bytes of a direction: every eight of them depend on connection, direction and place.
  func bytes(_ direction: Int, _ range: Range<Int>) -> [UInt8] {
    let key = SeededGenerator.mixed(number &+ UInt64(direction) &* 0x5851_F42D_4C95_7F2D)
    var bytes = [UInt8](repeating: 0, count: range.count)
    var word: UInt64 = 0
    for place in range {
      if place % 8 == 0 || place == range.lowerBound {
        word = SeededGenerator.mixed(key ^ UInt64(place / 8) &* 0x9E37_79B9_7F4A_7C15)
      }
      bytes[place - range.lowerBound] = UInt8(truncatingIfNeeded: word >> (8 * (place % 8)))
    }
    return bytes
  }
}
