// Segments that came in UDP, and segments that came otherwise than their connection's do.

import Buffers
import Exclusion
import SoftInterrupts
import TCP
import Wire

extension SocketInput {
  /// A datagram for the port of the encapsulation, whose checksum, if it has one, is right; the packet begins at the UDP
  /// header. What it carries is a segment like others from here on, but for the port that its answers go to.
  static func encapsulated(
    _ packet: consuming Packet, _ header: UDPHeader, hasChecksum: Bool, _ cx: inout SoftInterrupt
  ) {
    let sockets = SocketContextRef(cx)
    // To port 0 there is no answer.
    guard header.sourcePort != 0 else { return sockets.counters.encapsulatedDropped.increment() }
    sockets.counters.encapsulatedReceived.increment()
    var packet = packet
    packet.trimFront(UDPHeader.byteCount)
    packet.metadata.sequence = UInt32(header.sourcePort)
    packet.metadata.flags.insert(.encapsulated)
    // UDP's covers the segment, whose own is not looked at then: FreeBSD leaves it 0. Without UDP's it must be right.
    if hasChecksum {
      packet.metadata.flags.insert(.checksumVerified)
    } else {
      packet.metadata.flags.remove(.checksumVerified)
    }
    collect(packet, encapsulation: header.sourcePort, &cx)
  }

  /// A segment with the 4-tuple of a connection whose segments travel otherwise: in UDP from another port, in UDP and not, or
  /// the other way round. It has no part in the order of the connection's segments, so it goes to the gate from wherever
  /// it is.
  static func astray(
    _ packet: consuming Packet, _ connection: ConnectionRef, _ key: FlowKey, _ hash: UInt64,
    _ cx: inout SoftInterrupt
  ) {
    let item = packet.intoItem()
    item.kind = SocketKind.stray
    switch connection.gate.submit(item, isSegment: true, &cx) {
    case .ran, .posted: break
    case .dropped:
      _ = Packet(item: item)
      SocketContextRef(cx).counters.gateQueueFull.increment()
    case .closed: withoutConnection(Packet(item: item), key, hash, &cx)
    }
  }
}

extension Packet {
  /// The port of UDP that a segment came from which nobody has taken yet; 0: it came in IP.
  @inline(__always) var encapsulation: UInt16 {
    metadata.flags.contains(.encapsulated) ? UInt16(truncatingIfNeeded: metadata.sequence) : 0
  }
}

extension ConnectionRef {
  /// Owner: a segment that is astray is refused in the connection's name, and nothing of it counts. But a SYN that may take
  /// the place of a connection in TIME-WAIT may come from anywhere: it is no segment of that connection.
  func arriveAstray(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    unsafe willOwn(UnsafeRawPointer(owned))  // keeps PCB-OWN
    let (owned, sockets) = unsafe (owned, SocketContextRef(cx))
    guard unsafe !owned.pointee.isDropped else { return SocketInput.redispatch(packet, &cx) }
    // Whatever is wrong with it, it is dropped and counted as one that is malformed.
    guard let (header, headerCount) = try? TCPHeader.parse(packet.bytes),
      let key = SocketInput.flow(of: packet)
    else { return sockets.counters.segmentsMalformed.increment() }
    let segment = TCPSegment(
      header, arrival: packet.metadata.arrival,
      notification: TrafficClass(rawValue: packet.metadata.trafficClass).notification)
    guard
      unsafe SegmentBuilder.isAuthentic(
        packet, segment, headerCount, owned.pointee.authentication,
        isOpening: owned.pointee.engine.state == .synSent, sockets)
    else { return }
    if unsafe owned.pointee.engine.mayBeReplaced(by: segment) {
      var packet = packet
      packet.trimFront(headerCount)
      var sink = ConnectionSink(self, pool: cx.pool, sockets: sockets)
      let effects = unsafe owned.pointee.engine.arrive(segment, packet, now: cx.now, sink: &sink)
      apply(effects, &sink, &cx)
      if effects.reopen { SocketInput.reopen(segment, key, &cx) }
      return
    }
    sockets.counters.encapsulationMismatches.increment()
    let payloadCount = packet.totalCount - headerCount
    guard let reply = TCPResetRule.reply(to: segment, payloadCount: payloadCount) else { return }
    let (marks, protection) = unsafe (
      owned.pointee.shape.marks, owned.pointee.authentication.outgoing(reply.sequence, reply.flags)
    )
    sockets.send(reply, key, marks: marks, as: protection, &cx)
  }
}

extension Handshake {
  /// A segment with the 4-tuple of a half-open connection that is astray: the connection stays what it is. A SYN has no
  /// answer, and comes again when the entry is gone; nor has a reset.
  static func refuseAstray(
    _ arrived: HandshakeSegment, _ listener: ListenerRef, _ authentication: SegmentAuthentication,
    _ cx: inout SoftInterrupt
  ) {
    let sockets = SocketContextRef(cx)
    sockets.counters.encapsulationMismatches.increment()
    guard arrived.segment.flags.contains(.ack),
      let reply = TCPResetRule.reply(to: arrived.segment, payloadCount: arrived.payloadCount)
    else { return }
    let protection = authentication.outgoing(reply.sequence, reply.flags)
    sockets.send(reply, arrived.key, marks: listener.marks, as: protection, &cx)
  }
}
