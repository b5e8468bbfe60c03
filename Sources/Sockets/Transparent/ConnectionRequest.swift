import Buffers
import Exclusion
import TCP
public import Wire

/// What becomes of a connection that somebody asked for.
public enum ConnectionVerdict: UInt16, Sendable, CaseIterable {
  /// It begins: the SYN-ACK goes.
  case accept
  /// A reset: nobody listens there.
  case reset
  /// An ICMP error: there is no way to the network.
  case networkUnreachable
  /// An ICMP error: the host is away.
  case hostUnreachable
  /// An ICMP error: it is forbidden.
  case prohibited
  /// Nothing: the destination says nothing.
  case drop
}

/// A SYN for somebody else, which has had no answer. It is decided once; who lets go of it decides that there is none.
@safe public struct ConnectionRequest: ~Copyable, Sendable {
  private let item: ItemRef
  private let layer: Unmanaged<SocketLayer>
  /// Who asks.
  public let source: SocketAddress
  /// Whom for.
  public let destination: SocketAddress

  /// Takes over a packet from the list of requests.
  init(_ item: ItemRef, layer: SocketLayer) {
    self.item = item
    unsafe self.layer = Unmanaged.passUnretained(layer)
    let packet = Packet(item: item)
    (source, destination) = Self.ends(packet)
    _ = packet.intoItem()
  }
  /// A TCP packet's, from its transport header on.
  private static func ends(_ packet: borrowing Packet) -> (source: SocketAddress, destination: SocketAddress)
  {
    let metadata = packet.metadata
    return (
      SocketAddress(metadata.source, port: packet.bytes.uint16(at: 0)),
      SocketAddress(metadata.destination, port: packet.bytes.uint16(at: 2))
    )
  }
  deinit { unsafe Self.post(item, .drop, layer.takeUnretainedValue(), source, destination) }

  /// The connection begins. The socket is in SYN-RECEIVED: it is connected when its ``StreamSocket/isConnected`` says so,
  /// and fails as a connecting one would. `.connectionAborted`: who asked has given up; `.noBufferSpace`, as for connect:
  /// the SYN will come again. Application context; does not wait.
  public consuming func accept(_ options: StreamOptions) -> Answer<Result<StreamSocket, SocketError>> {
    let layer = unsafe layer.takeUnretainedValue()
    let answer = Answer<Result<StreamSocket, SocketError>>(layer.wakeAccount)
    var packet = Packet(item: item)
    packet.metadata.owner = unsafe UInt(
      bitPattern: Unmanaged.passRetained(Admission(answer, options)).toOpaque())
    _ = packet.intoItem()
    Self.post(item, .accept, layer, source, destination)
    discard self
    return answer
  }

  /// The connection does not begin. ``ConnectionVerdict/accept`` is not for this. Application context; does not wait.
  public consuming func refuse(_ verdict: ConnectionVerdict) {
    precondition(verdict != .accept, "a connection is accepted with options")
    unsafe Self.post(item, verdict, layer.takeUnretainedValue(), source, destination)
    discard self
  }

  private static func post(
    _ item: ItemRef, _ verdict: ConnectionVerdict, _ layer: SocketLayer, _ source: SocketAddress,
    _ destination: SocketAddress
  ) {
    item.code = verdict.rawValue
    let key = FlowKey(
      localAddress: destination.address, localPort: destination.port, remoteAddress: source.address,
      remotePort: source.port)
    layer.contexts.port(layer.home(hash: key.hash(layer.hashKey))).post(item)
  }
}

extension SocketLayer {
  /// The home of a flow, as ``SocketContextRef`` has it.
  func home(hash: UInt64) -> Int { Int(hash >> 32) % contexts.count }

  // MARK: Requests

  /// The oldest connection that somebody asked for, of an address that this stack does not have, or a port that nobody
  /// listens on. One application thread at a time, the holder of the turn at ``requestPoint``.
  public func takeRequest(_ taken: inout RequestList) -> ConnectionRequest? {
    guard let state = unsafe transparent else { return nil }
    if taken.items.isEmpty { taken.items.append(contentsOf: unsafe state.pointee.requests.takeAll()) }
    return taken.items.popFirst().map { ConnectionRequest($0, layer: self) }
  }
  /// Whether somebody asked and nobody took it.
  public var hasRequests: Bool {
    guard let state = unsafe transparent else { return false }
    return unsafe !state.pointee.requests.isEmpty
  }
  /// Where to wait for requests; nil: the stack has none.
  public var requestPoint: WaitPoint? {
    guard let state = unsafe transparent else { return nil }
    return unsafe WaitPoint(state.pointee.reader, wakeAccount)
  }
  /// SYNs that wait for a verdict.
  public var requestsHeld: Int {
    guard let state = unsafe transparent else { return 0 }
    return unsafe Int(clamping: state.pointee.held.load())
  }

  /// No more requests, for good: SYNs are answered with resets from here on, and so are those that nobody has taken.
  /// Application context.
  public func closeRequests(_ taken: inout RequestList) {
    guard let state = unsafe transparent else { return }
    taken.items.append(contentsOf: unsafe state.pointee.requests.close())
    #if Explore
      if Mutation.requestsLeftBehind.isOn {
        while let item = taken.items.popFirst() { _ = Packet(item: item) }
        return
      }
    #endif
    while let item = taken.items.popFirst() { ConnectionRequest(item, layer: self).refuse(.reset) }
  }
}

/// Requests that were taken off the stack's list and not yet looked at. Whoever takes requests keeps one.
public struct RequestList: ~Copyable {
  var items = ItemList()
  /// Whether nothing is in it.
  public var isEmpty: Bool { items.isEmpty }
  /// An empty one.
  public init() {}
}
