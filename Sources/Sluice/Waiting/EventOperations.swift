internal import Sockets

/// Waits until something that an event queue watches is true, and takes what is.
struct HarvestEvents: Operation {
  let queue: SocketEventQueue
  let limit: Int

  var point: WaitPoint { queue.point }
  var attendance: Attendance? { queue.attendance() }
  func isReady(need: UInt32) -> Bool { queue.isReady }
  mutating func attempt() -> Attempt<[SocketEvent]> {
    do throws(SocketError) {
      let harvest = try queue.harvest(atMost: limit)
      if !harvest.events.isEmpty { return .finished(.success(harvest.events)) }
      // A registration that somebody else has emptied since its wake-up was sent is progress: it is off the list.
      return .wouldBlock(need: 1, progressed: harvest.examined > 0)
    } catch {
      return .finished(.failure(error))
    }
  }
}
