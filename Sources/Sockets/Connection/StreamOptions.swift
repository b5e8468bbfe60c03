// What a stream socket is set to, as a whole: given when it is made, inherited from a listener by its children, and
// replaced at any time.

import Buffers
import Devices
import Exclusion
import SoftInterrupts
public import TCP
import Timing
public import Wire

/// Who says how large the packets of a connection may be (IP_MTU_DISCOVER, IPV6_MTU_DISCOVER).
public enum PathDiscovery: Sendable, Hashable {
  /// The route, and routers that do not take a packet, which must not cut it (IP_PMTUDISC_WANT, IP_PMTUDISC_DO).
  case routers
  /// The route alone: what routers say counts for nothing, and they may cut packets, over IPv4 (IP_PMTUDISC_DONT,
  /// _INTERFACE, _OMIT).
  case route
  /// The route, and what probing finds (`TCPConfiguration.pathProbing`): what routers say counts for nothing, and they
  /// must not cut packets (IP_PMTUDISC_PROBE).
  case probes
}

/// How one socket's connections behave, and how their packets are marked.
public struct StreamOptions: Sendable {
  /// The protocol's own settings. `maximumSegment`, `peerSegmentDefault` and `receiveBuffer` follow from the route and
  /// from ``limits``; what is set here counts for nothing.
  public var tcp: TCPConfiguration
  /// TCP_MAXSEG: the most that a segment carries either way, in bytes before options, where the route would take more;
  /// nil: what the route takes.
  public var segmentLimit: UInt16?
  /// What is buffered each way. On a socket that is in use, limits other than those it began with do not grow.
  public var limits: BufferLimits
  /// What the scale of our window spans, in bytes, if that is more than ``limits`` have: for a receive buffer that is
  /// made larger later (RFC 7323 section 2.3).
  public var windowSpan = 0
  /// IP_TTL, IPV6_UNICAST_HOPS: 1...255; nil: the stack's.
  public var hopLimit: UInt8?
  /// IP_TOS, IPV6_TCLASS. The two bits of ECN are the protocol's.
  public var trafficClass = TrafficClass.bestEffort
  /// IP_MTU_DISCOVER, IPV6_MTU_DISCOVER.
  public var pathDiscovery = PathDiscovery.routers
  /// TCP_DEFER_ACCEPT, of a listener: a connection whose peer has sent no data counts as half open until so many
  /// SYN-ACKs have had no answer but an ACK; 0: it does not.
  public var deferredAccept: UInt8 = 0
  /// TCP_NOTSENT_LOWAT: bytes that may be submitted and not yet sent; nil: as many as ``limits`` allow.
  public var unsentLimit: Int?

  /// TCP_REMOTE_UDP_ENCAPS_PORT: the peer's port of UDP for segments that go in UDP (``TCPEncapsulation``); 0: they go in IP.
  /// It counts for a socket that connects from now on. Who listens takes both, and answers as it was asked.
  public var encapsulationPort: UInt16 = 0

  /// Whose segments are signed (RFC 2385, TCP_MD5SIG): of the longest prefix that covers the peer. They count for
  /// connections that begin after they were set.
  public var signatures: [TCPSignatureKey] = []
  /// Whose segments are authenticated with keys (RFC 5925, TCP_AO_ADD_KEY); before ``signatures``, where both cover a
  /// peer. They count for connections that begin after they were set; those of a connection that lives are changed by
  /// ``StreamSocket/changeAuthentication(_:)``. Fast Open is not used under keys: a SYN has no room for both.
  public var authentication = TCPAuthenticationSettings()

  /// What `tcp` says, and the rest as usual.
  public init(tcp: TCPConfiguration = TCPConfiguration(), limits: BufferLimits = BufferLimits()) {
    self.tcp = tcp
    self.limits = limits
  }
}

/// How a connection's packets are marked.
struct PacketMarks: Sendable {
  /// Nil: the stack's.
  var hopLimit: UInt8?
  var trafficClass = TrafficClass.bestEffort
  var pathDiscovery = PathDiscovery.routers
  var mayFragment: Bool { pathDiscovery == .route }
}

