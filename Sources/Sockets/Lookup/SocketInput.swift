// Segments and datagrams on their way from IP to their socket.

import Buffers
import Exclusion
import Internet
import TCP
import Wire

enum SocketInput {
  // MARK: TCP

  /// A TCP segment for this host, alone; the packet begins at the TCP header (RFC 9293 section 3.10.7). It goes to its
  /// connection at once, where there is one at home here.
  static func tcp(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    let sockets = SocketContextRef(cx)
    guard let key = flow(of: packet, encapsulation: 0), key.localPort != 0, key.remotePort != 0,
      unsafe sockets.pointer.pointee.run.items.isEmpty, !cx.steers
    else {
      collect(packet, encapsulation: 0, &cx)
      return finishRun(&cx)
    }
    let hash = unsafe sockets.pointer.pointee.run.knownHash(key) ?? key.hash(sockets.hashKey)
    guard let connection = sockets.shard(sockets.home(hash: hash)).find(hash: hash, key),
      unsafe connection.shared.pointee.key.encapsulation == 0
    else {
      collect(packet, encapsulation: 0, &cx)
      return finishRun(&cx)
    }
    sockets.counters.segmentsReceived.increment(by: UInt64(max(1, packet.metadata.offload.segmentCount)))
    guard isWhole(packet, sockets) else { return }
    unsafe sockets.pointer.pointee.run.foresee(key, hash)
    packet.metadata.flowHash = UInt32(truncatingIfNeeded: hash >> 32)
    packet.metadata.flags.insert(.checksumVerified)
    guard connection.gate.enterToStay(&cx) else { return enter(packet, connection, key, hash, &cx) }
    connection.takeUp(cx)
    connection.arrive(packet, &cx)
    connection.settleDown(&cx)
    connection.gate.resume(budget: ConnectionBlock.budget, &cx)
  }

  /// The same for one of a batch: it may wait for those that come with it, until ``finishRun(_:)``. `encapsulation`: the port
  /// of UDP that it came from; 0: it came in IP.
  @inline(__always)
  static func collect(_ packet: consuming Packet, encapsulation: UInt16, _ cx: inout SoftInterrupt) {
    let sockets = SocketContextRef(cx)
    sockets.counters.segmentsReceived.increment(by: UInt64(max(1, packet.metadata.offload.segmentCount)))
    // No more than the flow is asked for here: whoever takes the segment reads the rest, once.
    guard let key = flow(of: packet, encapsulation: encapsulation), key.localPort != 0, key.remotePort != 0
    else {
      sockets.counters.segmentsMalformed.increment()
      return
    }
    // The run's flow is at home here, and found.
    if unsafe sockets.pointer.pointee.run.takes(key) { return take(packet, key, sockets) }
    let hash = unsafe sockets.pointer.pointee.run.knownHash(key) ?? key.hash(sockets.hashKey)
    // Before the checksum, which is work for home.
    if cx.steers, sockets.home(hash: hash) != cx.index {
      return steer(packet, to: sockets.home(hash: hash), &cx)
    }
    atHome(packet, key, hash, &cx)
  }

  /// The flow of a segment that has been found to have a whole header; nil: it has none. Options are not looked at.
  @inline(__always) static func flow(of packet: borrowing Packet) -> FlowKey? {
    flow(of: packet, encapsulation: packet.encapsulation)
  }
  @inline(__always)
  private static func flow(of packet: borrowing Packet, encapsulation: UInt16) -> FlowKey? {
    let bytes = packet.bytes
    guard let view = try? TCPView(bytes) else { return nil }
    return FlowKey(
      localAddress: packet.metadata.destination, localPort: view.destinationPort,
      remoteAddress: packet.metadata.source, remotePort: view.sourcePort, encapsulation: encapsulation)
  }

