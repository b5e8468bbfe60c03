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
    _ = consume packet
    layer.memory.give(occupied, .datagram)
    return .success(
      ReceivedDatagram(
        count: count, size: size,
        source: SocketAddress(metadata.source, port: UInt16(truncatingIfNeeded: metadata.sequence)),
        destination: metadata.destination, destinationPort: UInt16(metadata.sequence >> 16)))
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

  /// Sends one datagram to `destination` (nil: to the peer). `source` is the address of this host to send
  /// from, nil for the bound one or the usual choice. Throws nothing; a full queue is `.wouldBlock`. What the
  /// network reported about earlier datagrams, and nobody was told, is told instead, once.
  public func trySend(
    _ bytes: UnsafeRawBufferPointer, to destination: SocketAddress?, from source: IPAddress? = nil
  ) -> Result<Void, SocketError> {
    unsafe submit(bytes, to: destination, from: source, port: localAddress.port, as: .datagram)
  }

  /// What is given to a context to be sent, in a packet's ``ItemRef/code``.
  enum Outgoing: UInt16 {
    /// A datagram from the socket's name, or a transparent socket's from any.
    case datagram
    /// An ICMP error about a datagram with these addresses the other way round.
    case portUnreachable, hostUnreachable, prohibited
  }

  func submit(
    _ bytes: UnsafeRawBufferPointer, to destination: SocketAddress?, from source: IPAddress?, port: UInt16,
    as outgoing: Outgoing
  ) -> Result<Void, SocketError> {
    if closing.load() != 0 { return .failure(.closed) }
    if let error = unsafe datagram.state.pointee.error.takeForSender() { return .failure(error) }
    guard let target = destination ?? peer else { return .failure(.notConnected) }
    guard target.port != 0,
      target.address.isIPv4 == localAddress.address.isIPv4 || localAddress.address.isUnspecified
    else { return .failure(.invalidAddress) }
    // Fragments are not made yet: a datagram is one packet of its route.
    let headers = target.address.isIPv4 ? 28 : 48
    let mtu = layer.contexts.grace.withPin {
      layer.internet.route(to: target.address, zone: target.zone)?.mtu
    }
    guard let mtu else { return .failure(.networkUnreachable) }
    guard bytes.count + headers <= min(mtu, Packet.capacity - 64) else { return .failure(.messageTooLarge) }
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
      packet = try withApplication { held throws(MemoryShortage) in try layer.buffers.makePacket(&held) }
    } catch {
      withApplication { held in
        layer.contexts.grace.withPin { datagram.freeSpace { wake($0, &held) } }
      }
      return .failure(.noBufferSpace)
    }
    packet.append(bytes.count)
    unsafe packet.withUnsafeMutableBytes { unsafe $0.copyMemory(from: bytes) }
    let bound = localAddress.address
    packet.metadata.source =
      source ?? (bound.isUnspecified ? (target.address.isIPv4 ? .anyIPv4 : .anyIPv6) : bound)
    packet.metadata.destination = target.address
    packet.metadata.sequence = UInt32(port) << 16 | UInt32(target.port)
    packet.metadata.owner = unsafe UInt(bitPattern: datagram.raw)
    datagram.retain()
    let item = packet.intoItem()
    item.kind = SocketKind.datagram
    item.code = outgoing.rawValue
    unsafe layer.contexts.port(state.pointee.home).post(item)
    return .success(())
  }

  /// The context's half: header, checksum, route, out. The credit comes back whatever becomes of it.
  static func transmit(_ item: ItemRef, _ cx: inout SoftInterrupt) {
    let sockets = SocketContextRef(cx)
    let outgoing = Outgoing(rawValue: item.code) ?? .datagram
    var packet = Packet(item: item)
    let owner = packet.metadata.owner
    packet.metadata.owner = 0
    sockets.memory.give(packet.occupiedBytes, .datagram)  // the queues below have bounds of their own
    let destination = packet.metadata.destination
    let ports = packet.metadata.sequence
    let hint = packet.metadata.source
    let route = sockets.withInternet {
      $0.route(
        to: destination, sourceHint: hint.isUnspecified ? nil : hint)
    }
    if let route {
      let source = hint.isUnspecified ? route.source : hint
      let isError = outgoing.reason != nil
      let (ours, theirs) = (UInt16(ports >> 16), UInt16(truncatingIfNeeded: ports))
      let header = UDPHeader(
        sourcePort: isError ? theirs : ours, destinationPort: isError ? ours : theirs,
        payloadByteCount: packet.count)
      packet.prepend(UDPHeader.byteCount)
      var bytes = packet.mutableBytes
      header.emit(into: &bytes)
      InternetChecksum.seal(
        &bytes, at: UDPHeader.checksumOffset, source: source, destination: destination, protocol: .udp)
      if !isError { sockets.counters.datagramsSent.increment() }
      var datagram: Packet? = packet
      sockets.withInternet { internet in
        guard let packet = datagram.take() else { return }
        if let reason = outgoing.reason {
          return internet.reject(packet, from: destination, to: source, protocol: .udp, reason, &cx)
        }
        _ = internet.send(packet, from: source, to: destination, protocol: .udp, route: route, &cx)
      }
    } else {
      sockets.counters.datagramsUnroutable.increment()
    }
    guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: owner) else { return }
    let datagram = unsafe DatagramRef(raw)
    if route == nil { datagram.report(.networkUnreachable, &cx) }
    datagram.freeSpace { cx.wake($0) }
    datagram.release()
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