/// What the owner of a connection keeps of ``StreamOptions`` beside the engine.
struct StreamShape: Sendable {
  var marks = PacketMarks()
  /// The most that a segment carries; nil: what the route takes.
  var segmentLimit: UInt16?
  /// What the scale of the window spans beyond the receive buffer.
  var windowSpan: UInt32 = 0
  /// The peer's port of UDP, if the socket connects.
  var encapsulationPort: UInt16 = 0
  /// Whose segments are signed.
  var signatures: [TCPSignatureKey] = []
  /// Whose are authenticated with keys.
  var authentication = TCPAuthenticationSettings()
  /// Silence before the first keep-alive probe, once they are wanted.
  var keepaliveIdle = Nanoseconds.seconds(7200)
}

/// A listener's options, as every context reads them.
final class ListenerOptions: Sendable {
  let value: StreamOptions
  /// Made once, and not for every child.
  let shape: StreamShape
  /// Nobody's segments are authenticated: whether those with the option for keys are dropped. Nil: somebody's are.
  let refusesUnknown: Bool?
  init(_ value: StreamOptions) {
    (self.value, shape) = (value, value.shape)
    let settings = value.authentication
    let isPlain = settings.keys.isEmpty && !settings.isRequired && value.signatures.isEmpty
    refusesUnknown = isPlain ? settings.refusesUnknown : nil
  }
}

extension StreamOptions {
  /// The largest packet that is sent by a route of `mtu` bytes: what lies in a slot, where the device does not gather.
  static func packet(mtu: Int, _ offloads: DeviceOffloads) -> Int {
    offloads.contains(.gathering) ? min(mtu, 65_535) : min(mtu, Packet.capacity - 64)
  }
  /// Payload before options that goes into a packet of so many bytes.
  static func segment(mtu: Int, isIPv4: Bool) -> UInt16 { UInt16(clamping: mtu - (isIPv4 ? 40 : 60)) }

  var marks: PacketMarks {
    PacketMarks(hopLimit: hopLimit, trafficClass: trafficClass, pathDiscovery: pathDiscovery)
  }
  var shape: StreamShape {
    var shape = StreamShape(marks: marks, segmentLimit: segmentLimit)
    shape.windowSpan = UInt32(clamping: windowSpan)
    shape.encapsulationPort = encapsulationPort
    shape.signatures = signatures
    shape.authentication = authentication
    if tcp.keepaliveIdle > .zero { shape.keepaliveIdle = tcp.keepaliveIdle }
    return shape
  }
}

extension SocketLayer {
  /// What a socket is set to that nobody has set: the layer's ``SocketConfiguration/tcp``.
  public func options(limits: BufferLimits = BufferLimits()) -> StreamOptions {
    StreamOptions(tcp: configuration.tcp, limits: limits)
  }

  /// How a connection to `key` behaves: segment sizes follow from what the way to its peer carries, `mtu`; nil: there is
  /// no way.
  func configuration(
    for key: FlowKey, _ wanted: TCPConfiguration, _ shape: StreamShape, limits: BufferLimits, mtu: Int?
  ) -> TCPConfiguration {
    var tcp = wanted
    let isIPv4 = key.remoteAddress.isIPv4
    let least = (isIPv4 ? 576 : 1280) - (key.encapsulation == 0 ? 0 : Int(encapsulation?.overhead ?? 8))
    let segment = StreamOptions.segment(mtu: mtu ?? least, isIPv4: isIPv4)
    tcp.segmentLimit = shape.segmentLimit ?? .max
    tcp.maximumSegment = min(segment, tcp.segmentLimit)
    tcp.peerSegmentDefault = isIPv4 ? 536 : 1220
    tcp.receiveBuffer = UInt32(limits.receive)
    tcp.signatureBytes = shape.authenticationBytes(key)
    tcp.receiveBufferMaximum = max(UInt32(limits.receiveMaximum), shape.windowSpan)
    return tcp
  }
}

extension ConnectionRef {
  /// What everybody reads of `options`, before the owner is told of the rest. Application context, or whoever makes
  /// the block.
  func share(_ options: StreamOptions) {
    let shared = unsafe shared
    var bits: ConnectionOptions = []
    if options.tcp.noDelay { bits.insert(.noDelay) }
    if options.tcp.keepaliveIdle > .zero { bits.insert(.keepAlive) }
    unsafe shared.pointee.options.formAnd(~ConnectionOptions.inherited.rawValue)
    unsafe shared.pointee.options.formOr(bits.rawValue)
    unsafe shared.pointee.unsentLimit.store(UInt64(max(0, options.unsentLimit ?? 0)))
  }

