// What the owner of a connection's gate does with each posted thing. Every run checks first whether the
// connection was dropped meanwhile (PCB-MATCH, PCB-DROP).

import Buffers
public import Exclusion
import Internet
import SoftInterrupts
import TCP
import Timing
import Wire

extension ConnectionBlock: GatedBlock {
  /// A segment from the network, a chain of bytes from a writer, or a call of the control plane.
  public static func run(_ item: ItemRef, on block: GateRef<ConnectionBlock>, _ cx: inout SoftInterrupt) {
    let connection = ConnectionRef(block)
    connection.takeUp(cx)
    if item.kind == SocketKind.segment {
      connection.arrive(Packet(item: item), &cx)
    } else if item.kind == SocketKind.chain {
      let code = item.code
      connection.enqueue(ByteChain(item: item), code, &cx)
    } else if item.kind == SocketKind.call {
      ContextCall.run(item, &cx)
    } else if item.kind == SocketKind.connect {
      connection.beginConnecting(&cx)
    } else {
      connection.arriveAstray(Packet(item: item), &cx)
    }
    connection.settleDown(&cx)
  }

  /// Everything that carries no data.
  public static func run(
    events: GateEvents, on block: GateRef<ConnectionBlock>, _ cx: inout SoftInterrupt
  ) {
    let connection = ConnectionRef(block)
    connection.takeUp(cx)
    if events.contains(.inserted) { connection.wasInserted(&cx) }
    if events.contains(.insertFailed) { connection.insertFailed(&cx) }
    if events.contains(.options) {
      connection.creditReturned(&cx)
      connection.reconfigure(&cx)
    }
    let isIdle = events.contains(.timer) && connection.timerFired(&cx)
    if events.contains(.window) { connection.windowOpened(&cx) }
    if events.contains(.reported) { connection.errorReported(&cx) }
    if !events.isDisjoint(with: [.close, .abort]) { connection.endUnconnected(&cx) }
    if events.contains(.close) { connection.readerLeft(&cx) }
    connection.endSending(events.intersection([.shutdownSend, .close]), &cx)
    if events.contains(.abort) { connection.aborted(&cx) }
    if isIdle { connection.restOrWait(&cx) } else { connection.settleDown(&cx) }
  }

  /// The last reference is gone and nobody will enter again; readers may still look (PCB-GRACE).
  public static func retire(_ block: GateRef<ConnectionBlock>, _ cx: inout SoftInterrupt) {
    let connection = ConnectionRef(block)
    connection.takeUp(cx)
    connection.discardAll(SocketContextRef(cx))
    unsafe connection.owned.deinitialize(count: 1)
    connection.leaveWorkspace()
    #if Explore
      if Mutation.blockReusedWithoutGrace.isOn {
        SlotPoolRef.of(connection.item)?.giveBack(connection.item)
        return
      }
    #endif
    // The shared header stays initialised: late look-ups compare its key until the grace period ends.
    cx.retire(connection.item)
    SocketContextRef(cx).noteFreed(&cx)
  }
}

extension ConnectionRef {
  /// Runs the engine, then does what it left to do, in the order that keeps SB-EOF: data, end, wake-ups.
  func runEngine(
    _ cx: inout SoftInterrupt,
    _ step: (inout TCPConnection, Instant, inout ConnectionSink) -> TCPEffects
  ) {
    unsafe willOwn(UnsafeRawPointer(owned))  // keeps PCB-OWN
    guard unsafe !owned.pointee.isDropped else { return }
    let sockets = SocketContextRef(cx)
    var sink = ConnectionSink(self, pool: cx.pool, sockets: sockets)
    let effects = unsafe step(&owned.pointee.engine, cx.now, &sink)
    apply(effects, &sink, &cx)
  }

  /// What a run of the engine, or several in a row, left to do. `isDropped`: what was acknowledged is off the send
  /// chain already.
  @inline(__always) func apply(
    _ effects: TCPEffects, _ sink: inout ConnectionSink, isDropped: Bool = false,
    _ cx: inout SoftInterrupt
  ) {
    // A segment or a write of an open connection: nothing more than text and room can have come of it.
    let isPlain = effects.events.isEmpty && effects.error == nil
    if isPlain, unsafe owned.pointee.wasConnected, unsafe owned.pointee.engine.state == .established,
      unsafe shared.pointee.publishedState.loadRelaxed() == UInt64(TCPState.established.rawValue)
    {
      applyPlain(effects, &sink, isDropped: isDropped, &cx)
    } else {
      applyAll(effects, &sink, isDropped: isDropped, &cx)
    }
  }

