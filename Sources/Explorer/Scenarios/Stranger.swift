#if Explore
  import Buffers
  import Devices
  import Exclusion
  import Sockets
  import Timing
  import Wire

  /// Who is at the far end of the link: a peer whose segments the scenario writes and reads itself, one flow to a
  /// port of this host. It has no stack, so it does only what it is told.
  final class Stranger {
    private let world: SocketWorld
    private let pool = PacketPool(limit: 64, reserve: 0)
    private let key: FlowKey
    /// What it sends next, and what it expects.
    private(set) var sequence: UInt32 = 1_000_000
    private(set) var expected: UInt32 = 0

    /// A peer whose flow to `port` is at home at the context `home`.
    init(_ world: SocketWorld, to port: UInt16, home: Int) {
      self.world = world
      key = world.flow(home: home, to: port)
    }

    /// Sends a segment that arrives at the context `at`.
    func send(_ flags: TCPFlags, _ payload: [UInt8] = [], sequence: UInt32? = nil, at context: Int) {
      guard var packet = pool.ref.allocate() else { preconditionFailure("a stranger has few segments") }
      packet.append(payload.count)
      var bytes = packet.mutableBytes
      for (index, byte) in payload.enumerated() { bytes.set(byte, at: index) }
      let header = TCPHeader(
        sourcePort: key.remotePort, destinationPort: key.localPort,
        sequence: SequenceNumber(sequence ?? self.sequence), acknowledgment: SequenceNumber(expected),
        flags: flags, window: 60_000, options: TCPOptions())
      packet.prepend(header.byteCount)
      bytes = packet.mutableBytes
      header.emit(into: &bytes)
      InternetChecksum.seal(
        &bytes, at: TCPHeader.checksumOffset, source: key.remoteAddress, destination: key.localAddress,
        protocol: .tcp)
      let count = packet.count
      packet.prepend(IPv4Header.fixedByteCount)
      bytes = packet.mutableBytes
      IPv4Header(
        source: IPv4Address(10, 0, 0, 2), destination: IPv4Address(10, 0, 0, 1), protocol: .tcp,
        payloadByteCount: count
      ).emit(into: &bytes)
      _ = world.link.right.send(packet, queue: context)
      world.link.right.flush(queue: context)
    }

    /// What came for it since anybody last looked; what came for others is lost.
    func received() -> [TCPHeader] { Stranger.received([self])[0] }

    /// What came for each of several at the same link since anybody last looked.
    static func received(_ strangers: [Stranger]) -> [[TCPHeader]] {
      let world = strangers[0].world
      var headers = strangers.map { _ in [TCPHeader]() }
      for queue in 0..<world.contexts.count {
        var batch = PacketQueue()
        _ = world.link.right.receive(
          queue: queue, limit: 64, pool: strangers[0].pool.ref, now: Instant(milliseconds: 0), into: &batch)
        while var packet = batch.popFirst() {
          packet.trimFront(IPv4Header.fixedByteCount)
          // What is no segment is not for a peer.
          guard let (header, _) = try? TCPHeader.parse(packet.bytes),
            let place = strangers.firstIndex(where: { $0.key.remotePort == header.destinationPort })
          else { continue }
          headers[place].append(header)
        }
      }
      return headers
    }

    /// Expects what comes after a SYN-ACK, and has sent its SYN.
    func take(_ answer: TCPHeader) {
      sequence &+= 1
      expected = answer.sequence.rawValue &+ 1
    }

    /// Opens a connection to a listener, at rest, and returns the listener's end.
    func connect(to listener: ListeningSocket, at context: Int) -> StreamSocket {
      send(.syn, at: context)
      world.settle()
      guard let answer = received().first else { preconditionFailure("a SYN is answered") }
      take(answer)
      send(.ack, at: context)
      world.settle()
      guard case .success(let child) = listener.tryAccept() else {
        preconditionFailure("a handshake without losses is completed")
      }
      return child
    }
  }

  extension SocketWorld {
    /// A flow between this host and the far end that is at home at the context `home`: to a local port, or from
    /// the next one after `first` that will do.
    func flow(home: Int, to local: UInt16? = nil, after first: UInt16 = 40_000) -> FlowKey {
      for port in (first + 1)... {
        let key = FlowKey(
          localAddress: Self.near, localPort: local ?? port, remoteAddress: Self.far,
          remotePort: local == nil ? 9 : port)
        if Int(key.hash(HashKey(seed: Self.seed)) >> 32) % contexts.count == home { return key }
      }
      preconditionFailure("ports enough for every context")
    }
  }
#endif
