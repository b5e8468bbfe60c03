// Segments that go in UDP.

import Buffers
import Exclusion
import Internet
import SoftInterrupts
import Wire

extension SegmentBuilder {
  /// Puts a UDP header in front of a whole segment of `key`'s, whose checksum is right, all of it in the packet's slot.
  ///
  /// As FreeBSD has it, UDP's checksum is the only one, and the segment's field is 0. UDP's follows from the segment's: with
  /// that, the segment and the pseudo header of TCP add up to nothing, and what is other in UDP's pseudo header is 17 for
  /// 6 and eight bytes more. So no byte is summed twice (RFC 1624 has the arithmetic).
  static func encapsulate(_ packet: inout Packet, _ key: FlowKey, from port: UInt16) {
    let header = UDPHeader(
      sourcePort: port, destinationPort: key.encapsulation, payloadByteCount: packet.totalCount)
    packet.prepend(UDPHeader.byteCount)
    var bytes = packet.mutableBytes
    header.emit(into: &bytes)
    let place = UDPHeader.byteCount + TCPHeader.checksumOffset
    let inner = bytes.bytes.uint16(at: place)
    bytes.set(0 as UInt16, at: place)
    let changed = UInt32(IPProtocol.udp.rawValue - IPProtocol.tcp.rawValue) + UInt32(UDPHeader.byteCount)
    var sum = changed + UInt32(port) + UInt32(key.encapsulation) + UInt32(header.length) + UInt32(~inner)
    while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
    let checksum = ~UInt16(truncatingIfNeeded: sum)
    // 0 would say that there is none (RFC 768).
    bytes.set(checksum == 0 ? 0xFFFF : checksum, at: UDPHeader.checksumOffset)
  }
}

extension SocketContextRef {
  /// Nil: nothing goes in UDP now.
  var encapsulation: TCPEncapsulation? { withLayer { $0.encapsulation } }

  /// Bytes that a packet of `key`'s carries less of a segment than one in IP.
  func overhead(_ key: FlowKey) -> Int {
    if key.encapsulation == 0 { return 0 }
    return Int(encapsulation?.overhead ?? TCPEncapsulation.overheads.lowerBound)
  }

  /// Puts a segment of `key`'s into UDP. False: there is no encapsulation any more, which is counted.
  func encapsulate(_ packet: inout Packet, _ key: FlowKey) -> Bool {
    guard let encapsulation else {
      counters.encapsulatedDropped.increment()
      return false
    }
    SegmentBuilder.encapsulate(&packet, key, from: encapsulation.port)
    counters.encapsulatedSent.increment()
    return true
  }
}

extension ConnectionRef {
  /// Owner: what the engine has sent goes in UDP.
  @inline(never) func transmitEncapsulated(
    _ packets: inout PacketQueue, _ key: FlowKey, _ cx: inout SoftInterrupt
  ) {
    let marks = unsafe owned.pointee.shape.marks
    let sockets = SocketContextRef(cx)
    sockets.withInternet { internet in
      followRoute(internet, sockets)
      while var packet = packets.popFirst() {
        guard sockets.encapsulate(&packet, key) else { continue }
        let kind = TrafficClass(rawValue: packet.metadata.trafficClass)
        let outcome = internet.send(
          packet, from: key.localAddress, to: key.remoteAddress, protocol: .udp, hopLimit: marks.hopLimit,
          trafficClass: kind, mayFragment: marks.mayFragment, route: unsafe owned.pointee.route, &cx)
        if outcome != .sent { sockets.counters.segmentsUnroutable.increment() }
      }
    }
  }
}