  /// What is buffered each way: what the socket did not begin with is the application's word, and does not grow. The
  /// same as in the beginning is no news, however far it has grown since. As ``setSendLimit(_:_:)`` otherwise.
  func setLimits(_ limits: BufferLimits, _ deliver: (WakeTarget) -> Void) {
    let shared = unsafe shared
    let began = unsafe shared.pointee.limits
    if limits.send != began.send || limits.sendMaximum != began.sendMaximum {
      unsafe shared.pointee.options.formOr(ConnectionOptions.sendLimitSet.rawValue)
      setSendLimit(limits.send, deliver)
    }
    if limits.receive != began.receive || limits.receiveMaximum != began.receiveMaximum {
      unsafe shared.pointee.options.formOr(ConnectionOptions.receiveLimitSet.rawValue)
      unsafe shared.pointee.receiveLimit.store(UInt64(BufferLimits.clamp(limits.receive)))
    }
  }

  /// Whoever makes a child: the rest of its listener's.
  func adopt(_ options: borrowing ListenerOptions) {
    unsafe owned.pointee.shape = options.shape
    guard let refusesUnknown = options.refusesUnknown else { return settleAuthentication() }
    unsafe owned.pointee.authentication = .none(refusesUnknown: refusesUnknown)
    unsafe owned.pointee.isPlain = shared.pointee.key.encapsulation == 0
  }

  /// Owner: the rest of `options`.
  func adopt(_ options: StreamOptions, now: Instant) {
    let owned = unsafe owned
    unsafe owned.pointee.shape = options.shape
    if unsafe owned.pointee.isInserting && !owned.pointee.isUnconnected { settleAuthentication() }
    if unsafe owned.pointee.isUnconnected {
      unsafe owned.pointee.engine = TCPConnection.idle(configuration: options.tcp, now: now)
    }
  }

  /// Owner: `options` for a socket in use. What the handshake has settled stays.
  func change(to options: StreamOptions, _ cx: inout SoftInterrupt) {
    guard unsafe !owned.pointee.isDropped else { return }
    adopt(options, now: cx.now)
    guard unsafe !owned.pointee.isUnconnected else { return }
    if let limit = options.segmentLimit { unsafe owned.pointee.engine.lowerSegment(to: limit) }
    runEngine(&cx) { $0.reconfigure(options.tcp, now: $1, sink: &$2) }
    tellReceiveLimit(&cx)
  }

  /// Runs `body` as the owner, behind everything that was submitted before. False: the block has no owner any more,
  /// and `body` is dropped. The caller holds a reference. Control work: it allocates.
  @discardableResult
  func call(_ body: @escaping @Sendable (ConnectionRef, inout SoftInterrupt) -> Void) -> Bool {
    let connection = self
    let call = ContextCall.make(kind: SocketKind.call) { cx in body(connection, &cx) }
    switch gate.post(call) {
    case .ran, .posted: return true
    case .closed, .dropped:
      ContextCall.discard(call)
      return false
    }
  }
}

extension UnconnectedStream {
  /// Replaces what the socket is set to. What it becomes begins with it. Any thread; does not wait.
  public func setOptions(_ options: StreamOptions) {
    withApplication { held in settings.withLock(&held) { settings, _ in settings = options } }
    if isUnused { layer.setAnswer(connection, options) }
    connection.setLimits(options.limits) { _ in }
    connection.share(options)
    connection.call { connection, cx in connection.change(to: options, &cx) }
  }
}

extension StreamSocket {
  /// Replaces what the connection is set to, in order with what was written before. What the handshake has settled
  /// stays: segment sizes, the scale of the window, timestamps, selective acknowledgments. Any thread; does not wait.
  public func setOptions(_ options: StreamOptions) {
    deliverWakeups { connection.setLimits(options.limits, $0) }
    connection.share(options)
    connection.call { connection, cx in connection.change(to: options, &cx) }
  }
}

extension ListeningSocket {
  /// Replaces what connections begin with whose SYN comes from now on, and for what is half open now from its next
  /// segment on. Any thread; does not wait.
  public func setOptions(_ options: StreamOptions) {
    let (listener, layer) = (listener, layer)
    listener.retain()
    layer.contexts.perform(on: 0) { _ in
      unsafe listener.state.pointee.options.publish(ListenerOptions(options), layer.contexts.grace)
      listener.release()
    }
  }

  /// Another bound on the connections that wait for accept, 1...65535; more than that may wait already. Any thread.
  public func setBacklog(_ backlog: Int) {
    unsafe listener.state.pointee.backlog.store(UInt64(ListenerState.clamp(backlog)))
  }
}
