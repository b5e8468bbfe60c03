import Exclusion
import Sluice
import Sockets

/// A thread that drives a loop of services, and sleeps while there is no news.
final class ServiceThread: Sendable {
  private let loop: ServiceLoop
  private let thread: WorkerThread

  /// Starts it. Throws when the system has no thread to give.
  init(_ loop: ServiceLoop, number: Int) throws(SystemFailure) {
    self.loop = loop
    thread = try WorkerThread(name: "services-\(number)") { Self.run(loop, number) }
  }

  private static func run(_ loop: ServiceLoop, _ number: Int) {
    let attendance = loop.queue.attendance(near: number)
    let parker = Parker(driving: attendance?.port)
    let point = loop.queue.point
    while true {
      switch loop.advance() {
      case .hasMore: continue
      case .ended: return loop.end()
      case .waits:
        let ticket = point.waiter.publish(need: 1, parker.wakeTarget)
        // Looked at again after the publication: news may have come between (SB-ATOMIC).
        if loop.queue.isReady, point.waiter.retract(ticket) { continue }
        loop.counters.sleeps.increment()
        attendance?.wait(parker)
        withApplication { held in
          while !parker.park(&held) {}
        }
        point.waiter.finish(ticket)
        loop.noteWakeUp()
      }
    }
  }

  /// Ends the loop, and waits for it. Once.
  func stop() {
    loop.queue.close()
    thread.join()
  }
}
