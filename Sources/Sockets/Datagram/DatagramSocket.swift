import Exclusion
public import Wire

import Buffers
import Internet
import SoftInterrupts

/// A datagram that was read.
public struct ReceivedDatagram: Sendable, Equatable {
  /// Bytes copied into the buffer.
  public var count: Int
  /// Bytes that the datagram had; more than `count` if the buffer was too small and the rest was cut off.
  public var size: Int
  /// Who sent it.
  public var source: SocketAddress
  /// The address that it was sent to: this host's, but for a transparent socket.
  public var destination: IPAddress
  /// The port that it was sent to.
  public var destinationPort: UInt16 = 0
  /// Hops that it might still have gone, as it came (IP_TTL, IPV6_HOPLIMIT).
  public var hopLimit: UInt8 = 0
  /// Whether its sender lets it be cut into fragments on its way: it came in some, or is of IPv4 without "don't fragment".
  public var mayBeFragmented = true
}

/// What becomes of a datagram that is larger than the buffer it is read into (C6).
public enum DatagramTruncation: Sendable, Hashable {
  /// It is cut off, and its ``ReceivedDatagram/size`` says so: POSIX, MSG_TRUNC.
  case discard
  /// It stays, and the read fails with `.messageTooLarge`; ``DatagramSocket/nextSize()`` says how much it needs.
  case keep
}

/// A UDP socket: the application's handle. Calls never wait; ``readPoint`` and ``writePoint`` are where the
/// blocking and the async API wait.
public final class DatagramSocket: AnySocket {
  let datagram: DatagramRef
  let layer: SocketLayer
  private let closing = AtomicWord(0)
  /// The address and port that it is bound to.
  public let localAddress: SocketAddress
  /// The only peer of a connected socket.
  public let peer: SocketAddress?

  init(_ datagram: DatagramRef, localAddress: SocketAddress, layer: SocketLayer) {
    self.datagram = datagram
    self.localAddress = localAddress
    self.layer = layer
    peer = unsafe datagram.state.pointee.peer
  }
  deinit {
    // Nobody waits any more: there is nobody to wake, and this may run anywhere.
    _ = beginClose()
    if !isForkedChild() { datagram.release() }
  }

  /// Reads the oldest datagram; or tells, once, what the network reported about those that were sent. The holder of
  /// the read turn only (C6).
  ///
  /// - Parameter truncation: what becomes of a datagram larger than `buffer`.
  public func tryReceive(
    into buffer: UnsafeMutableRawBufferPointer, truncation: DatagramTruncation = .discard
  ) -> Result<ReceivedDatagram, SocketError> {
    let state = unsafe datagram.state
    if closing.load() != 0 { return .failure(.closed) }
    if let error = unsafe state.pointee.error.takeForReader() { return .failure(error) }
    if unsafe state.pointee.readable.isEmpty {
      unsafe state.pointee.readable.append(contentsOf: state.pointee.received.takeAll())
    }
    guard let item = unsafe state.pointee.readable.popFirst() else { return .failure(.wouldBlock) }
    let packet = Packet(item: item)
    let size = packet.totalCount
    if size > buffer.count, truncation == .keep {
      unsafe state.pointee.readable.prepend(packet.intoItem())
      return .failure(.messageTooLarge)
    }
    let occupied = packet.occupiedBytes
    unsafe state.pointee.waiting.subtract(DatagramBacklog(occupied: occupied).word)
    unsafe state.pointee.queued.subtract(1)
    let count = min(size, buffer.count)
    if let base = buffer.baseAddress { unsafe packet.copyBytes(from: 0, count: count, into: base) }
    let metadata = packet.metadata
    let mayBeFragmented = Self.mayBeFragmented(packet)
    layer.memory.give(occupied, .datagram)
    return .success(
      ReceivedDatagram(
        count: count, size: size,
        source: SocketAddress(metadata.source, port: UInt16(truncatingIfNeeded: metadata.sequence)),
        destination: metadata.destination, destinationPort: UInt16(metadata.sequence >> 16),
        hopLimit: metadata.hopLimit, mayBeFragmented: mayBeFragmented))
  }

