// From the socket that connects, through the table's answer, to the end: when others can find a connection, and when they
// cannot any more. All of it runs in its owner.

import Buffers
import Exclusion
import Internet
import SoftInterrupts
import TCP
import Timing
import Wire

extension ConnectionRef {
  func wasInserted(_ cx: inout SoftInterrupt) {
    unsafe owned.pointee.isInserting = false
    set(.findable)
    settleRequest(&cx)
    #if Explore
      if Mutation.droppedStaysInTable.isOn, unsafe owned.pointee.isDropped { return }
    #endif
    // Closed before it began: the end that waited for the shard's answer.
    if unsafe owned.pointee.isDropped { return SocketContextRef(cx).finish(self, &cx) }
    if unsafe owned.pointee.fastOpenListener != nil {
      startFast(&cx)
    } else if unsafe !owned.pointee.engine.hasStarted {
      runEngine(&cx) { engine, now, sink in
        engine.start(now: now, sink: &sink)
        return TCPEffects()
      }
    }
    while let item = unsafe owned.pointee.early.popFirst() { arrive(Packet(item: item), &cx) }
    // A child whose first segment was not taken waits for another, and not for ever.
    if unsafe owned.pointee.armed == nil, unsafe !owned.pointee.isDropped { updateTimer(&cx) }
  }

  func insertFailed(_ cx: inout SoftInterrupt) {
    unsafe owned.pointee.isInserting = false
    settleRequest(&cx)
    if unsafe owned.pointee.isDropped { return release() }
    let sockets = SocketContextRef(cx)
    if unsafe shared.pointee.listener.loadRelaxed() != 0 {
      // Somebody has the 4-tuple (AQ-DUP): this child was never visible, nobody is told.
      sockets.counters.duplicateSyns.increment()
      leaveListener()
      leaveFastOpen(wasReset: false, now: cx.now)
      discardEarly()
      unsafe owned.pointee.isDropped = true
      set(.ended)
      release()
      return
    }
    if retryPort(&cx) { return }
    neverConnected(.addressNotAvailable, &cx)
  }

  /// The connection failed before the table had it.
  private func neverConnected(_ error: SocketError, _ cx: inout SoftInterrupt) {
    unsafe shared.pointee.error.store(error.code)
    set([.failed, .ended])
    unsafe owned.pointee.isDropped = true
    dropEarlyText(SocketContextRef(cx))
    giveClaimBack(&cx)
    wake(.all) { cx.wake($0) }
    release()
  }

  /// A socket that was never connected is closed, or has become a listener: its block goes.
  func endUnconnected(_ cx: inout SoftInterrupt) {
    guard unsafe owned.pointee.isUnconnected, unsafe !owned.pointee.isDropped else { return }
    unsafe owned.pointee.isDropped = true
    dropEarlyText(SocketContextRef(cx))
    set(.ended)
    giveClaimBack(&cx)
    release()
  }

