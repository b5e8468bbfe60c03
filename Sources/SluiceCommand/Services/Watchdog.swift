import Sluice

/// Resets connections whose time is up. One timer for all of them, and none when there are none.
actor Watchdog {
  private struct Watched {
    let stream: TCPStream
    var deadline: ContinuousClock.Instant
  }
  private var watched: [ObjectIdentifier: Watched] = [:]
  private var isRunning = false
  /// Connections that were reset.
  private(set) var expired = 0

  /// Gives a connection time from now on, its first or another stretch.
  func watch(_ stream: TCPStream, for time: Duration) {
    watched[ObjectIdentifier(stream)] = Watched(stream: stream, deadline: .now + time)
    guard !isRunning else { return }
    isRunning = true
    Task { await run() }
  }

  /// The connection has ended.
  func end(_ stream: TCPStream) { watched[ObjectIdentifier(stream)] = nil }

  private func run() async {
    while let next = watched.values.map(\.deadline).min() {
      // Deadlines are only ever moved back: this wakes too early at worst, once per stretch.
      try? await Task.sleep(until: next, clock: .continuous)
      let now = ContinuousClock.now
      for (key, entry) in watched where entry.deadline <= now {
        watched[key] = nil
        expired += 1
        entry.stream.abort()
      }
    }
    isRunning = false
  }
}
