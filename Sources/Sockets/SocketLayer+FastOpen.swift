// Fast Open as applications see it: RFC 7413.

public import TCP
import Buffers
import Exclusion
public import Wire

/// How a connect that brings text began.
public struct FastOpenConnect: Sendable {
  /// The connection, which may still be connecting.
  public let socket: StreamSocket
  /// Bytes of the text that were taken: they go with the SYN. 0: none, since no cookie of the peer's is known, and one is
  /// asked for (Linux: EINPROGRESS); write when the connection is there.
  public let bytes: Int
}

extension SocketLayer {
  /// TCP_FASTOPEN_KEY: the keys of the cookies that listeners give, all of this stack. What was given under the key
  /// before stays good. Linux: net.ipv4.tcp_fastopen_key. Without this the key is a random one. Application context.
  public func setFastOpenKeys(_ keys: TCPFastOpenCookies) { fastOpenKeys.set(keys) }
  /// The keys of the cookies that listeners give. Any thread.
  public var currentFastOpenKeys: TCPFastOpenCookies { fastOpenKeys.cookies }

  /// Forgets what connecting sockets have learned of their peers: cookies, and where Fast Open was in vain (Linux: `ip
  /// tcp_metrics flush`). Any thread.
  public func forgetFastOpenPeers() { fastOpenCache.forget() }

  /// Whether a connect to `address` could bring text with its SYN now: for TCP_FASTOPEN_CONNECT, whose connect then
  /// returns at once, and whose first write connects (``UnconnectedStream/connect(to:sending:)``). Any thread.
  public func knowsFastOpen(_ address: IPAddress) -> Bool {
    fastOpenCache.attempt(address, configuration.tcp.fastOpen, now: now)?.sendsData ?? false
  }
}

extension UnconnectedStream {
  /// As ``SocketLayer/knowsFastOpen(_:)``, by what this socket is set to.
  public func knowsFastOpen(_ address: IPAddress) -> Bool {
    let allowed = withApplication { held in
      settings.withLock(&held) { settings, _ in settings.tcp.fastOpen }
    }
    return layer.fastOpenCache.attempt(address, allowed, now: layer.now)?.sendsData ?? false
  }

  /// MSG_FASTOPEN: begins to connect, and sends as much of `bytes` with the SYN as it holds, if the peer's cookie is
  /// known; if not, the SYN asks for it. Whatever becomes of the text in the SYN, the connection is a connection like any
  /// other, and what the SYN could not bring it brings afterwards. No user memory is touched after the return.
  ///
  /// Application context; does not wait. Fails as ``connect(to:)``, and with `.noBufferSpace`; `.operationNotSupported`
  /// if the socket's options have no `TCPFastOpen.client`.
  public func connect(
    to remote: SocketAddress, sending bytes: UnsafeRawBufferPointer
  ) -> Result<FastOpenConnect, SocketError> {
    let options = withApplication { held in settings.withLock(&held) { settings, _ in settings } }
    var tcp = options.tcp
    tcp.maximumSegment = min(tcp.maximumSegment, options.segmentLimit ?? .max)
    guard tcp.fastOpen.contains(.client) else { return .failure(.operationNotSupported) }
    // Nil where it was in vain lately: a plain SYN, and the text comes later.
    let attempt = layer.fastOpenCache.attempt(
      remote.address, tcp.fastOpen, now: layer.now)
    let room = attempt.map { TCPConnection.fastOpenRoom($0, tcp) } ?? 0
    let count = min(bytes.count, room, connection.sendRoom)
    guard count > 0 else {
      return connect(to: remote, ConnectExtras(fastOpen: attempt, chain: nil)).map {
        FastOpenConnect(socket: $0, bytes: 0)
      }
    }
    let wanted = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<count])
    let chain: ByteChain
    do throws(MemoryShortage) {
      chain = try withApplication { held throws(MemoryShortage) in
        try unsafe layer.buffers.makeChain(copying: wanted, isGuaranteed: true, &held)
      }
    } catch {
      return .failure(.noBufferSpace)
    }
    let (taken, occupied) = (chain.count, chain.occupied)
    let item = chain.intoItem()
    let outcome = connect(
      to: remote, ConnectExtras(fastOpen: attempt, chain: item, bytes: taken, occupied: occupied))
    if case .failure = outcome {
      _ = ByteChain(item: item)
      layer.memory.give(occupied, .send)
    }
    return outcome.map { FastOpenConnect(socket: $0, bytes: taken) }
  }
}

/// What goes with a connect.
struct ConnectExtras {
  var fastOpen: TCPFastOpenAttempt?
  var chain: ItemRef?
  var bytes = 0
  var occupied = 0
}
