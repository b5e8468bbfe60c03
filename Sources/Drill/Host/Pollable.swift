/// Bits of poll and epoll, Linux's.
enum PollBits {
  static let input: UInt32 = 0x1
  static let priority: UInt32 = 0x2
  static let output: UInt32 = 0x4
  static let error: UInt32 = 0x8
  static let hangUp: UInt32 = 0x10
  static let invalid: UInt32 = 0x20
  static let normalInput: UInt32 = 0x40
  static let normalOutput: UInt32 = 0x100
  static let bandOutput: UInt32 = 0x200
  static let readHangUp: UInt32 = 0x2000
  static let oneShot: UInt32 = 1 << 30
  static let edge: UInt32 = 1 << 31
  /// Flags of epoll that are no events.
  static let flags: UInt32 = oneShot | edge | 1 << 29 | 1 << 28
  /// What is always told.
  static let always: UInt32 = error | hangUp
}

/// What can be polled, and watched by epoll.
class Pollable {
  fileprivate(set) var watchers: [EpollItem] = []

  /// What is true now.
  func mask() -> UInt32 { 0 }

  /// Something happened: `key` says what for, 0 that nobody can tell.
  func notify(_ key: UInt32) {
    for item in watchers { item.notify(key) }
  }
  /// Closed: nobody watches any more.
  func unwatch() {
    for item in watchers { item.instance?.forget(item) }
    watchers = []
  }
}

/// One registration of an epoll instance.
final class EpollItem {
  let descriptor: Int32
  unowned let subject: Pollable
  fileprivate(set) weak var instance: EpollInstance?
  var event: EpollEvent
  fileprivate var isReady = false

  init(_ descriptor: Int32, _ subject: Pollable, _ instance: EpollInstance, _ event: EpollEvent) {
    self.descriptor = descriptor
    self.subject = subject
    self.instance = instance
    self.event = event
  }

  fileprivate func notify(_ key: UInt32) {
    // One shot that was shot listens to nothing.
    guard event.events & ~PollBits.flags != 0, key == 0 || key & event.events != 0 else { return }
    instance?.makeReady(self)
  }
}

/// An epoll descriptor. What is ready is a list in order of its becoming so; whether it still is shows when it is
/// harvested.
final class EpollInstance: Pollable {
  private var items: [EpollItem] = []
  private var ready: [EpollItem] = []

  /// Nil: it watches it already.
  func add(_ descriptor: Int32, _ subject: Pollable, _ event: EpollEvent) -> EpollItem? {
    guard find(descriptor) == nil else { return nil }
    let item = EpollItem(descriptor, subject, self, Self.normal(event))
    items.append(item)
    subject.watchers.append(item)
    if subject.mask() & item.event.events != 0 { makeReady(item) }
    return item
  }
  func modify(_ item: EpollItem, _ event: EpollEvent) {
    item.event = Self.normal(event)
    if item.subject.mask() & item.event.events != 0 { makeReady(item) }
  }
  func remove(_ item: EpollItem) {
    item.subject.watchers.removeAll { $0 === item }
    forget(item)
  }
  func find(_ descriptor: Int32) -> EpollItem? { items.first { $0.descriptor == descriptor } }
  /// The instance is closed.
  func removeAll() { for item in items { remove(item) } }

  private static func normal(_ event: EpollEvent) -> EpollEvent {
    EpollEvent(events: event.events | PollBits.always, data: event.data)
  }

  fileprivate func forget(_ item: EpollItem) {
    items.removeAll { $0 === item }
    ready.removeAll { $0 === item }
    item.isReady = false
  }
  fileprivate func makeReady(_ item: EpollItem) {
    guard !item.isReady else { return }
    item.isReady = true
    ready.append(item)
    notify(PollBits.input | PollBits.normalInput)
  }

  /// At most so many events. What is level-triggered and true stays ready.
  func harvest(_ limit: Int) -> [EpollEvent] {
    var found: [EpollEvent] = []
    var rest = ready
    ready = []
    while !rest.isEmpty, found.count < limit {
      let item = rest.removeFirst()
      item.isReady = false
      let events = item.subject.mask() & item.event.events
      guard events != 0 else { continue }
      found.append(EpollEvent(events: events, data: item.event.data))
      if item.event.events & PollBits.oneShot != 0 {
        item.event.events &= PollBits.flags
      } else if item.event.events & PollBits.edge == 0 {
        item.isReady = true
        ready.append(item)
      }
    }
    // Those that were not looked at come first the next time.
    ready = rest + ready
    return found
  }

  override func mask() -> UInt32 {
    ready.contains { $0.subject.mask() & $0.event.events != 0 }
      ? PollBits.input | PollBits.normalInput : 0
  }
}
