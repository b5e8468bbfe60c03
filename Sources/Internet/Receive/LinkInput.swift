// From the wire to IP: which frames are for us.

public import Buffers
public import Exclusion
import SoftInterrupts
import Wire

extension InternetLayer {
  /// Takes one frame, or one bare packet where the link has no frames, that came in by `interface`. Every
  /// frame is delivered, or dropped and counted; its buffer goes back either way (R7, R8).
  public func receive(_ packet: consuming Packet, interface index: UInt16, _ cx: inout SoftInterrupt) {
    var batch = PacketQueue()
    batch.append(packet)
    receive(&batch, interface: index, &cx)
  }
  /// The same for all frames of a batch, which then is empty.
  func receive(_ batch: inout PacketQueue, interface index: UInt16, _ cx: inout SoftInterrupt) {
    guard let interface = interface(index) else { return batch.removeAll() }
    count(.framesReceived, by: batch.count, cx)
    count(.packetsReceived, index, by: batch.count, cx)
    count(.bytesReceived, index, by: batch.byteCount, cx)
    while var packet = batch.popFirst() {
      packet.metadata.interface = index
      packet.metadata.flags = packet.metadata.flags.intersection(.checksumVerified)
      if let station = interface.station {
        receiveFrame(packet, interface, station, &cx)
      } else {
        receiveBare(packet, interface, &cx)
      }
    }
  }

  /// A batch of one: mostly a bare packet like the one before, whose way is short.
  @inline(__always) func receiveAlone(
    _ packet: consuming Packet, interface index: UInt16, _ cx: inout SoftInterrupt
  ) {
    if let interface = interface(index), interface.station == nil {
      packet.metadata.interface = index
      packet.metadata.flags = packet.metadata.flags.intersection(.checksumVerified)
      let length = packet.totalCount
      if let protocolNumber = openPlainIPv4(&packet, interface, cx) {
        let counters = unsafe record(cx)
        unsafe counters.pointee.count(.framesReceived)
        unsafe counters.pointee.count(.packetsReceived, interface: Int(index))
        unsafe counters.pointee.count(.bytesReceived, interface: Int(index), by: UInt64(length))
        unsafe counters.pointee.count(.ipv4Received)
        unsafe counters.pointee.count(.ipv4Delivered)
        return deliverAlone(packet, to: protocolNumber, &cx)
      }
    }
    receive(packet, interface: index, &cx)
    finishBatch(&cx)
  }

  private func receiveFrame(
    _ packet: consuming Packet, _ interface: InterfaceRef, _ station: MACAddress, _ cx: inout SoftInterrupt
  ) {
    guard let header = try? EthernetHeader.parse(packet.bytes) else {
      return drop(packet, .frameTooShort, &cx)
    }
    guard !header.source.isMulticast else { return drop(packet, .frameFromGroup, &cx) }
    if header.destination.isBroadcast {
      packet.metadata.flags.insert(.linkBroadcast)
    } else if header.destination.isMulticast {
      packet.metadata.flags.insert(.linkMulticast)
    } else if header.destination != station {
      return drop(packet, .frameNotForUs, &cx)
    }
    // Identifier 0 is a priority without a VLAN (802.1Q section 9.6); there are no VLAN interfaces yet.
    if let vlan = header.vlan, vlan.identifier != 0 { return drop(packet, .unknownVLAN, &cx) }
    if interface.isGuarded, let problem = guardFrame(packet, header, interface) {
      return drop(packet, problem, &cx)
    }
    packet.trimFront(header.byteCount)
    switch header.type {
    case .ipv4: receiveIPv4(packet, interface, &cx)
    case .ipv6: receiveIPv6(packet, interface, &cx)
    case .arp: receiveARP(packet, interface, &cx)
    case .vlan, .serviceVLAN: drop(packet, .unknownVLAN, &cx)
    default: drop(packet, .unknownEtherType, &cx)
    }
  }

  private func receiveBare(
    _ packet: consuming Packet, _ interface: InterfaceRef, _ cx: inout SoftInterrupt
  ) {
    guard packet.count > 0 else { return drop(packet, .frameTooShort, &cx) }
    switch packet.bytes.uint8(at: 0) >> 4 {
    case 4: receiveIPv4(packet, interface, &cx)
    case 6: receiveIPv6(packet, interface, &cx)
    default: drop(packet, .unknownEtherType, &cx)
    }
  }

  /// The end of a packet that nobody gets.
  func drop(_ packet: consuming Packet, _ reason: InternetEvent, _ cx: inout SoftInterrupt) {
    count(reason, cx)
    count(.packetsDropped, packet.metadata.interface, cx)
  }
}
