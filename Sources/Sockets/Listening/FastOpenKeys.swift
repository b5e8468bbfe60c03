// The keys of the Fast Open cookies that listeners give. Application threads set them, one at a time; contexts read
// them, and wait for nobody: each setting goes into the next of eight places, and then its number is stored.

import Exclusion
import TCP

/// One setting. (a) all words.
private struct KeyPlace: ~Copyable {
  let low = AtomicWord(0)
  let high = AtomicWord(0)
  let previousLow = AtomicWord(0)
  let previousHigh = AtomicWord(0)
  let hasPrevious = AtomicWord(0)
}

/// The keys now.
@safe
package final class FastOpenKeys: @unchecked Sendable {  // all words are atomic
  private static var count: Int { 8 }
  private let places: UnsafeMutablePointer<KeyPlace>
  /// (a) The newest setting. Stored after its words.
  private let newest = AtomicWord(0)
  private let turn = OrderedMutex<SocketLevel, Int>(0)

  /// These keys.
  package init(_ keys: TCPFastOpenCookies) {
    unsafe places = .allocate(capacity: Self.count)
    for index in 0..<Self.count { unsafe (places + index).initialize(to: KeyPlace()) }
    store(keys, 0)
  }
  deinit {
    unsafe places.deinitialize(count: Self.count)
    unsafe places.deallocate()
  }

  /// The keys that were set last. Any context. Who is overtaken by eight settings while it reads gets words of two: a
  /// cookie under such a key is nobody's, and the client opens in the ordinary way.
  package var cookies: TCPFastOpenCookies {
    let place = unsafe places + Int(newest.load()) % Self.count
    let current = unsafe TCPFastOpenCookies.Key(
      low: place.pointee.low.load(), high: place.pointee.high.load())
    guard unsafe place.pointee.hasPrevious.load() == 1 else { return TCPFastOpenCookies(current: current) }
    let previous = unsafe TCPFastOpenCookies.Key(
      low: place.pointee.previousLow.load(), high: place.pointee.previousHigh.load())
    return TCPFastOpenCookies(current: current, previous: previous)
  }

  /// Other keys from here on. Application context.
  package func set(_ keys: TCPFastOpenCookies) {
    withApplication { held in
      turn.withLock(&held) { number, _ in
        number += 1
        store(keys, number)
      }
    }
  }

  private func store(_ keys: TCPFastOpenCookies, _ number: Int) {
    let place = unsafe places + number % Self.count
    #if Explore
      if Mutation.keysNumberedFirst.isOn { newest.store(UInt64(number)) }
    #endif
    unsafe place.pointee.low.store(keys.current.low)
    unsafe place.pointee.high.store(keys.current.high)
    unsafe place.pointee.previousLow.store(keys.previous?.low ?? 0)
    unsafe place.pointee.previousHigh.store(keys.previous?.high ?? 0)
    unsafe place.pointee.hasPrevious.store(keys.previous == nil ? 0 : 1)
    newest.store(UInt64(number))
  }
}