  /// An unconnected socket connects: it gets its flow, and with it its home, before anyone can find it.
  func beginConnecting(_ cx: inout SoftInterrupt) {
    guard unsafe owned.pointee.isUnconnected, unsafe !owned.pointee.isDropped,
      let request = unsafe request.pointee
    else { return }
    let sockets = SocketContextRef(cx)
    unsafe owned.pointee.isUnconnected = false
    let began = unsafe shared.pointee.limits
    let (sendLimit, receiveLimit) = unsafe (
      Int(shared.pointee.sendLimit.load()), Int(shared.pointee.receiveLimit.load())
    )
    let limits = BufferLimits(
      send: sendLimit, upTo: options.contains(.sendLimitSet) ? sendLimit : began.sendMaximum,
      receive: receiveLimit, upTo: options.contains(.receiveLimitSet) ? receiveLimit : began.receiveMaximum)
    let here = cx.index
    let authentication = unsafe owned.pointee.shape.authentication
    if authentication.isRequired, !authentication.keys.cover(remote: request.remote, localPort: 0) {
      return neverConnected(.keyRejected, &cx)
    }
    let port = unsafe owned.pointee.shape.encapsulationPort
    let flow = sockets.withLayer {
      $0.chooseFlow(to: request.remote, from: request.local, at: here, encapsulation: port, sockets)
    }
    switch flow {
    case .failure(let error): neverConnected(error, &cx)
    case .success(let flow):
      let hash = flow.hash ?? flow.key.hash(sockets.hashKey)
      let home = sockets.home(hash: hash)
      unsafe shared.pointee.key = flow.key
      unsafe shared.pointee.hash = hash
      unsafe shared.pointee.placement.store(FlowPlacement.word(home: home))
      settleAuthentication()
      gate.move(to: sockets.withLayer { $0.contexts.port(home) })  // PCB-MOVE: nothing is armed or deferred
      let now = cx.now
      let wanted = unsafe (owned.pointee.engine.configuration, owned.pointee.shape)
      let mtu = sockets.mtu(flow.key)
      let opening = sockets.withLayer {
        $0.opening(flow.key, wanted.0, wanted.1, limits, mtu: mtu, now: now)
      }
      unsafe owned.pointee.engine = TCPConnection.active(
        iss: opening.iss, timestampOffset: opening.timestampOffset, configuration: opening.configuration,
        fastOpen: unsafe owned.pointee.authentication.hasKeys ? nil : request.fastOpen, now: now)
      recallPath(&cx)
      recallDestination(&cx)
      unsafe owned.pointee.engine.setReceiveBuffer(UInt32(limits.receive))
      unsafe owned.pointee.toldReceiveLimit = UInt32(limits.receive)
      takeEarlyText(&cx)
      unsafe owned.pointee.isPortFixed = flow.isPortFixed
      reconfigure(&cx)
      unsafe owned.pointee.isInserting = true
      sockets.insert(self, &cx)
    }
  }

  /// The name that bind gave is free again. Whoever set `ended` or `claimed` second does it.
  private func giveClaimBack(_ cx: inout SoftInterrupt) {
    guard status.contains(.claimed) else { return }
    SocketContextRef(cx).withLayer { $0.disclaim(self) }
  }

  /// Somebody took the 4-tuple between the look and the insert: another port, with the same home, since the
  /// gate's home is fixed. The block was never visible, so its key may still change.
  private func retryPort(_ cx: inout SoftInterrupt) -> Bool {
    let sockets = SocketContextRef(cx)
    let (shared, owned) = unsafe (shared, owned)
    guard unsafe !owned.pointee.isPortFixed, unsafe owned.pointee.portAttempts < 16 else { return false }
    unsafe owned.pointee.portAttempts += 1
    var key = unsafe shared.pointee.key
    let (home, now) = (self.home, cx.now)
    guard sockets.withLayer({ $0.freePort(&key, wanted: 0, home: home, sockets) != nil }) else {
      return false
    }
    unsafe shared.pointee.key = key
    unsafe shared.pointee.hash = key.hash(sockets.hashKey)
    settleAuthentication()
    let configuration = unsafe owned.pointee.engine.configuration
    let (iss, offset) = sockets.withLayer { $0.numbers(key, now: now) }
    let fastOpen = unsafe owned.pointee.authentication.hasKeys ? nil : request.pointee?.fastOpen
    unsafe owned.pointee.engine = TCPConnection.active(
      iss: iss, timestampOffset: offset, configuration: configuration, fastOpen: fastOpen, now: now)
    recallPath(&cx)
    recallDestination(&cx)
    unsafe owned.pointee.engine.setReceiveBuffer(owned.pointee.toldReceiveLimit)
    let early = unsafe owned.pointee.sendChain.count
    if early > 0 { runEngine(&cx) { $0.enqueue(early, now: $1, sink: &$2) } }
    unsafe owned.pointee.isInserting = true
    sockets.insert(self, &cx)
    return true
  }

  /// The engine is closed. Not findable from here on; the protocol's claim is dropped when the timer is off
  /// the wheel and the shard has let go (SO-REF, TM-REF).
  func drop(_ cx: inout SoftInterrupt) {
    guard unsafe !owned.pointee.isDropped else { return }
    unsafe owned.pointee.isDropped = true
    unsafe owned.pointee.sendChain.removeAll()
    settleSent(SocketContextRef(cx))
    unsafe owned.pointee.route = nil
    discardEarly()
    leaveListener()
    leaveFastOpen(wasReset: false, now: cx.now)
    giveClaimBack(&cx)
    leaveCredit()
    if unsafe !owned.pointee.isInserting { SocketContextRef(cx).finish(self, &cx) }
  }
}
