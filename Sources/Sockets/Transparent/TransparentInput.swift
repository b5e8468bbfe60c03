// The context's half: a SYN for somebody else waits, without an answer, for the verdict of who carries connections on.
// Then its connection begins, whole, or it is refused as its destination would have refused it.

import Buffers
import Exclusion
import Internet
import SoftInterrupts
import TCP
import Wire

/// What a verdict comes with, when it is to accept.
final class Admission: Sendable {
  let answer: Answer<Result<StreamSocket, SocketError>>
  let options: StreamOptions
  init(_ answer: Answer<Result<StreamSocket, SocketError>>, _ options: StreamOptions) {
    self.answer = answer
    self.options = options
  }
}

extension SocketContextRef {
  /// Nil: nothing here is transparent.
  var transparent: UnsafeMutablePointer<TransparentState>? { unsafe pointer.pointee.transparent }

  /// Whether a flow without a listener of ours may be somebody's to carry on. What comes in UDP for TCP's port there is ours
  /// alone.
  func carriesOn(_ key: FlowKey) -> Bool { unsafe transparent != nil && key.encapsulation == 0 }

  /// Whether what is for `address` is for whoever carries it on, never for a socket that is bound to every address.
  @inline(__always) func isForeign(_ address: IPAddress) -> Bool {
    guard unsafe transparent != nil else { return false }
    return withInternet { !$0.isOwn(address) }
  }

  /// Who may ask: a neighbour, for what is not a neighbour's. Everybody else's source is forged, or names the link.
  fileprivate func mayAsk(_ packet: borrowing Packet) -> Bool {
    let metadata = packet.metadata
    return withInternet { internet in
      !metadata.source.isLinkLocal && !internet.isOwn(metadata.source)
        && internet.isNeighbor(metadata.source, interface: metadata.interface)
        && (internet.isOwn(metadata.destination)
          || !internet.isNeighbor(metadata.destination, interface: metadata.interface))
    }
  }
}

enum TransparentInput {
  // MARK: SYNs

  /// Home of the flow: a segment that matches no connection and no listener of ours. The packet begins with its TCP
  /// header.
  static func arrive(
    _ packet: consuming Packet, _ arrived: HandshakeSegment, _ cx: inout SoftInterrupt
  ) {
    let sockets = SocketContextRef(cx)
    guard let state = unsafe sockets.transparent else { return }
    guard sockets.mayAsk(packet) else {
      // Of an address of ours every host may hear that nobody listens there.
      if !sockets.isForeign(arrived.key.localAddress) {
        return SocketInput.refuse(arrived.segment, payloadCount: arrived.payloadCount, arrived.key, &cx)
      }
      return sockets.counters.transparentForged.increment()
    }
    if let held = unsafe sockets.pointer.pointee.heldSyns.find(arrived.key) {
      #if Explore
        let isRepeated = !Mutation.heldSynNotLookedFor.isOn
      #else
        let isRepeated = true
      #endif
      if isRepeated {
        if let child = held.child { return pass(packet, to: child, sockets, &cx) }
        return arriveAgain(arrived, held, sockets)
      }
    }
    switch TCPListenRule.examine(arrived.segment) {
    case .ignore: return
    case .reset(let reply):
      sockets.counters.segmentsWithoutSocket.increment()
      return sockets.send(reply, arrived.key, &cx)
    case .open: break
    }
    if isAtItsEnd(packet), sockets.isForeign(arrived.key.localAddress) {
      return rejectAtEnd(packet, sockets, &cx)
    }
    guard unsafe !state.pointee.requests.isClosed else {
      return SocketInput.refuse(arrived.segment, payloadCount: arrived.payloadCount, arrived.key, &cx)
    }
    // The SYN comes again: whoever sends many at once is served in turn.
    guard !cx.pool.isLow, unsafe state.pointee.takePlace() else {
      return sockets.counters.transparentOverflows.increment()
    }
    let number = unsafe sockets.pointer.pointee.heldSyns.keep(arrived.key, arrived.segment.sequence)
    let item = packet.intoItem()
    item.kind = SocketKind.verdict
    item.value = number
    switch unsafe state.pointee.requests.post(item) {
    case .posted, .ran:
      sockets.counters.transparentRequests.increment()
      let waiting = unsafe state.pointee.reader
      if let target = unsafe waiting.pointee.waiter.claim(where: { _ in unsafe !state.pointee.requests.isEmpty
      }) {
        cx.wake(target)
      }
    case .closed, .dropped:
      _ = Packet(item: item)
      unsafe sockets.pointer.pointee.heldSyns.forget(arrived.key)
      unsafe state.pointee.held.subtract(1)
      SocketInput.refuse(arrived.segment, payloadCount: arrived.payloadCount, arrived.key, &cx)
    }
  }

