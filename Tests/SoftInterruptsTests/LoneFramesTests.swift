import Buffers
import Devices
import Exclusion
import Testing
import Timing
import Wire

@testable import SoftInterrupts

/// A link whose peer shares the processor: as soon as frames are worked on, the next ones are there.
// Sendable because it is the context's thread's, and before that of who starts it.
@safe private final class AnsweredLink: Device, @unchecked Sendable {
  let name = "answered0"
  let mtu = 1500
  let linkLayer = LinkLayer.ip
  let queueCount = 1
  let isEmptyByCall: Bool
  private let own = DeviceCounters()
  private let kick: KickDescriptor
  private var waiting = 0
  /// Reads that found less than they had room for, until all was exchanged: who stops a context has it look once more.
  private(set) var emptyReads = 0
  var isOver = false
  private(set) var received = 0

  init(isEmptyByCall: Bool) throws {
    self.isEmptyByCall = isEmptyByCall
    kick = try KickDescriptor()
  }
  func arrive(_ count: Int) {
    waiting += count
    kick.kick()
  }
  func counters(queue: Int) -> DeviceCounters { own }
  func descriptor(queue: Int) -> Int32? { kick.descriptor }
  func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {}
  func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    let taken = min(limit, waiting)
    waiting -= taken
    received += taken
    for _ in 0..<taken {
      guard var packet = pool.allocate() else { break }
      packet.append(1)
      batch.append(packet)
    }
    guard taken < limit else { return .more }
    if !isOver { emptyReads += 1 }
    kick.absorb()
    return .drained
  }
  func send(_ packet: consuming Packet, queue: Int) -> Packet? { packet }
  func flush(queue: Int) {}
  func complete(queue: Int, into completed: inout PacketQueue) {}
}

@Suite("Frames that come alone") struct LoneFramesTests {
  /// So many frames, `together` at a time; the link after them.
  private func exchanged(_ total: Int, together: Int = 1, isEmptyByCall: Bool = true) throws -> AnsweredLink {
    let set = try ContextSet(
      ContextConfiguration(timeSource: RealClock()) { _ in PollPoller() })
    let link = try AnsweredLink(isEmptyByCall: isEmptyByCall)
    _ = try set.addDevice(link, interface: 1)
    let over = Bell()
    set.handlers.registerReceive { batch, _, cx in
      while let packet = batch.popFirst() { _ = consume packet }
      guard link.received % together == 0 else { return }
      if link.received < total { return link.arrive(together) }
      link.isOver = true
      cx.wake(over.parker.wakeTarget)
    }
    link.arrive(together)
    try set.start()
    let isOver = withApplication { held in over.parker.park(&held) }
    set.stop()
    #expect(isOver && link.received == total)
    #expect(set.pool(0).inUse == 0)
    return link
  }

  @Test func anAnswerIsReadWithoutAskingInVain() throws {
    // Twice as many from one empty read to the next, up to nine.
    #expect(try exchanged(200).emptyReads <= 26)
    // A link that knows without a call is emptied each time.
    #expect(try exchanged(200, isEmptyByCall: false).emptyReads >= 200)
  }

  @Test func framesThatComeTogetherAreTakenTogether() throws {
    #expect(try exchanged(200, together: 4).emptyReads == 50)
  }

  @Test func whatIsExpectedFollowsWhatCame() {
    var lone = LoneFrames()
    #expect(!lone.areExpected)
    // Nothing, where nothing was said to be.
    lone.drained(0)
    #expect(!lone.areExpected)
    for grant in [1, 2, 4, 8, 8] {
      lone.drained(1)
      for _ in 0..<grant {
        #expect(lone.areExpected)
        lone.tookOne()
      }
      #expect(!lone.areExpected)
    }
    // In vain: so often more is not tried, and twice as often after the next one.
    for pause in [1, 2, 4, 8, 16, 32, 64, 64] {
      lone.drained(0)
      for _ in 0..<pause {
        lone.drained(1)
        #expect(!lone.areExpected)
      }
      lone.drained(1)
      #expect(lone.areExpected)
      lone.tookOne()
    }
    // It was there.
    lone.drained(1)
    lone.tookOne()
    lone.drained(0)
    lone.drained(1)
    #expect(!lone.areExpected)
    lone.drained(1)
    #expect(lone.areExpected)
    lone.drained(2)
    #expect(!lone.areExpected)
    lone.drained(1)
    lone.tookOne()
    #expect(!lone.areExpected, "it begins with one again")
  }
}
