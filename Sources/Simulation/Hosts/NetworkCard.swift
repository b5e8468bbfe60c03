import Buffers
import Devices
import Exclusion
import Timing
import Wire

/// A host's interface to a link of the simulation. It takes every frame at once: what waits, waits before the link,
/// where the profile says how much.
final class NetworkCard: Device, @unchecked Sendable {  // a simulation is of one thread
  let name = "sim0"
  let mtu: Int
  let linkLayer: LinkLayer
  let queueCount = 1
  private let tally = DeviceCounters()
  private unowned let network: Network
  /// The link's direction away from here; -1 for none: a cable that is not plugged in.
  var outgoing = -1
  private var receiver: ReceiveSignalRef?
  private var sent = PacketQueue()
  private var arrivals = PacketQueue()

  init(_ network: Network, station: MACAddress, mtu: Int) {
    self.network = network
    self.mtu = mtu
    linkLayer = .ethernet(station)
  }

  func counters(queue: Int) -> DeviceCounters { tally }
  func descriptor(queue: Int) -> Int32? { nil }
  func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) { receiver = receive }

  /// The link delivers a frame.
  func deliver(_ packet: consuming Packet) {
    arrivals.append(packet)
    receiver?.raise()
  }
  func loseFrames() { arrivals.removeAll() }

  func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    for _ in 0..<limit {
      guard let frame = arrivals.popFirst() else { return .drained }
      guard var copy = pool.allocate() else {
        tally.receiveOutOfBuffers.increment()
        tally.receiveDrops.increment()
        continue
      }
      copy.becomeCopy(of: frame)
      copy.metadata.networkOffset = 0
      copy.metadata.arrival = now
      tally.framesReceived.increment()
      tally.bytesReceived.increment(by: UInt64(frame.count))
      batch.append(copy)
    }
    return .more
  }

  func send(_ packet: consuming Packet, queue: Int) -> Packet? {
    tally.framesSent.increment()
    tally.bytesSent.increment(by: UInt64(packet.totalCount))
    if outgoing >= 0, let frame = network.copy(packet) { network.pipes[outgoing].offer(frame) }
    sent.append(packet)
    return nil
  }
  func flush(queue: Int) {}
  func complete(queue: Int, into completed: inout PacketQueue) {
    completed.append(contentsOf: sent.takeAll())
  }
}