  /// A segment of a flow whose SYN waits. The SYN again: it has its answer with the verdict (AQ-DUP). A reset that knows
  /// the number ends the wait: the verdict finds nothing.
  private static func arriveAgain(
    _ arrived: HandshakeSegment, _ held: HeldSyns.Entry, _ sockets: SocketContextRef
  ) {
    guard arrived.segment.flags.contains(.rst), arrived.segment.sequence == held.initialReceive + 1 else {
      return sockets.counters.transparentRepeated.increment()
    }
    sockets.counters.handshakesReset.increment()
    unsafe sockets.pointer.pointee.heldSyns.forget(arrived.key)
  }

  /// A segment of a connection that the table did not have when it was looked for there.
  private static func pass(
    _ packet: consuming Packet, to child: ConnectionRef, _ sockets: SocketContextRef,
    _ cx: inout SoftInterrupt
  ) {
    let item = packet.intoItem()
    item.kind = SocketKind.segment
    switch child.gate.submit(item, isSegment: true, &cx) {
    case .ran, .posted: break
    case .dropped:
      _ = Packet(item: item)
      sockets.counters.gateQueueFull.increment()
    case .closed: preconditionFailure("SO-REF: a connection retired under its entry")
    }
  }

  /// The table has a connection, or never will: what comes for it finds it, or nothing. Home of the flow.
  static func settled(_ item: ItemRef, _ cx: inout SoftInterrupt) {
    let sockets = SocketContextRef(cx)
    var packet = Packet(item: item)
    let owner = packet.metadata.owner
    packet.metadata.owner = 0
    guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: owner) else { return }
    let child = unsafe ConnectionRef(raw)
    let key = unsafe child.shared.pointee.key
    if let held = unsafe sockets.pointer.pointee.heldSyns.find(key), held.child == child {
      unsafe sockets.pointer.pointee.heldSyns.forget(key)
    }
    child.release()
  }

  // MARK: The verdict

  /// The verdict on a SYN, with the SYN. Home of the flow.
  static func decide(_ item: ItemRef, _ cx: inout SoftInterrupt) {
    let sockets = SocketContextRef(cx)
    let verdict = ConnectionVerdict(rawValue: item.code) ?? .drop
    let number = item.value
    var packet = Packet(item: item)
    var admission: Admission?
    if let raw = unsafe UnsafeRawPointer(bitPattern: packet.metadata.owner) {
      packet.metadata.owner = 0
      admission = unsafe Unmanaged<Admission>.fromOpaque(raw).takeRetainedValue()
    }
    if let state = unsafe sockets.transparent { unsafe state.pointee.held.subtract(1) }
    // It was parsed on its way here, so that it can be.
    guard let (header, headerCount) = try? TCPHeader.parse(packet.bytes) else { return }
    let key = FlowKey(
      localAddress: packet.metadata.destination, localPort: header.destinationPort,
      remoteAddress: packet.metadata.source, remotePort: header.sourcePort)
    let held = unsafe sockets.pointer.pointee.heldSyns.find(key)
    #if Explore
      let isMeant = held != nil && (held?.number == number || Mutation.verdictForAnySyn.isOn)
    #else
      let isMeant = held?.number == number
    #endif
    // The peer has given this one up, and perhaps begun anew: that one has a verdict of its own (PCB-MATCH).
    guard isMeant else {
      sockets.counters.transparentGone.increment()
      admission?.answer.complete(.failure(.connectionAborted), &cx)
      return
    }
    let segment = TCPSegment(
      header, arrival: packet.metadata.arrival,
      notification: TrafficClass(rawValue: packet.metadata.trafficClass).notification)
    let payloadCount = packet.totalCount - headerCount
    if verdict != .accept { unsafe sockets.pointer.pointee.heldSyns.forget(key) }
    switch verdict {
    case .accept:
      guard let admission else { return }
      let result = open(packet, segment, key, admission.options, sockets, &cx)
      if case .failure = result { unsafe sockets.pointer.pointee.heldSyns.forget(key) }
      return admission.answer.complete(result, &cx)
    case .reset: SocketInput.refuse(segment, payloadCount: payloadCount, key, &cx)
    case .networkUnreachable: reject(packet, .networkUnreachable, sockets, &cx)
    case .hostUnreachable: reject(packet, .hostUnreachable, sockets, &cx)
    case .prohibited: reject(packet, .prohibited, sockets, &cx)
    case .drop: break
    }
  }

  /// A SYN that came in the place of a connection in TIME-WAIT has lost its IP header, and there is nothing to quote: it
  /// comes again, with one.
  private static func reject(
    _ packet: consuming Packet, _ reason: RejectReason, _ sockets: SocketContextRef, _ cx: inout SoftInterrupt
  ) {
    guard packet.startOffset > Int(packet.metadata.networkOffset) else { return }
    var refused: Packet? = packet
    sockets.withInternet { internet in
      if let packet = refused.take() { internet.reject(packet, reason, &cx) }
    }
  }

  /// The connection of a SYN, in SYN-RECEIVED; its SYN-ACK goes when the table has it (SO-PUBLISH). Without room the SYN
  /// comes again.
  private static func open(
    _ packet: consuming Packet, _ segment: TCPSegment, _ key: FlowKey, _ options: StreamOptions,
    _ sockets: SocketContextRef, _ cx: inout SoftInterrupt
  ) -> Result<StreamSocket, SocketError> {
    let now = cx.now
    let mtu = sockets.mtu(key)
    let (configuration, isClosing) = sockets.withLayer {
      (
        $0.configuration(for: key, options.tcp, options.shape, limits: options.limits, mtu: mtu),
        $0.closing.load() != 0
      )
    }
    if isClosing { return .failure(.networkDown) }
    let (iss, offset) = sockets.numbers(key, now: now)
    let made = sockets.make(key, limits: options.limits) {
      TCPConnection.passive(
        syn: segment, iss: iss, timestampOffset: offset, configuration: configuration, now: now)
    }
    guard let connection = made else { return .failure(.noBufferSpace) }
    connection.share(options)
    connection.adopt(options, now: now)
    connection.set(.accepted)
    connection.retain()  // the handle's
    let socket = sockets.withLayer { StreamSocket(connection, layer: $0) }
    sockets.counters.transparentAccepted.increment()
    // The entry finds it until the table does, which another context may be writing now.
    connection.retain()
    var packet = packet
    packet.metadata.owner = unsafe UInt(bitPattern: connection.gate.raw)
    unsafe connection.owned.pointee.requested = packet.intoItem()
    #if Explore
      if Mutation.heldSynForgottenBeforeChild.isOn {
        unsafe sockets.pointer.pointee.heldSyns.forget(key)
      } else {
        unsafe sockets.pointer.pointee.heldSyns.pass(key, to: connection)
      }
    #else
      unsafe sockets.pointer.pointee.heldSyns.pass(key, to: connection)
    #endif
    sockets.insert(connection, &cx)
    return .success(socket)
  }

  // MARK: Datagrams

  /// Who hears a datagram that no socket of ours is bound for; nil: nobody.
  static func hearer(_ packet: borrowing Packet, _ sockets: SocketContextRef) -> DatagramRef? {
    guard let state = unsafe sockets.transparent,
      let raw = unsafe UnsafeMutableRawPointer(bitPattern: UInt(state.pointee.datagrams.load())),
      packet.metadata.flags.isDisjoint(with: [.linkBroadcast, .linkMulticast])
    else { return nil }
    return unsafe DatagramRef(raw)
  }
  /// Whether a datagram for others may be heard; counts if not.
  static func mayHear(_ packet: borrowing Packet, _ sockets: SocketContextRef) -> Bool {
    if sockets.mayAsk(packet) { return true }
    sockets.counters.transparentForged.increment()
    return false
  }
}

extension ConnectionRef {
  /// Owner: the table has answered. The entry that found it until now is at home, and so may be we.
  func settleRequest(_ cx: inout SoftInterrupt) {
    guard let item = unsafe owned.pointee.requested else { return }
    unsafe owned.pointee.requested = nil
    item.kind = SocketKind.settled
    SocketContextRef(cx).withLayer { $0.contexts.port(home).post(item) }
  }
}

#if Explore
  extension Mutation {
    /// A SYN that waits is not looked for when it comes again (AQ-DUP).
    static let heldSynNotLookedFor = Mutation("heldSynNotLookedFor")
    /// A SYN is forgotten before the table has its connection (AQ-DUP).
    static let heldSynForgottenBeforeChild = Mutation("heldSynForgottenBeforeChild")
    /// The verdict on a SYN that its peer gave up decides the next one of the flow (PCB-MATCH).
    static let verdictForAnySyn = Mutation("verdictForAnySyn")
    /// Who closes leaves the requests that nobody took (AQ-CLOSE).
    static let requestsLeftBehind = Mutation("requestsLeftBehind")
  }
#endif
