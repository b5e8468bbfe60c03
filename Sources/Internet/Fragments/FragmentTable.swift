import Buffers
import Exclusion
import Timing
import Wire

/// The packets of one context of which fragments are missing: so many at most, and so much memory. The oldest gives way.
/// (o) the context's alone.
@safe
struct FragmentTable: ~Copyable {
  private let places: UnsafeMutablePointer<PartialPacket>
  private let limit: Int
  private let byteLimit: Int
  /// Those in use are the first, oldest first.
  private(set) var count = 0
  private(set) var occupied = 0

  init(limit: Int, byteLimit: Int) {
    self.limit = max(1, limit)
    self.byteLimit = byteLimit
    unsafe places = .allocate(capacity: max(1, limit))
  }
  deinit {
    for index in 0..<count { unsafe (places + index).deinitialize(count: 1) }
    unsafe places.deallocate()
  }

  /// When the next one is given up.
  var nextDeadline: Instant? {
    var earliest: Instant?
    for index in 0..<count {
      let deadline = unsafe places[index].deadline
      if earliest.map({ deadline < $0 }) ?? true { earliest = deadline }
    }
    return earliest
  }
  /// Whether there is room for `bytes` more, of a packet that may be new.
  func hasRoom(for bytes: Int, isNew: Bool) -> Bool {
    occupied + bytes <= byteLimit && (!isNew || count < limit)
  }
  func find(_ name: FragmentName) -> Int? {
    for index in 0..<count where unsafe places[index].name == name { return index }
    return nil
  }
  /// One whose time is over.
  func expired(_ now: Instant) -> Int? {
    for index in 0..<count where unsafe places[index].deadline <= now { return index }
    return nil
  }

  /// A place for a new one; there is room.
  mutating func begin(_ name: FragmentName, deadline: Instant) -> Int {
    precondition(count < limit, "RX-TOTAL: more partial packets than places")
    unsafe (places + count).initialize(to: PartialPacket(name, deadline: deadline))
    count += 1
    return count - 1
  }
  mutating func add(_ packet: consuming Packet, at index: Int) -> PartialPacket.Outcome {
    let before = unsafe places[index].occupied
    let outcome = unsafe places[index].add(packet)
    occupied += unsafe places[index].occupied - before
    return outcome
  }
  /// Takes one out; those behind it move up.
  mutating func remove(_ index: Int) -> PartialPacket {
    let taken = unsafe (places + index).move()
    occupied -= taken.occupied
    count -= 1
    for place in index..<count { unsafe (places + place).initialize(to: (places + place + 1).move()) }
    return taken
  }
}