  /// A segment on the context that works on it: its flow's home, unless packets are not steered.
  static func atHome(
    _ packet: consuming Packet, _ key: FlowKey, _ hash: UInt64, _ cx: inout SoftInterrupt
  ) {
    finishRun(&cx)
    let sockets = SocketContextRef(cx)
    guard let connection = sockets.shard(sockets.home(hash: hash)).find(hash: hash, key) else {
      guard isWhole(packet, sockets) else { return }
      // The rest of a handshake, and what it opens, comes next.
      unsafe sockets.pointer.pointee.run.foresee(key, hash)
      var packet = packet
      packet.metadata.flowHash = UInt32(truncatingIfNeeded: hash >> 32)
      packet.metadata.flags.insert(.checksumVerified)
      return withoutConnection(packet, key, hash, &cx)
    }
    guard unsafe connection.shared.pointee.key.encapsulation == key.encapsulation else {
      guard isWhole(packet, sockets) else { return }
      return astray(packet, connection, key, hash, &cx)
    }
    unsafe sockets.pointer.pointee.run.begin(connection, key, hash)
    take(packet, key, sockets)
  }

  /// Another segment of the run's connection.
  @inline(__always) private static func take(
    _ packet: consuming Packet, _ key: FlowKey, _ sockets: SocketContextRef
  ) {
    var packet = packet
    guard isWhole(packet, sockets) else { return }
    unsafe packet.metadata.flowHash = UInt32(truncatingIfNeeded: sockets.pointer.pointee.run.hash >> 32)
    packet.metadata.flags.insert(.checksumVerified)
    unsafe sockets.pointer.pointee.run.append(packet)
  }

  /// Whether a segment is what was sent, and to us alone. What is wrong with it is counted.
  @inline(__always) private static func isWhole(
    _ packet: borrowing Packet, _ sockets: SocketContextRef
  ) -> Bool {
    let (source, destination) = (packet.metadata.source, packet.metadata.destination)
    if !packet.metadata.flags.contains(.checksumVerified) {
      guard
        packet.checksum(source: source, destination: destination, protocol: .tcp) == 0
      else {
        sockets.counters.checksumErrors.increment()
        return false
      }
    }
    guard !destination.isMulticast, !packet.metadata.flags.contains(.linkBroadcast) else {
      sockets.counters.segmentsMalformed.increment()  // RFC 9293 section 3.9.2.3: silently discarded
      return false
    }
    return true
  }

  /// The end of a run: its connection gets what came.
  static func finishRun(_ cx: inout SoftInterrupt) {
    let sockets = SocketContextRef(cx)
    guard unsafe !sockets.pointer.pointee.run.items.isEmpty else { return }
    var items = ItemList()
    guard let (connection, key, hash) = unsafe sockets.pointer.pointee.run.end(&items) else { return }
    if items.count > 1, !cx.steers || connection.home == cx.index {
      // Free: one entry for all. Else each goes to whoever is inside, and counts.
      let isTaken = connection.gate.enterIfFree(&cx) { cx in
        connection.takeUp(cx)
        connection.arriveAll(&items, &cx)
        connection.settleDown(&cx)
      }
      if isTaken { return }
    }
    while let item = items.popFirst() { submit(Packet(item: item), connection, key, hash, &cx) }
  }

  private static func submit(
    _ packet: consuming Packet, _ connection: ConnectionRef, _ key: FlowKey, _ hash: UInt64,
    _ cx: inout SoftInterrupt
  ) {
    // One that has moved: everything passes here on its way to it, so its order is kept (PCB-MOVE).
    if let target = connection.beginForwarding(cx) {
      return forward(packet, connection, to: target, &cx)
    }
    enter(packet, connection, key, hash, &cx)
  }
  private static func enter(
    _ packet: consuming Packet, _ connection: ConnectionRef, _ key: FlowKey, _ hash: UInt64,
    _ cx: inout SoftInterrupt
  ) {
    let item = packet.intoItem()
    item.kind = SocketKind.segment
    switch connection.gate.submit(item, isSegment: true, &cx) {
    case .ran, .posted: break
    case .dropped:
      _ = Packet(item: item)
      SocketContextRef(cx).counters.gateQueueFull.increment()
    case .closed:  // it ended between the look-up and the gate
      withoutConnection(Packet(item: item), key, hash, &cx)
    }
  }