  /// By the header that is in front of the bytes still.
  private static func mayBeFragmented(_ packet: consuming Packet) -> Bool {
    let metadata = packet.metadata
    if metadata.flags.contains(.joined) { return true }
    let headers = packet.startOffset - Int(metadata.networkOffset)
    guard metadata.source.isIPv4, headers >= IPv4Header.fixedByteCount else { return !metadata.source.isIPv6 }
    packet.prepend(headers)
    return packet.bytes.uint16(at: 6) & 0x4000 == 0
  }

  /// Bytes of the datagram that is read next; nil if there is none. The holder of the read turn only.
  public func nextSize() -> Int? {
    let state = unsafe datagram.state
    if unsafe state.pointee.readable.isEmpty {
      unsafe state.pointee.readable.append(contentsOf: state.pointee.received.takeAll())
    }
    guard let item = unsafe state.pointee.readable.first else { return nil }
    let packet = Packet(item: item)
    let size = packet.totalCount
    _ = packet.intoItem()
    return size
  }

  /// SO_RCVBUF: how many bytes of memory the datagrams that wait may occupy. What waits already stays.
  ///
  /// - Parameter bytes: 4 KiB...16 MiB; what lies outside counts as the nearest.
  public func setReceiveLimit(_ bytes: Int) {
    unsafe datagram.state.pointee.receiveLimit.store(UInt64(BufferLimits.clamp(bytes)))
  }
  /// What the socket occupies.
  public var memory: SocketMemory {
    SocketMemory(receive: datagram.backlog.occupied, reassembly: 0, send: 0)
  }

  /// The most that a datagram carries, in bytes: what does not fit into a packet of its route leaves in fragments.
  public static func largest(isIPv4: Bool) -> Int {
    65_535 - UDPHeader.byteCount - (isIPv4 ? IPv4Header.fixedByteCount : 0)
  }

  /// Sends one datagram to `destination` (nil: to the peer). `source` is the address of this host to send
  /// from, nil for the bound one or the usual choice. Throws nothing; a full queue is `.wouldBlock`. What the
  /// network reported about earlier datagrams, and nobody was told, is told instead, once.
  ///
  /// With a `segmentSize` it is as many datagrams as `bytes` has pieces of that size, the last of which may be shorter (as
  /// by UDP_SEGMENT of Linux): one way through the stack, and to a device that cuts. 1...``segmentLimit`` pieces that the
  /// route carries whole; else `.messageTooLarge`. A `segmentSize` below 1 is `.invalidAddress`.
  public func trySend(
    _ bytes: UnsafeRawBufferPointer, to destination: SocketAddress?, from source: IPAddress? = nil,
    segmentSize: Int? = nil
  ) -> Result<Void, SocketError> {
    guard let segmentSize else {
      return unsafe submit(bytes, to: destination, from: source, port: localAddress.port, as: .datagram)
    }
    guard segmentSize > 0 else { return .failure(.invalidAddress) }
    guard bytes.count <= Self.segmentLimit * segmentSize else { return .failure(.messageTooLarge) }
    // Nothing to be cut.
    let size = segmentSize < bytes.count ? segmentSize : 0
    return unsafe submit(
      bytes, to: destination, from: source, port: localAddress.port, as: .datagram, segmentSize: size)
  }
  /// Datagrams that one ``trySend(_:to:from:segmentSize:)`` makes at most; Linux's UDP_MAX_SEGMENTS.
  public static var segmentLimit: Int { 128 }

