// ARP for IPv4 over Ethernet (RFC 826, RFC 5227).

import Buffers
import Exclusion
import SoftInterrupts
import Wire

extension InternetLayer {
  /// An ARP message, checked here, so that garbage is no work for the cache's home.
  func receiveARP(_ packet: consuming Packet, _ interface: InterfaceRef, _ cx: inout SoftInterrupt) {
    count(.arpReceived, cx)
    guard let cache = interface.neighbors, let message = try? ARPMessage.parse(packet.bytes),
      message.senderHardware.isUnicast, Self.mayHaveStation(message.sender)
    else { return drop(packet, .arpMalformed, &cx) }
    cache.submit(packet, as: InternetKind.neighborARP, &cx)
  }

  /// 0.0.0.0 is a probe's sender (RFC 5227); the others are nobody's.
  private static func mayHaveStation(_ address: IPv4Address) -> Bool {
    address.isUnspecified || !(address.isMulticast || address.isReserved || address.isLoopback)
  }

  /// Owner of the cache.
  func runARP(_ packet: consuming Packet, _ cache: NeighborCacheRef, _ cx: inout SoftInterrupt) {
    guard let interface = interface(cache.interface), let station = interface.station,
      let message = try? ARPMessage.parse(packet.bytes), message.senderHardware != station
    else { return }
    let (sender, target) = (IPAddress(message.sender), IPAddress(message.target))
    let (isOurs, isForUs, isOnLink) = snapshot.with {
      (
        $0.hasAddress(sender, on: cache.interface), $0.hasAddress(target, on: cache.interface),
        $0.isOnLink(sender, interface: cache.interface)
      )
    }
    if isOurs { return drop(packet, .addressConflict, &cx) }
    if !sender.isUnspecified {
      let isAnswer = message.operation == .reply && message.targetHardware == station
      neighborLearned(
        NeighborNews(
          address: sender, station: message.senderHardware, isSolicited: isAnswer, overrides: true,
          isRouter: nil, createsEntry: isForUs && isOnLink && message.operation == .request),
        cache, &cx)
    }
    guard isForUs, message.operation == .request else { return }
    let reply = ARPMessage(
      operation: .reply, senderHardware: station, sender: message.target,
      targetHardware: message.senderHardware, target: message.sender)
    sendARP(packet, reply, to: message.senderHardware, interface, &cx)
    count(.advertisementsSent, cx)
  }

  /// Asks for an IPv4 neighbour: everybody, or the station that had the address.
  func sendARPRequest(
    for target: IPv4Address, from sender: IPv4Address, to station: MACAddress?, _ interface: InterfaceRef,
    _ cx: inout SoftInterrupt
  ) {
    guard let own = interface.station else { return }
    guard let packet = cx.pool.allocate() else { return count(.poolExhausted, cx) }
    let request = ARPMessage(
      operation: .request, senderHardware: own, sender: sender, targetHardware: .zero, target: target)
    sendARP(packet, request, to: station ?? .broadcast, interface, &cx)
    count(.solicitationsSent, cx)
  }

  func sendARP(
    _ packet: consuming Packet, _ message: ARPMessage, to station: MACAddress, _ interface: InterfaceRef,
    _ cx: inout SoftInterrupt
  ) {
    packet.reset()
    packet.append(message.byteCount)
    var span = packet.mutableBytes
    message.emit(into: &span)
    packet.metadata.queue = UInt16(cx.index)
    packet.metadata.offload = PacketOffload()
    let header = EthernetHeader(destination: station, source: message.senderHardware, type: .arp)
    sendFrame(packet, header, interface, &cx)
  }
}
