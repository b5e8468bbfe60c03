// Telling a link of an address that is ours from now on, so that caches which knew another station for it
// are corrected at once.

import Buffers
import Exclusion
import SoftInterrupts
import Wire

extension InternetLayer {
  /// A gratuitous ARP request (RFC 5227 section 2.3) or an unsolicited neighbour advertisement (RFC 4861
  /// section 7.2.6). The address is in the published tables.
  func announce(_ own: InterfaceAddress, _ cx: inout SoftInterrupt) {
    guard let interface = interface(own.interface), let station = interface.station else { return }
    guard var packet = cx.pool.allocate() else { return count(.poolExhausted, cx) }
    count(.advertisementsSent, cx)
    if let address = own.address.ipv4 {
      let message = ARPMessage(
        operation: .request, senderHardware: station, sender: address, targetHardware: .zero, target: address)
      return sendARP(packet, message, to: .broadcast, interface, &cx)
    }
    guard let address = own.address.ipv6 else { return }
    buildDiscovery(
      &packet, .neighborAdvertisement(flags: .override, target: address), .targetLinkLayer(station),
      from: address, to: .allNodes)
    count(.ipv6Sent, cx)
    transmit(packet, interface, to: .allNodesIPv6, .multicast, &cx)
  }
}