  /// The owner's look at a segment that was parsed before it was posted: leaves the payload.
  static func parsedAgain(_ packet: inout Packet) -> TCPHeader? {
    guard let (header, count) = try? TCPHeader.parse(packet.bytes) else { return nil }
    packet.trimFront(count)
    return header
  }

  /// A segment whose connection was dropped while it waited: as if it had come now.
  static func redispatch(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    guard let key = flow(of: packet) else { return }
    withoutConnection(packet, key, key.hash(SocketContextRef(cx).hashKey), &cx)
  }

  /// LISTEN and CLOSED (RFC 9293 sections 3.10.7.2 and 3.10.7.1). A handshake belongs to the home of its flow:
  /// elsewhere the segment is passed on, behind those before it.
  static func withoutConnection(
    _ packet: consuming Packet, _ key: FlowKey, _ hash: UInt64, _ cx: inout SoftInterrupt
  ) {
    let sockets = SocketContextRef(cx)
    guard let (header, headerCount) = try? TCPHeader.parse(packet.bytes) else {
      return sockets.counters.segmentsMalformed.increment()
    }
    let segment = TCPSegment(
      header, arrival: packet.metadata.arrival,
      notification: TrafficClass(rawValue: packet.metadata.trafficClass).notification)
    let payloadCount = packet.totalCount - headerCount
    let listener = sockets.listener(key, hash: hash)
    guard listener != nil || sockets.carriesOn(key) else {
      return refuse(segment, payloadCount: payloadCount, key, &cx)
    }
    #if Explore
      let home = Mutation.synKeptWhereItComes.isOn ? cx.index : sockets.home(hash: hash)
    #else
      let home = sockets.home(hash: hash)
    #endif
    if home == cx.index {
      let arrived = HandshakeSegment(segment: segment, payloadCount: payloadCount, key: key, hash: hash)
      guard let listener else { return TransparentInput.arrive(packet, arrived, &cx) }
      Handshake.arrive(packet, arrived, listener, &cx)
    } else {
      passOn(packet, to: home, &cx)
    }
  }

  /// As posted work, which any level may do: where received packets are steered they come in at home already, and
  /// what is left is the last segment of something that has ended.
  private static func passOn(_ packet: consuming Packet, to home: Int, _ cx: inout SoftInterrupt) {
    let item = packet.intoItem()
    item.kind = SocketKind.steeredSegment
    SocketContextRef(cx).withLayer { $0.contexts.port(home).post(item) }
  }

  /// A SYN in the place of a connection in TIME-WAIT, which its owner has ended. The old one leaves the table by
  /// a command to its shard, and the child of the new one enters it by a later one.
  static func reopen(_ segment: TCPSegment, _ key: FlowKey, _ cx: inout SoftInterrupt) {
    let sockets = SocketContextRef(cx)
    let hash = key.hash(sockets.hashKey)
    let listener = sockets.listener(key, hash: hash)
    guard listener != nil || sockets.carriesOn(key) else {
      return refuse(segment, payloadCount: 0, key, &cx)
    }
    let home = sockets.home(hash: hash)
    if home == cx.index, let listener {
      let arrived = HandshakeSegment(segment: segment, payloadCount: 0, key: key, hash: hash)
      Handshake.open(nil, arrived, listener, &cx)
    } else if var packet = cx.pool.allocateReserve() {
      // The owner has trimmed its header away: what the home needs of it is written again.
      let header = TCPHeader(
        sourcePort: key.remotePort, destinationPort: key.localPort, sequence: segment.sequence,
        acknowledgment: segment.acknowledgment, flags: segment.flags, window: segment.window,
        options: segment.options)
      SegmentBuilder.finish(header, from: key.remoteAddress, to: key.localAddress, into: &packet)
      packet.metadata.source = key.remoteAddress
      packet.metadata.destination = key.localAddress
      packet.metadata.arrival = segment.arrival
      packet.metadata.trafficClass = segment.notification.rawValue
      if key.encapsulation != 0 {
        packet.metadata.sequence = UInt32(key.encapsulation)
        packet.metadata.flags.insert(.encapsulated)
      }
      packet.metadata.interface =
        sockets.withInternet { $0.route(to: key.remoteAddress, sourceHint: key.localAddress) }?.interface ?? 0
      packet.metadata.networkOffset = UInt16(packet.startOffset)
      guard home != cx.index else {
        let arrived = HandshakeSegment(segment: segment, payloadCount: 0, key: key, hash: hash)
        return TransparentInput.arrive(packet, arrived, &cx)
      }
      passOn(packet, to: home, &cx)
    } else {
      sockets.counters.segmentsWithoutBuffer.increment()
    }
  }