  /// Whatever came of it.
  private func applyAll(
    _ effects: TCPEffects, _ sink: inout ConnectionSink, isDropped: Bool, _ cx: inout SoftInterrupt
  ) {
    let shared = unsafe shared
    let owned = unsafe owned
    // Once: where it enters TIME-WAIT, or ends without.
    if effects.enteredTimeWait || effects.closed && effects.error == nil && !isWaiting {
      noteDestination(&cx)
    }
    unsafe shared.pointee.publishedState.store(UInt64(owned.pointee.engine.state.rawValue))
    unsafe owned.pointee.lastRun = cx.now
    settleReceived(sink.admitted, sink.sockets)
    sink.sockets.count(unsafe owned.pointee.engine.takePathNews())
    if sink.charge > 0 { credit.take(sink.charge) }
    transmit(&sink.outgoing, &cx)
    if sink.isHeld { waitForCredit(sink.sockets) }
    var edges: SocketEvents = effects.deliveredBytes > 0 ? .readable : []
    if effects.acknowledgedBytes > 0, !isDropped {
      unsafe owned.pointee.sendChain.dropFirst(effects.acknowledgedBytes)
    }
    let isRoomBack = settleSent(sink.sockets)
    settleReceiveTuning()
    let grown = effects.acknowledgedBytes > 0 ? growSendLimit() : 0
    let isLineBack = publishUnsent()
    unsafe owned.pointee.engine.bufferIsFull(isBufferFull, now: cx.now)
    if effects.connected, unsafe !owned.pointee.wasConnected {
      unsafe owned.pointee.wasConnected = true
      set(.connected)
      edges.insert(.writable)
    }
    if effects.endOfStream {
      set(.endOfStream)  // after the data (SB-EOF)
      edges.formUnion([.readable, .endOfStream])
      #if Explore
        if Mutation.endWithoutWakeUp.isOn { edges.subtract([.readable, .endOfStream]) }
      #endif
    }
    if let error = effects.error {
      unsafe shared.pointee.error.store(SocketError(error).code)
      set(.failed)
      edges.formUnion(.all)
    }
    if effects.sendFinished {
      set(.delivered)
      unsafe owned.pointee.lingerDeadline = nil
    }
    if effects.closed {
      set(.ended)
      edges.formUnion([.readable, .writable, .endOfStream])
    }
    if effects.acknowledgedBytes > 0 || effects.sendFinished || isRoomBack || isLineBack {
      freeSpace(effects.acknowledgedBytes + grown, edges) { cx.wake($0) }
    } else if !edges.isEmpty {
      wake(edges) { cx.wake($0) }
    }
    settleFastOpen(&cx)
    if effects.connected { becomeAcceptable(&cx) }
    if effects.closed {
      drop(&cx)
    } else {
      // What the wheel was told of is over, and the end is far away: once told is enough.
      if effects.enteredTimeWait, home == cx.index { unsafe owned.pointee.armed = nil }
      updateTimer(&cx)
    }
  }

  /// A writer waits for room, and all that it could write has come to the engine.
  private var isBufferFull: Bool {
    unsafe hasWritersInWait && owned.pointee.enqueued == shared.pointee.submitted.load()
  }
  /// A writer waits for room.
  @inline(__always) var hasWritersInWait: Bool {
    unsafe shared.pointee.isSpaceWanted.load() != 0 || options.contains(.writerWaits)
  }

  /// The same for an open connection that stays as it is, but for what came and went.
  func applyPlain(
    _ effects: TCPEffects, _ sink: inout ConnectionSink, isDropped: Bool, _ cx: inout SoftInterrupt
  ) {
    let owned = unsafe owned
    let now = cx.now
    unsafe owned.pointee.lastRun = now
    if sink.charge > 0 { credit.take(sink.charge) }
    if !sink.outgoing.isEmpty { transmit(&sink.outgoing, &cx) }
    if sink.isHeld { waitForCredit(sink.sockets) }
    let standing = unsafe owned.pointee.engine.standing(isFull: isBufferFull, now: now)
    settleReceived(sink.admitted, standing.reassemblyOccupied, sink.sockets)
    if standing.hasPathNews { sink.sockets.count(unsafe owned.pointee.engine.takePathNews()) }
    let acknowledged = effects.acknowledgedBytes
    if acknowledged > 0, !isDropped { unsafe owned.pointee.sendChain.dropFirst(acknowledged) }
    let isRoomBack = settleSent(sink.sockets)
    settleReceiveTuning(standing.receiveBuffer, isReadAwaited: standing.acknowledgesWhenRead)
    let grown = acknowledged > 0 ? growSendLimit() : 0
    let isLineBack = publishUnsent(standing.unsentBytes)
    let edges: SocketEvents = effects.deliveredBytes > 0 ? .readable : []
    if acknowledged > 0 || isRoomBack || isLineBack {
      freeSpace(acknowledged + grown, edges) { cx.wake($0) }
    } else if !edges.isEmpty {
      wake(edges) { cx.wake($0) }
    }
    if unsafe standing.triesFastOpen || owned.pointee.fastOpenListener != nil { settleFastOpen(&cx) }
    settleTimer(standing.deadline, sink.sockets, &cx)
  }

