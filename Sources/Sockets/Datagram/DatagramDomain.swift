import Exclusion
public import Wire

/// A UDP socket without a name. It becomes a ``DatagramSocket`` when it is bound. The last reference, or close,
/// ends it; there is nothing to end in the stack.
public final class UnboundDatagram: AnySocket {
  private let layer: SocketLayer
  private let family: AddressFamily
  /// 1 once it is bound or closed, 2 if it was closed.
  private let phase = AtomicWord(0)

  init(family: AddressFamily, layer: SocketLayer) {
    self.family = family
    self.layer = layer
  }

  /// Binds it; once. Parameters and answers as for ``SocketLayer/bindDatagram(to:peer:options:)``, and
  /// `.invalidAddress` for an address of another family or a socket that is bound already, `.closed`.
  public func bind(
    to address: SocketAddress, peer: SocketAddress? = nil, options: BindOptions = []
  ) -> Answer<Result<DatagramSocket, SocketError>> {
    guard family.contains(address.address), peer.map({ family.contains($0.address) }) ?? true else {
      return Answer(layer.wakeAccount, answered: .failure(.invalidAddress))
    }
    var seen: UInt64 = 0
    guard phase.compareExchange(&seen, 1) else {
      return Answer(layer.wakeAccount, answered: .failure(seen == 2 ? .closed : .invalidAddress))
    }
    return layer.bindDatagram(to: address, peer: peer, options: options)
  }

  /// It cannot be bound any more.
  public func close() {
    var seen: UInt64 = 0
    _ = phase.compareExchange(&seen, 2)
  }
}

extension SocketContextRef {
  /// The socket that hears a datagram: of several with the same name the one that is connected to its sender,
  /// else the flow's, so that it is always the same.
  func datagram(_ key: BindingKey, from remote: SocketAddress) -> DatagramRef? {
    guard let members = withLayer({ $0.bindings.match(key) }) else { return nil }
    let count = members.count
    if count == 1 { return unsafe DatagramRef(members[0].raw) }
    for index in 0..<count {
      let datagram = unsafe DatagramRef(members[index].raw)
      if datagram.isConnected(to: remote) { return datagram }
    }
    let flow = FlowKey(
      localAddress: key.address, localPort: key.port, remoteAddress: remote.address, remotePort: remote.port)
    return unsafe DatagramRef(members.member(flow.hash(hashKey)).raw)
  }
}
