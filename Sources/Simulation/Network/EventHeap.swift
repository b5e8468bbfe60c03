/// What happens at a moment of the simulation.
struct Event {
  enum Action: UInt8 {
    /// The pipe `index` has put the packet `item` on the line.
    case transmitted
    /// The packet `item` comes out of the pipe `index`.
    case arrives
    /// The step `index` of the timeline is due.
    case timeline
    /// The sleeper `index` wakes.
    case wakes
  }
  /// Nanoseconds.
  var time: UInt64
  /// Events of one moment happen in the order in which they were planned.
  var order: UInt64
  var action: Action
  var index: Int32
  /// The address of a packet's slot, 0 for none.
  var item: UInt
}

/// What is planned, earliest first: a binary heap. It allocates only to grow.
struct EventHeap {
  private var events: [Event] = []
  private var planned: UInt64 = 0

  var isEmpty: Bool { events.isEmpty }
  var count: Int { events.count }
  /// When the next event is due, in nanoseconds.
  var nextTime: UInt64? { events.first?.time }

  mutating func plan(_ action: Event.Action, at time: UInt64, index: Int, item: UInt = 0) {
    planned += 1
    events.append(
      Event(
        time: time, order: planned, action: action, index: Int32(truncatingIfNeeded: index), item: item))
    var child = events.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard Self.isEarlier(events[child], events[parent]) else { return }
      events.swapAt(child, parent)
      child = parent
    }
  }

  mutating func takeFirst() -> Event? {
    guard let first = events.first else { return nil }
    let last = events.removeLast()
    guard !events.isEmpty else { return first }
    events[0] = last
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < events.count else { return first }
      if child + 1 < events.count, Self.isEarlier(events[child + 1], events[child]) { child += 1 }
      guard Self.isEarlier(events[child], events[parent]) else { return first }
      events.swapAt(child, parent)
      parent = child
    }
  }

  private static func isEarlier(_ left: Event, _ right: Event) -> Bool {
    left.time != right.time ? left.time < right.time : left.order < right.order
  }
}