  /// The end of a run of an open connection, which wants to hear of the time at `deadline` next. Mostly the wheel fires before
  /// anything is due, and before the connection may rest: it is told nothing.
  @inline(__always) func settleTimer(
    _ deadline: Instant, _ sockets: SocketContextRef, _ cx: inout SoftInterrupt
  ) {
    if let armed = unsafe owned.pointee.armed, armed <= deadline, unsafe owned.pointee.lingerDeadline == nil,
      armed <= restTime(after: cx.now, sockets)
    {
      return
    }
    updateTimer(&cx)
  }

  /// It was in TIME-WAIT after its last run.
  private var isWaiting: Bool {
    unsafe shared.pointee.publishedState.loadRelaxed() == UInt64(TCPState.timeWait.rawValue)
  }

  func transmit(_ packets: inout PacketQueue, _ cx: inout SoftInterrupt) {
    guard !packets.isEmpty else { return }
    let key = unsafe shared.pointee.key
    if key.encapsulation != 0 { return transmitEncapsulated(&packets, key, &cx) }
    let marks = unsafe owned.pointee.shape.marks
    let sockets = SocketContextRef(cx)
    sockets.withInternet { internet in
      followRoute(internet, sockets)
      if let route = unsafe owned.pointee.route {
        while let packet = packets.popFirst() {
          let outcome = internet.send(
            packet, by: route, from: key.localAddress, to: key.remoteAddress, protocol: .tcp,
            hopLimit: marks.hopLimit, mayFragment: marks.mayFragment, &cx)
          if outcome != .sent { sockets.counters.segmentsUnroutable.increment() }
        }
        return
      }
      while let packet = packets.popFirst() {
        let kind = TrafficClass(rawValue: packet.metadata.trafficClass)
        let outcome = internet.send(
          packet, from: key.localAddress, to: key.remoteAddress, protocol: .tcp, hopLimit: marks.hopLimit,
          trafficClass: kind, mayFragment: marks.mayFragment, route: unsafe owned.pointee.route, &cx)
        if outcome != .sent { sockets.counters.segmentsUnroutable.increment() }
      }
    }
  }

  /// Looks the route up where it may have changed, and tells the engine what it takes.
  @inline(__always) func followRoute(_ internet: InternetLayer, _ sockets: SocketContextRef) {
    if unsafe owned.pointee.route?.generation != internet.generation { lookForRoute(internet, sockets) }
  }
  private func lookForRoute(_ internet: InternetLayer, _ sockets: SocketContextRef) {
    let (shared, owned) = unsafe (shared, owned)
    let key = unsafe shared.pointee.key
    let route = sockets.route(to: key.remoteAddress, from: key.localAddress)
    unsafe owned.pointee.route = route
    unsafe owned.pointee.offloads = route.map { internet.offloads(of: $0) } ?? []
    guard let route else { return }
    let mtu = unsafe StreamOptions.packet(mtu: route.mtu, owned.pointee.offloads) - sockets.overhead(key)
    let segment = StreamOptions.segment(mtu: mtu, isIPv4: key.remoteAddress.isIPv4)
    unsafe owned.pointee.engine.routeChanged(segment: Int(segment))
  }

  // MARK: What is posted