  /// What is given to a context to be sent, in a packet's ``ItemRef/code``.
  enum Outgoing: UInt16 {
    /// A datagram from the socket's name, or a transparent socket's from any.
    case datagram
    /// The answer to an echo request; its numbers stand for the ports.
    case echoReply
    /// An ICMP error about a datagram with these addresses the other way round: what it says is in the packet.
    case portUnreachable, protocolUnreachable, hostUnreachable, networkUnreachable, prohibited, timeExceeded,
      tooBig
    /// Beside the others: the error is about an echo request.
    static var echo: UInt16 { 0x100 }
  }

  func submit(
    _ bytes: UnsafeRawBufferPointer, to destination: SocketAddress?, from source: IPAddress?, port: UInt16,
    as outgoing: Outgoing, isEcho: Bool = false, segmentSize: Int = 0
  ) -> Result<Void, SocketError> {
    if closing.load() != 0 { return .failure(.closed) }
    if let error = unsafe datagram.state.pointee.error.takeForSender() { return .failure(error) }
    guard let target = destination ?? peer else { return .failure(.notConnected) }
    guard target.port != 0 || isEcho,
      target.address.isIPv4 == localAddress.address.isIPv4 || localAddress.address.isUnspecified
    else { return .failure(.invalidAddress) }
    guard bytes.count <= Self.largest(isIPv4: target.address.isIPv4) else {
      return .failure(.messageTooLarge)
    }
    let largest = layer.contexts.grace.withPin {
      layer.internet.route(to: target.address, zone: target.zone).map {
        Self.largestSegment(by: $0, isIPv4: target.address.isIPv4)
      }
    }
    guard let largest else { return .failure(.networkUnreachable) }
    guard segmentSize <= largest else { return .failure(.messageTooLarge) }
    let state = unsafe datagram.state
    var credit = unsafe state.pointee.sendCredit.load()
    repeat {
      if credit == 0 {
        datagram.wantSpace()
        #if Explore
          if Mutation.fullBufferWithoutLook.isOn { return .failure(.wouldBlock) }
        #endif
        credit = unsafe state.pointee.sendCredit.load()
        if credit == 0 { return .failure(.wouldBlock) }
      }
    } while unsafe !state.pointee.sendCredit.compareExchange(&credit, credit - 1)
    var packet: Packet
    do throws(MemoryShortage) {
      packet = try unsafe makePacket(bytes)
    } catch {
      withApplication { held in
        layer.contexts.grace.withPin { datagram.freeSpace { wake($0, &held) } }
      }
      return .failure(.noBufferSpace)
    }
    let bound = localAddress.address
    packet.metadata.source =
      source ?? (bound.isUnspecified ? (target.address.isIPv4 ? .anyIPv4 : .anyIPv6) : bound)
    packet.metadata.destination = target.address
    packet.metadata.sequence = UInt32(port) << 16 | UInt32(target.port)
    packet.metadata.offload.segmentSize = UInt16(segmentSize)
    packet.metadata.owner = unsafe UInt(bitPattern: datagram.raw)
    datagram.retain()
    let item = packet.intoItem()
    item.kind = SocketKind.datagram
    item.code = outgoing.rawValue | (isEcho ? Outgoing.echo : 0)
    unsafe layer.contexts.port(state.pointee.home).post(item)
    return .success(())
  }

  /// The most that a datagram carries in one packet of a route.
  private static func largestSegment(by route: RouteDecision, isIPv4: Bool) -> Int {
    route.mtu - (isIPv4 ? IPv4Header.fixedByteCount : IPv6Header.byteCount) - UDPHeader.byteCount
  }

  /// A packet with a datagram's bytes: beside its slot where they do not fit there.
  private func makePacket(_ bytes: UnsafeRawBufferPointer) throws(MemoryShortage) -> Packet {
    try withApplication { held throws(MemoryShortage) in
      var packet = try layer.buffers.makePacket(&held)
      if bytes.count <= packet.tailroom {
        packet.append(bytes.count)
        unsafe packet.withUnsafeMutableBytes { unsafe $0.copyMemory(from: bytes) }
        return packet
      }
      var chain: ByteChain
      do throws(MemoryShortage) {
        chain = try unsafe layer.buffers.makeChain(copying: bytes, &held)
      } catch {
        layer.memory.give(Packet.occupied, .datagram)
        throw error
      }
      if chain.count == bytes.count, packet.attach(&chain, offset: 0, count: bytes.count) == bytes.count {
        return packet
      }
      layer.memory.give(Packet.occupied, .datagram)
      layer.memory.give(chain.occupied, .send)
      throw .account
    }
  }

