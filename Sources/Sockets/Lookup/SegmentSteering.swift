// Segments between contexts: to their flow's home, and from there to where a connection has moved.

import Buffers
import Exclusion
import SoftInterrupts
import Wire

extension SocketInput {
  /// A segment that came in elsewhere goes home, or is dropped where too many wait, as on a full ring.
  static func steer(_ packet: consuming Packet, to home: Int, _ cx: inout SoftInterrupt) {
    if cx.steer(packet, to: home) != nil { SocketContextRef(cx).counters.steeringQueueFull.increment() }
  }

  /// A segment for a connection that has moved. It keeps the connection alive on its way (SO-REF).
  static func forward(
    _ packet: consuming Packet, _ connection: ConnectionRef, to target: Int, _ cx: inout SoftInterrupt
  ) {
    var packet = packet
    packet.metadata.owner = connection.item.address
    guard var back = cx.steer(packet, to: target) else { return }
    back.metadata.owner = 0
    SocketContextRef(cx).counters.steeringQueueFull.increment()
    connection.endForwarding()
    connection.release()
  }

  /// Another context steered a segment to this one.
  static func steered(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    var packet = packet
    let owner = packet.metadata.owner
    packet.metadata.owner = 0
    guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: owner) else {
      guard let key = flow(of: packet) else { return }
      return atHome(packet, key, key.hash(SocketContextRef(cx).hashKey), &cx)
    }
    let connection = unsafe ConnectionRef(raw)
    let item = packet.intoItem()
    item.kind = SocketKind.segment
    switch connection.gate.submit(item, isSegment: true, &cx) {
    case .ran, .posted: break
    case .dropped:
      _ = Packet(item: item)
      SocketContextRef(cx).counters.gateQueueFull.increment()
    case .closed: preconditionFailure("SO-REF: a connection retired under a segment that holds it")
    }
    connection.endForwarding()
    connection.release()
  }
}