  fileprivate func enqueue(_ chain: consuming ByteChain, _ code: UInt16, _ cx: inout SoftInterrupt) {
    let bytes = chain.count
    unsafe owned.pointee.enqueued &+= UInt64(bytes)
    guard unsafe !owned.pointee.isDropped else { return refuse(chain, SocketContextRef(cx)) }
    guard unsafe owned.pointee.engine.canEnqueue else {
      // After our FIN nothing is taken (P3): shutdown came between the write and this. A close may wait for it though.
      refuse(chain, SocketContextRef(cx))
      #if Explore
        if Mutation.refusedChainEndsNothing.isOn { return }
      #endif
      return endSending([], &cx)
    }
    takeOver(chain)
    let sockets = SocketContextRef(cx)
    sockets.withInternet { followRoute($0, sockets) }
    if code == ConnectionBlock.Chain.pushed, maySendAlone(bytes),
      sendAlone(bytes, cx.pool, sockets, &cx)
    {
      return
    }
    let isPushed = code & ConnectionBlock.Chain.more == 0
    let isUrgent = code & ConnectionBlock.Chain.urgent != 0
    let edge: TCPTextEdge =
      switch code & ConnectionBlock.Chain.edges {
      case ConnectionBlock.Chain.record: .record
      case ConnectionBlock.Chain.keptPush: .pushed
      case ConnectionBlock.Chain.burst: .burst
      default: .none
      }
    runEngine(&cx) {
      $0.enqueue(bytes, push: isPushed, urgent: isUrgent, edge: edge, now: $1, sink: &$2)
    }
    endSending([], &cx)
  }

  /// What waits for more to come goes.
  func push(_ cx: inout SoftInterrupt) {
    guard unsafe !owned.pointee.isDropped, unsafe owned.pointee.engine.canEnqueue else { return }
    runEngine(&cx) { $0.enqueue(0, now: $1, sink: &$2) }
  }

  func windowOpened(_ cx: inout SoftInterrupt) {
    let (free, unread) = (freeReceiveSpace(), available)
    runEngine(&cx) { $0.receiveSpace(free, unread: unread, now: $1, sink: &$2) }
  }

  /// True: nothing was due. The connection rests, or its timer is armed again, once the run has come to its end.
  fileprivate func timerFired(_ cx: inout SoftInterrupt) -> Bool {
    unsafe willOwn(UnsafeRawPointer(owned))  // keeps TM-OWNER
    unsafe owned.pointee.armed = nil
    guard unsafe !owned.pointee.isDropped else { return false }
    if let deadline = unsafe owned.pointee.lingerDeadline, deadline <= cx.now {
      unsafe owned.pointee.lingerDeadline = nil
      aborted(&cx)
      return false
    }
    #if Explore
      if Mutation.timerBelieved.isOn, let due = unsafe owned.pointee.engine.nextDeadline {
        runEngine(&cx) { $0.timeout(now: max($1, due), sink: &$2) }
        return false
      }
    #endif
    // A late fire of an old arming finds nothing due and only arms again (TM-STALE).
    if let due = unsafe owned.pointee.engine.nextDeadline, due <= cx.now {
      runEngine(&cx) { $0.timeout(now: $1, sink: &$2) }
      return false
    }
    return true
  }

  func errorReported(_ cx: inout SoftInterrupt) {
    let isIPv4 = unsafe shared.pointee.key.remoteAddress.isIPv4
    let hearsRouters = unsafe owned.pointee.shape.marks.pathDiscovery == .routers
    let overhead = unsafe SocketContextRef(cx).overhead(shared.pointee.key)
    let known = unsafe owned.pointee.engine.errorsOutOfWindow
    while let report = unsafe shared.pointee.reports.take() {
      if ignores(report, SocketContextRef(cx)) { continue }
      let before = unsafe owned.pointee.engine.pathSegment
      runEngine(&cx) { engine, now, sink in
        switch report.kind {
        case .none: TCPEffects()
        case .tooBig where !hearsRouters: TCPEffects()
        case .tooBig:
          report.segment(isIPv4: isIPv4).map {
            engine.pathSegment($0 - overhead, sequence: report.sequence, now: now, sink: &sink)
          } ?? TCPEffects()
        case .host, .network, .port, .protocol, .prohibited, .timeExceeded, .other:
          engine.icmpError(
            report.networkError, sequence: report.sequence, isTaken: status.contains(.accepted))
        }
      }
      let after = unsafe owned.pointee.engine.pathSegment
      if report.kind == .tooBig, after < before { notePath(after, &cx) }
    }
    let counted = unsafe owned.pointee.engine.errorsOutOfWindow
    SocketContextRef(cx).counters.errorsOutOfWindow.increment(by: UInt64(counted &- known))
  }

