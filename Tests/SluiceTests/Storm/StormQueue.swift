import Chance
import Exclusion
import Sluice
import Sockets

/// An event queue in the storm, which any thread uses: it tells nothing of what was never watched, and nothing of
/// a connection whose close had returned before the look began.
final class StormQueue: Sendable {
  let queue: EventQueue
  /// Triggered to disturb who waits.
  private let event: UserEvent
  private static let eventToken: UInt64 = 0
  private let watched = Box<(last: UInt64, ends: [UInt64: StormEnd.Closing])>((eventToken, [:]))

  init(_ queue: EventQueue) throws {
    self.queue = queue
    event = try queue.addUserEvent(token: Self.eventToken)
  }

  /// Wakes one who waits.
  func disturb() { try? event.trigger() }
  var isClosed: Bool { (try? event.clear()) == nil }

  func add(_ end: StormEnd, _ random: inout SeededGenerator) throws {
    try queue.add(
      .stream(end.stream), for: Self.interest(&random), trigger: Self.trigger(&random), token: token(for: end)
    )
  }
  func add(_ listener: TCPListener, _ random: inout SeededGenerator) throws {
    try queue.add(.listener(listener), for: .readable, trigger: Self.trigger(&random), token: token(for: nil))
  }
  /// Asks for something else; the new token stands for the same connection.
  func modify(_ end: StormEnd, _ random: inout SeededGenerator) throws {
    try queue.modify(
      .stream(end.stream), for: Self.interest(&random), trigger: Self.trigger(&random), token: token(for: end)
    )
  }

  private func token(for end: StormEnd?) -> UInt64 {
    watched.update { watched in
      watched.last += 1
      if let end { watched.ends[watched.last] = end.closing }
      return watched.last
    }
  }

  /// Looks once with `look`.
  func harvest(_ storm: Storm, _ look: () throws -> [SocketEvent]) throws {
    let closed = watched.value.ends.filter(\.value.isDone)
    defer { watched.update { watched in for token in closed.keys { watched.ends[token] = nil } } }
    for event in try look() where event.token != Self.eventToken {
      if event.token > watched.value.last { storm.complain("an event of a token that nobody gave") }
      if closed[event.token] != nil { storm.complain("an event of a connection that was closed before") }
      if event.events.isEmpty { storm.complain("an event of nothing") }
    }
  }

  private static func interest(_ random: inout SeededGenerator) -> SocketEvents {
    [.readable, .writable, .all][random.below(3)]
  }
  private static func trigger(_ random: inout SeededGenerator) -> EventTrigger {
    EventTrigger.allCases[random.below(EventTrigger.allCases.count)]
  }
}
