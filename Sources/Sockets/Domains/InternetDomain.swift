import Exclusion
import Wire

/// IPv4, or IPv6 with IPv4 by its dual sockets: TCP and UDP.
struct InternetDomain: Domain {
  let family: AddressFamily
  /// The stack that it belongs to, and which has its switch.
  private unowned let layer: SocketLayer

  init(_ family: AddressFamily, _ layer: SocketLayer) {
    self.family = family
    self.layer = layer
  }

  let protocols = [
    SocketProtocol(.stream, number: IPProtocol.tcp.rawValue),
    SocketProtocol(.datagram, number: IPProtocol.udp.rawValue),
  ]

  func makeSocket(_ kind: SocketProtocol) -> Answer<Result<any AnySocket, SocketError>> {
    let (layer, family) = (layer, family)
    switch kind.type {
    case .stream:
      let answer = Answer<Result<any AnySocket, SocketError>>(layer.wakeAccount)
      layer.contexts.perform(on: layer.nextContext()) { cx in
        answer.complete(layer.unconnectedStream(family, nil, &cx).map { $0 }, &cx)
      }
      return answer
    case .datagram:
      return Answer(layer.wakeAccount, answered: .success(UnboundDatagram(family: family, layer: layer)))
    case .raw, .sequencedPacket:
      return Answer(layer.wakeAccount, answered: .failure(.typeNotSupported))
    }
  }
}