  /// CLOSED: a reset, unless it is one.
  static func refuse(
    _ segment: TCPSegment, payloadCount: Int, _ key: FlowKey, _ cx: inout SoftInterrupt
  ) {
    let sockets = SocketContextRef(cx)
    sockets.counters.segmentsWithoutSocket.increment()
    if let reply = TCPResetRule.reply(to: segment, payloadCount: payloadCount) {
      sockets.sendReset(reply, key, &cx)
    }
  }

  // MARK: UDP

  /// A datagram for this host; the packet begins at the UDP header (RFC 768). Packets whose port nobody has
  /// are answered by ICMP.
  static func udp(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    let sockets = SocketContextRef(cx)
    var packet = packet
    sockets.counters.datagramsReceived.increment()
    guard let header = UDPHeader.parse(packet.bytes, of: packet.totalCount), header.destinationPort != 0
    else {
      sockets.counters.datagramsMalformed.increment()
      return
    }
    let sum = packet.bytes.uint16(at: UDPHeader.checksumOffset)
    packet.truncate(to: Int(header.length))  // what the IP length has beyond it is padding
    let source = packet.metadata.source
    let destination = packet.metadata.destination
    // No checksum is allowed over IPv4 only (RFC 8200 section 8.1).
    if sum != 0 || !destination.isIPv4, !packet.metadata.flags.contains(.checksumVerified) {
      guard sum != 0,
        packet.checksum(source: source, destination: destination, protocol: .udp) == 0
      else {
        sockets.counters.checksumErrors.increment()
        return
      }
    }
    let isSegment = sockets.withLayer { $0.encapsulationWord.isPort(header.destinationPort) }
    if isSegment, !sockets.isForeign(destination) {
      return encapsulated(packet, header, hasChecksum: sum != 0, &cx)
    }
    let binding = BindingKey(address: destination, port: header.destinationPort, protocol: .udp)
    let from = SocketAddress(source, port: header.sourcePort)
    let isForAll = !packet.metadata.flags.isDisjoint(with: [.linkBroadcast, .linkMulticast])
    let bound = !isForAll && sockets.isForeign(destination) ? nil : sockets.datagram(binding, from: from)
    if bound == nil, let hearer = TransparentInput.hearer(packet, sockets) {
      guard TransparentInput.mayHear(packet, sockets) else { return }
      if TransparentInput.isAtItsEnd(packet), sockets.isForeign(destination) {
        return TransparentInput.rejectAtEnd(packet, sockets, &cx)
      }
      return hearer.arrive(packet, from: header.sourcePort, to: header.destinationPort, &cx)
    }
    guard let datagram = bound else {
      sockets.counters.datagramsWithoutSocket.increment()
      var refused: Packet? = packet
      return sockets.withInternet { internet in
        if let packet = refused.take() { internet.reject(packet, .portUnreachable, &cx) }
      }
    }
    datagram.arrive(packet, from: header.sourcePort, to: header.destinationPort, &cx)
  }
}