  func reconfigure(_ cx: inout SoftInterrupt) {
    guard unsafe !owned.pointee.isDropped, options.contains(.changed) else { return }
    unsafe shared.pointee.options.formAnd(~ConnectionOptions.changed.rawValue)
    let linger = unsafe shared.pointee.linger.load()
    if linger != 0, unsafe owned.pointee.lingerDeadline == nil, !status.contains(.delivered) {
      unsafe owned.pointee.lingerDeadline = cx.now.adding(nanoseconds: linger)
    }
    var tcp = unsafe owned.pointee.engine.configuration
    tcp.noDelay = options.contains(.noDelay)
    tcp.keepaliveIdle = options.contains(.keepAlive) ? unsafe owned.pointee.shape.keepaliveIdle : .zero
    let wanted = tcp
    runEngine(&cx) { $0.reconfigure(wanted, now: $1, sink: &$2) }
    if options.contains(.quickAsked) {
      let (isOn, unread) = (options.contains(.quickOn), available)
      unsafe shared.pointee.options.formAnd(~ConnectionOptions.quickAsked.rawValue)
      runEngine(&cx) { $0.setQuickAcknowledgments(isOn, unread: unread, now: $1, sink: &$2) }
    }
    tellReceiveLimit(&cx)
  }

  /// Another receive limit is told to the engine, and what that opens to the peer. The same is no news, but for that
  /// somebody has set it.
  func tellReceiveLimit(_ cx: inout SoftInterrupt) {
    if options.contains(.receiveLimitSet) { unsafe owned.pointee.engine.fixReceiveBuffer() }
    let limit = unsafe UInt32(shared.pointee.receiveLimit.load())
    guard unsafe owned.pointee.toldReceiveLimit != limit else { return }
    unsafe owned.pointee.toldReceiveLimit = limit
    unsafe owned.pointee.engine.setReceiveBuffer(limit)
    windowOpened(&cx)
  }

  /// The handle was closed: nobody reads from here on.
  fileprivate func readerLeft(_ cx: inout SoftInterrupt) {
    unsafe owned.pointee.isOrphan = true
    unsafe owned.pointee.hadUnread = available > 0
    discardReceived(SocketContextRef(cx))
  }

  /// Shutdown and close come after every byte that was submitted before them, though their bits overtook the
  /// chains. Unread data means that the peer must learn of the loss: RST (RFC 9293 section 3.10.4, RFC 2525
  /// section 2.17).
  fileprivate func endSending(_ events: GateEvents, _ cx: inout SoftInterrupt) {
    let (owned, shared) = unsafe (owned, shared)
    unsafe owned.pointee.deferred.formUnion(events)
    guard unsafe !owned.pointee.deferred.isEmpty else { return }
    let isReset = unsafe owned.pointee.hadUnread || options.contains(.abortOnClose)
    let isClosing = unsafe owned.pointee.deferred.contains(.close)
    guard unsafe owned.pointee.enqueued == shared.pointee.submitted.load() || (isClosing && isReset) else {
      return
    }
    unsafe owned.pointee.deferred = []
    if !isClosing {
      runEngine(&cx) { $0.shutdownSend(now: $1, sink: &$2) }
    } else if options.contains(.abortOnClose) {
      runEngine(&cx) { $0.abort(now: $1, sink: &$2) }
    } else {
      runEngine(&cx) { $0.close(hasUnread: isReset, now: $1, sink: &$2) }
    }
  }

  fileprivate func aborted(_ cx: inout SoftInterrupt) {
    unsafe owned.pointee.isOrphan = owned.pointee.isOrphan || status.contains(.handleClosed)
    runEngine(&cx) { $0.abort(now: $1, sink: &$2) }
  }

  // MARK: Timers

  /// When something of the connection is due; nil: nothing is.
  var nextDeadline: Instant? {
    let deadlines = unsafe (owned.pointee.engine.nextDeadline, owned.pointee.lingerDeadline)
    return deadlines.0.map({ min($0, deadlines.1 ?? $0) }) ?? deadlines.1
  }

  /// The wheel at home is re-armed lazily: only an earlier deadline is told. With nothing due soon it is told when the
  /// connection may come to rest, if it `rests`.
  func updateTimer(rests: Bool = true, _ cx: inout SoftInterrupt) {
    let owned = unsafe owned
    let (due, rest) = (nextDeadline, rests ? restTime(cx) : nil)
    guard let wanted = due.map({ min($0, rest ?? $0) }) ?? rest else { return }
    if let armed = unsafe owned.pointee.armed, armed <= wanted { return }
    unsafe owned.pointee.armed = wanted
    #if Explore
      if Mutation.timerArmedAway.isOn { return cx.arm(timer, at: wanted) }
    #endif
    if cx.index == home {
      cx.arm(timer, at: wanted)
    } else {
      SocketContextRef(cx).requestTimer(self, at: wanted)
    }
  }
}
