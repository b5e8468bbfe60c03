// A request, or the answer to one: less than a segment, written while nothing is out. What a run of the engine comes to for
// it is done here, and nothing else: the engine gives the header, and the packet goes from the pool to the queue.

import Buffers
import Exclusion
import Internet
import SoftInterrupts
import TCP
import Wire

extension ConnectionRef {
  /// Owner: whether `count` bytes may leave as one segment, as far as this layer has a say in it.
  @inline(__always) func maySendAlone(_ count: Int) -> Bool {
    let owned = unsafe owned
    return unsafe count < ConnectionSink.worthAttaching && owned.pointee.isPlain
      && owned.pointee.wasConnected && owned.pointee.deferred.isEmpty && credit.outstanding == 0
      && !hasWritersInWait
      && shared.pointee.publishedState.loadRelaxed() == UInt64(TCPState.established.rawValue)
  }

  /// Owner: sends `bytes`, at least one and pushed, for which ``maySendAlone(_:)``, which are all that is on the send chain and
  /// not known to the engine. False: that has to be asked in the usual way, and nothing was done. The route was looked at.
  @inline(__always) func sendAlone(
    _ bytes: Int, _ pool: PacketPoolRef, _ sockets: SocketContextRef, _ cx: inout SoftInterrupt
  ) -> Bool {
    let owned = unsafe owned
    // A packet first, as it may not be to be had; the engine then finds its segment lost.
    guard let route = unsafe owned.pointee.route, var packet = pool.allocate() else { return false }
    let now = cx.now
    guard let leaving = unsafe owned.pointee.engine.enqueueAlone(bytes, now: now) else { return false }
    let header = leaving.header
    packet.append(bytes)
    // On no account: while it is out nothing else of the connection's is sent that is new.
    unsafe owned.pointee.sendChain.copyFirst(bytes, into: packet.dataAddress)
    let key = unsafe shared.pointee.key
    let marks = unsafe owned.pointee.shape.marks
    SegmentBuilder.finish(
      header, key, leavesChecksum: unsafe owned.pointee.offloads.contains(.checksum), into: &packet)
    sockets.counters.segmentsSent.increment()
    packet.metadata.trafficClass =
      TrafficClass(dscp: marks.trafficClass.dscp, notification: .notCapable).rawValue
    unsafe owned.pointee.lastRun = now
    send(packet, by: route, key, marks, sockets, &cx)
    // Everything that was submitted and has come to the engine was sent.
    unsafe shared.pointee.sent.store(owned.pointee.enqueued)
    settleTimer(leaving.deadline, sockets, &cx)
    return true
  }

  @inline(__always) private func send(
    _ packet: consuming Packet, by route: RouteDecision, _ key: FlowKey, _ marks: PacketMarks,
    _ sockets: SocketContextRef, _ cx: inout SoftInterrupt
  ) {
    let item = packet.intoItem()
    let outcome = sockets.withInternet { internet in
      internet.send(
        Packet(item: item), by: route, from: key.localAddress, to: key.remoteAddress, protocol: .tcp,
        hopLimit: marks.hopLimit, mayFragment: marks.mayFragment, &cx)
    }
    if outcome != .sent { sockets.counters.segmentsUnroutable.increment() }
  }
}