  /// The context's half: header, checksum, route, out. The credit comes back whatever becomes of it.
  static func transmit(_ item: ItemRef, _ cx: inout SoftInterrupt) {
    let sockets = SocketContextRef(cx)
    let isEcho = item.code & Outgoing.echo != 0
    let outgoing = Outgoing(rawValue: item.code & ~Outgoing.echo) ?? .datagram
    var packet = Packet(item: item)
    let owner = packet.metadata.owner
    packet.metadata.owner = 0
    // The queues below have bounds of their own.
    sockets.memory.give(Packet.occupied, .datagram)
    if packet.pieceCount > 0 { sockets.memory.give(packet.pieceCount * ByteChain.chunkOccupied, .send) }
    let destination = packet.metadata.destination
    let ports = packet.metadata.sequence
    let hint = packet.metadata.source
    let route = sockets.withInternet {
      $0.route(
        to: destination, sourceHint: hint.isUnspecified ? nil : hint)
    }
    var trouble: SocketError?
    if let route {
      let source = hint.isUnspecified ? route.source : hint
      let ends = Ends(source: source, destination: destination, ports: ports)
      if outgoing != .datagram, outgoing != .echoReply {
        refuse(packet, outgoing, ends, isEcho: isEcho, sockets, &cx)
      } else if Int(packet.metadata.offload.segmentSize)
        > largestSegment(by: route, isIPv4: destination.isIPv4)
      {
        // The route carries less than when it was asked.
        sockets.counters.datagramsUnroutable.increment()
        trouble = .messageTooLarge
      } else {
        send(packet, ends, isEcho: isEcho, by: route, sockets, &cx)
      }
    } else {
      sockets.counters.datagramsUnroutable.increment()
      trouble = .networkUnreachable
    }
    guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: owner) else { return }
    let datagram = unsafe DatagramRef(raw)
    if let trouble { datagram.report(trouble, &cx) }
    datagram.freeSpace { cx.wake($0) }
    datagram.release()
  }

  /// Where something goes, and from where.
  private struct Ends {
    let source: IPAddress
    let destination: IPAddress
    /// Ours, and theirs below; of an echo its identifier and its number.
    let ports: UInt32
    var ours: UInt16 { UInt16(ports >> 16) }
    var theirs: UInt16 { UInt16(truncatingIfNeeded: ports) }
  }

  private static func send(
    _ packet: consuming Packet, _ ends: Ends, isEcho: Bool, by route: RouteDecision,
    _ sockets: SocketContextRef, _ cx: inout SoftInterrupt
  ) {
    if isEcho {
      TransparentInput.finishEcho(
        &packet, isRequest: false, identifier: ends.ours, sequence: ends.theirs, from: ends.source,
        to: ends.destination)
    } else {
      let size = Int(packet.metadata.offload.segmentSize)
      let count = size == 0 ? 1 : (packet.totalCount + size - 1) / size
      sockets.counters.datagramsSent.increment(by: UInt64(count))
      finish(&packet, from: ends.ours, to: ends.theirs, ends.source, ends.destination)
      if count > 1 { packet.metadata.offload.segmentCount = UInt16(count) }
    }
    let number: IPProtocol = !isEcho ? .udp : ends.destination.isIPv4 ? .icmpv4 : .icmpv6
    var datagram: Packet? = packet
    sockets.withInternet { internet in
      guard let packet = datagram.take() else { return }
      _ = internet.send(
        packet, from: ends.source, to: ends.destination, protocol: number, inFragments: true, route: route,
        &cx)
    }
  }

  private static func refuse(
    _ packet: consuming Packet, _ outgoing: Outgoing, _ ends: Ends, isEcho: Bool, _ sockets: SocketContextRef,
    _ cx: inout SoftInterrupt
  ) {
    guard packet.count == RefusalDetail.byteCount else { return }
    let detail = RefusalDetail(packet.bytes)
    guard let reason = outgoing.reason(mtu: detail.mtu) else { return }
    packet.trimFront(RefusalDetail.byteCount)
    // What is quoted came the other way.
    if isEcho {
      TransparentInput.finishEcho(
        &packet, isRequest: true, identifier: ends.ours, sequence: ends.theirs, from: ends.destination,
        to: ends.source)
    } else {
      finish(&packet, from: ends.theirs, to: ends.ours, ends.destination, ends.source)
    }
    let number: IPProtocol = !isEcho ? .udp : ends.destination.isIPv4 ? .icmpv4 : .icmpv6
    var refused: Packet? = packet
    sockets.withInternet { internet in
      guard let packet = refused.take() else { return }
      internet.reject(
        packet, from: ends.destination, to: ends.source, protocol: number, reason, reporter: detail.reporter,
        &cx)
    }
  }

  /// The UDP header in front of what the packet has, with the checksum of all of it; of what is yet to be cut, with the
  /// pseudo header's.
  private static func finish(
    _ packet: inout Packet, from port: UInt16, to other: UInt16, _ source: IPAddress, _ destination: IPAddress
  ) {
    let header = UDPHeader(sourcePort: port, destinationPort: other, payloadByteCount: packet.totalCount)
    packet.prepend(UDPHeader.byteCount)
    let byteCount = packet.totalCount
    let isCut = packet.metadata.offload.segmentSize > 0
    if isCut {
      packet.metadata.offload.segmentation = .udp
      packet.metadata.offload.headerLength = UInt16(UDPHeader.byteCount)
      packet.metadata.offload.needsChecksum = true
      packet.metadata.offload.checksumOffset = UInt16(UDPHeader.checksumOffset)
    }
    var bytes = packet.mutableBytes
    header.emit(into: &bytes)
    if isCut {
      return InternetChecksum.sealPartially(
        &bytes, at: UDPHeader.checksumOffset, source: source, destination: destination, protocol: .udp,
        byteCount: byteCount)
    }
    let sum = packet.checksum(source: source, destination: destination, protocol: .udp)
    var sealed = packet.mutableBytes
    // Zero says that there is none (RFC 768).
    sealed.set(sum == 0 ? 0xFFFF : sum, at: UDPHeader.checksumOffset)
  }

  /// Whether a receive would not wait.
  public var isReadable: Bool { datagram.isReadable() }
  /// Whether a send would not wait.
  public var isWritable: Bool { datagram.isWritable() }
  /// Where receivers wait.
  public var readPoint: WaitPoint {
    unsafe WaitPoint(datagram.reader, layer.wakeAccount)
  }
  /// Where senders wait.
  public var writePoint: WaitPoint {
    unsafe WaitPoint(datagram.writer, layer.wakeAccount)
  }

  /// Frees the port; who waits returns with `.closed`. Cannot fail; again it does nothing.
  public func close() {
    guard beginClose() else { return }
    withApplication { held in
      if let target = unsafe datagram.reader.pointee.waiter.claim(where: { _ in true }) {
        wake(target, &held)
      }
      if let target = unsafe datagram.writer.pointee.waiter.claim(where: { _ in true }) {
        wake(target, &held)
      }
    }
  }

  private func beginClose() -> Bool {
    guard closing.exchange(1) == 0, !isForkedChild() else { return false }  // L6
    unsafe datagram.observers.pointee.close(layer)  // no event of it is told after close (SO-GEN)
    unsafe datagram.state.pointee.isClosed.store(1)
    layer.closeTransparent(datagram)
    layer.unbind(datagram.bound)
    return true
  }
}
