// What the owner of a connection's gate does with segments: one alone, or those that came in a row.

import Buffers
import Exclusion
import Internet
import SoftInterrupts
import TCP
import Timing
import Wire

extension ConnectionRef {
  /// A segment of the connection, unless that was dropped meanwhile.
  func arrive(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    unsafe willOwn(UnsafeRawPointer(owned))  // keeps PCB-OWN
    let sockets = SocketContextRef(cx)
    #if Explore
      let isDropped = unsafe owned.pointee.isDropped && !Mutation.droppedBlockTakesSegment.isOn
    #else
      let isDropped = unsafe owned.pointee.isDropped
    #endif
    guard !isDropped else { return SocketInput.redispatch(packet, &cx) }
    if unsafe owned.pointee.isInserting { return keepEarly(packet, &cx) }
    let isExperienced = packet.metadata.congestionExperienced
    if unsafe owned.pointee.isPlain, !isExperienced, let glance = TCPGlance(packet.bytes) {
      return arrive(glance, packet, sockets, &cx)
    }
    arriveUnforeseen(packet, sockets, &cx)
  }

  /// A segment with a plain header: mostly it is the one that comes next, and its text is read by somebody.
  @inline(__always) private func arrive(
    _ glance: TCPGlance, _ packet: consuming Packet, _ sockets: SocketContextRef, _ cx: inout SoftInterrupt
  ) {
    let count = packet.totalCount - glance.headerByteCount
    let foresight = unsafe owned.pointee.engine.foresees(glance, count: count)
    switch foresight {
    case .nothing:
      guard unsafe owned.pointee.engine.predictsTurn(glance, count: count) else {
        return arriveUnforeseen(packet, sockets, &cx)
      }
      arriveAtTurn(glance, packet, count, sockets, &cx)
    case .text, .answer:
      guard unsafe !owned.pointee.isOrphan, !status.contains(.receiveShutdown), !hasWritersInWait else {
        return arriveUnforeseen(packet, sockets, &cx)
      }
      arriveForeseen(foresight, glance, packet, count, sockets, &cx)
    }
  }

  /// What a run of the engine comes to for it is done here, and nothing else: nothing is sent but an acknowledgment, nothing
  /// is unsent before and after, and nothing waits behind holes.
  @inline(__always) private func arriveForeseen(
    _ foresight: TCPForesight, _ glance: TCPGlance, _ packet: consuming Packet, _ count: Int,
    _ sockets: SocketContextRef, _ cx: inout SoftInterrupt
  ) {
    let owned = unsafe owned
    let now = cx.now
    let (arrival, segmentSize) = (packet.metadata.arrival, packet.metadata.offload.segmentSize)
    let isAdmitted = count == 0 || admitForeseen(packet.occupiedBytes, sockets, &cx)
    let taken = unsafe owned.pointee.engine.takeForeseen(
      foresight, glance, count: count, isAdmitted: isAdmitted, segmentSize: segmentSize,
      space: (freeReceiveSpace(), available), arrival: arrival, now: now)
    let isReadable = count > 0 && isAdmitted
    if isReadable {
      packet.trimFront(glance.headerByteCount)
      deliverForeseen(packet, sockets)
    } else {
      _ = consume packet
    }
    unsafe owned.pointee.lastRun = now
    if taken.isAcknowledgmentDue { acknowledgeForeseen(sockets, &cx) }
    settleReceiveTuning(taken.receiveBuffer, isReadAwaited: taken.acknowledgesWhenRead)
    let edges: SocketEvents = isReadable ? .readable : []
    if taken.acknowledgedBytes > 0 {
      unsafe owned.pointee.sendChain.dropFirst(taken.acknowledgedBytes)
      settleSent(sockets)
      freeSpace(taken.acknowledgedBytes + growSendLimit(), edges) { cx.wake($0) }
    } else if !edges.isEmpty {
      wake(edges) { cx.wake($0) }
    }
    // An acknowledgment that left has taken a deadline away, and brought none.
    settleTimer(taken.deadline, sockets, &cx)
  }

  /// Takes the memory of a segment's text that is to be delivered at once. False: there is none.
  @inline(__always) private func admitForeseen(
    _ bytes: Int, _ sockets: SocketContextRef, _ cx: inout SoftInterrupt
  ) -> Bool {
    admit(bytes, beside: 0, isAhead: false, isPoolLow: cx.pool.isLow, sockets)
  }
  @inline(__always) private func deliverForeseen(_ payload: consuming Packet, _ sockets: SocketContextRef) {
    let occupied = payload.occupiedBytes
    switch unsafe shared.pointee.received.append(payload, &owned.pointee.receiveEnd) {
    case .posted: break
    case .postedInPlace(let freed): sockets.memory.give(freed, .receive)
    case .collapsed:
      sockets.counters.slotsCollapsed.increment()
      sockets.memory.give(occupied, .receive)
    }
  }
  @inline(never) private func acknowledgeForeseen(_ sockets: SocketContextRef, _ cx: inout SoftInterrupt) {
    var sink = ConnectionSink(self, pool: cx.pool, sockets: sockets)
    unsafe owned.pointee.engine.acknowledgeForeseen(now: cx.now, sink: &sink)
    transmit(&sink.outgoing, &cx)
  }

  /// The text of a predicted segment, and what its header says beside the ACK field.
  @inline(__always) private func takePredicted(
    _ glance: TCPGlance, _ packet: consuming Packet, _ count: Int, _ now: Instant,
    _ sink: inout ConnectionSink, _ effects: inout TCPEffects
  ) {
    let arrival = packet.metadata.arrival
    packet.trimFront(glance.headerByteCount)
    let isAdmitted = sink.admit(packet, isAhead: false)
    unsafe owned.pointee.engine.takePredicted(
      glance, count: isAdmitted ? count : 0, segmentSize: packet.metadata.offload.segmentSize,
      arrival: arrival, now: now)
    if isAdmitted {
      effects.deliveredBytes = count
      sink.deliver(packet)
    }
  }

  /// The segment with which the connection goes on to its next state, of `count` bytes of text if it opens it.
  @inline(never) private func arriveAtTurn(
    _ glance: TCPGlance, _ packet: consuming Packet, _ count: Int, _ sockets: SocketContextRef,
    _ cx: inout SoftInterrupt
  ) {
    let owned = unsafe owned
    let now = cx.now
    let opens = unsafe owned.pointee.engine.state == .synReceived
    unsafe owned.pointee.engine.noteReceiveSpace(freeReceiveSpace(), unread: available, now: now)
    var sink = ConnectionSink(self, pool: cx.pool, sockets: sockets)
    var effects = unsafe owned.pointee.engine.takePredictedTurn(
      glance, arrival: packet.metadata.arrival, now: now)
    if count > 0 {
      takePredicted(glance, packet, count, now, &sink, &effects)
    } else {
      if opens { unsafe owned.pointee.engine.takePredictedHeader(glance, now: now) }
      _ = consume packet
    }
    unsafe owned.pointee.engine.answerPredicted(holdsAnswer: false, now: now, sink: &sink)
    applyArrival(effects, &sink, isDropped: false, &cx)
  }

  private func arriveUnforeseen(
    _ packet: consuming Packet, _ sockets: SocketContextRef, _ cx: inout SoftInterrupt
  ) {
    var packet = packet
    guard let segment = open(&packet, sockets) else { return }
    let shared = unsafe shared
    let free = freeReceiveSpace()
    unsafe owned.pointee.engine.noteReceiveSpace(free, unread: available, now: cx.now)
    var sink = ConnectionSink(self, pool: cx.pool, sockets: sockets)
    let effects = unsafe owned.pointee.engine.arrive(segment, packet, now: cx.now, sink: &sink)
    applyArrival(effects, &sink, isDropped: false, &cx)
    if effects.reopen {
      SocketInput.reopen(segment, unsafe shared.pointee.key, &cx)
    }
  }

  /// The header of a segment, whose packet has its payload only from there on; nil: it is not to be taken, which is
  /// counted. Before anything of it counts: also a reset, also in TIME-WAIT.
  @inline(__always) private func open(
    _ packet: inout Packet, _ sockets: SocketContextRef
  ) -> TCPSegment? {
    guard let (header, headerCount) = try? TCPHeader.parse(packet.bytes) else {
      sockets.counters.segmentsMalformed.increment()
      return nil
    }
    var segment = TCPSegment(
      header, arrival: packet.metadata.arrival,
      notification: TrafficClass(rawValue: packet.metadata.trafficClass).notification)
    segment.segmentSize = packet.metadata.offload.segmentSize
    if unsafe segment.options.isSigned || !owned.pointee.isPlain {
      guard
        unsafe SegmentBuilder.isAuthentic(
          packet, segment, headerCount, owned.pointee.authentication,
          isOpening: owned.pointee.engine.state == .synSent, sockets)
      else { return nil }
    }
    packet.trimFront(headerCount)
    return segment
  }

  /// Segments that came in a row. The engine takes one after the other, and what that leaves to do is done once; what
  /// Linux would have made one segment of (its GRO) is acknowledged as one, and if it was predicted taken as one.
  func arriveAll(_ items: inout ItemList, _ cx: inout SoftInterrupt) {
    unsafe willOwn(UnsafeRawPointer(owned))  // keeps PCB-OWN
    let owned = unsafe owned
    if unsafe owned.pointee.isDropped || owned.pointee.isInserting { return arriveOneByOne(&items, &cx) }
    let sockets = SocketContextRef(cx)
    let now = cx.now
    unsafe owned.pointee.engine.noteReceiveSpace(freeReceiveSpace(), unread: available, now: now)
    var sink = ConnectionSink(self, pool: cx.pool, sockets: sockets)
    var effects = TCPEffects()
    var joined = JoinedText()
    // A header is looked at once: as the next one's, then as its own.
    var next = ArrivingSegment(items.first)
    var isPredictable = unsafe owned.pointee.isPlain && owned.pointee.engine.isPredictable
    if isPredictable { sink.admit(segments: items.count) }
    var row = TCPPredictedRow()
    while let item = items.popFirst() {
      var packet = Packet(item: item)
      let this = next
      next = ArrivingSegment(items.first)
      let isFollowed = joined.isFollowed(this, by: next)
      if isPredictable, let glance = this.glance, !this.isExperienced, predicts(glance, this, after: row) {
        packet.trimFront(glance.headerByteCount)
        // What came in one run came at one time.
        let arrival = packet.metadata.arrival
        guard sink.admit(packet, isAhead: false) else {
          end(&row, arrival, holdsAnswer: true, now, &sink)
          unsafe owned.pointee.engine.takePredicted(
            glance, count: 0, segmentSize: this.segmentSize, arrival: arrival, now: now)
          unsafe owned.pointee.engine.answerPredicted(holdsAnswer: isFollowed, now: now, sink: &sink)
          continue
        }
        effects.deliveredBytes += this.count
        sink.deliverInRow(packet)
        row.add(glance, count: this.count)
        // A super-segment stays alone.
        if !isFollowed || this.segmentSize > 0 || !row.isOpen {
          end(&row, arrival, segmentSize: this.segmentSize, holdsAnswer: isFollowed, now, &sink)
          continue
        }
        let alike = takeAlike(&items, this.trafficClass, &row, &joined, &sink)
        guard alike > 0 else { continue }
        effects.deliveredBytes += alike * this.count
        next = ArrivingSegment(items.first)
        if !joined.isFollowed(this.alike(after: alike), by: next) {
          end(&row, arrival, holdsAnswer: false, now, &sink)
        }
        continue
      }
      end(&row, packet.metadata.arrival, holdsAnswer: true, now, &sink)
      guard let segment = open(&packet, sockets) else { continue }
      let step = unsafe owned.pointee.engine.arrive(
        segment, packet, holdsAnswer: isFollowed, now: now, sink: &sink)
      if step.acknowledgedBytes > 0 { unsafe owned.pointee.sendChain.dropFirst(step.acknowledgedBytes) }
      effects.merge(step)
      guard step.events.isEmpty, step.error == nil else {
        // More than text and acknowledgments: it is done before the next one comes.
        applyArrival(effects, &sink, isDropped: true, &cx)
        if step.reopen { SocketInput.reopen(segment, unsafe shared.pointee.key, &cx) }
        return arriveOneByOne(&items, &cx)
      }
      isPredictable = unsafe owned.pointee.isPlain && owned.pointee.engine.isPredictable
    }
    unsafe owned.pointee.engine.answerHeld(now: now, sink: &sink)
    applyArrival(effects, &sink, isDropped: true, &cx)
  }
  /// Takes the segments that follow those of a row, as long as they are as long, and say the same, which is found by comparing
  /// their bytes: of a bulk transfer nearly all do. Returns how many; what comes then is looked at as a whole.
  @inline(__always) private func takeAlike(
    _ items: inout ItemList, _ trafficClass: UInt8, _ row: inout TCPPredictedRow, _ joined: inout JoinedText,
    _ sink: inout ConnectionSink
  ) -> Int {
    let (first, size) = (row.first, row.size)
    var room = unsafe owned.pointee.engine.room(behind: row)
    var number = 0
    while let item = items.first {
      var packet = Packet(item: item)
      guard packet.pieceCount == 0, packet.count == first.headerByteCount + size,
        packet.metadata.offload.segmentSize == 0, packet.metadata.trafficClass == trafficClass,
        first.isRepeated(at: row.nextSequence, by: packet.bytes), size <= room, sink.isAdmittedAhead,
        // That the first one follows is known.
        number == 0 || joined.isFollowedByAlike(count: size, headerByteCount: first.headerByteCount)
      else {
        _ = packet.intoItem()
        break
      }
      _ = items.popFirst()
      sink.takeAdmitted()
      packet.trimHeader(first.headerByteCount)
      sink.deliverInRow(packet)
      row.addAlike()
      room -= size
      number += 1
    }
    return number
  }
  /// Whether a segment is the one that comes next, behind `row`, which the engine does not know yet.
  @inline(__always) private func predicts(
    _ glance: TCPGlance, _ this: ArrivingSegment, after row: TCPPredictedRow
  ) -> Bool {
    if row.isEmpty { return unsafe owned.pointee.engine.predicts(glance, count: this.count) }
    // It follows the one before, which was predicted, and says the same.
    return unsafe this.segmentSize == 0 && owned.pointee.engine.predictsMore(row, count: this.count)
  }
  /// The engine takes what is in the row, if that is not empty.
  @inline(__always) private func end(
    _ row: inout TCPPredictedRow, _ arrival: Instant, segmentSize: UInt16 = 0, holdsAnswer: Bool,
    _ now: Instant, _ sink: inout ConnectionSink
  ) {
    guard !row.isEmpty else { return }
    sink.deliverRow()
    if row.segments == 1 {
      unsafe owned.pointee.engine.takePredicted(
        row.first, count: row.count, segmentSize: segmentSize, arrival: arrival, now: now)
    } else {
      unsafe owned.pointee.engine.takePredicted(row, arrival: arrival, now: now)
    }
    row.clear()
    unsafe owned.pointee.engine.answerPredicted(holdsAnswer: holdsAnswer, now: now, sink: &sink)
  }

  private func applyArrival(
    _ effects: TCPEffects, _ sink: inout ConnectionSink, isDropped: Bool, _ cx: inout SoftInterrupt
  ) {
    let discarded = sink.discarded
    apply(effects, &sink, isDropped: isDropped, &cx)
    if discarded > 0 { windowOpened(&cx) }  // nobody reads it: the window stays open
  }
  private func arriveOneByOne(_ items: inout ItemList, _ cx: inout SoftInterrupt) {
    while let item = items.popFirst() { arrive(Packet(item: item), &cx) }
  }

  /// A child that the table does not have yet takes nothing: it is not whole (SO-PUBLISH).
  private func keepEarly(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    guard unsafe owned.pointee.early.count < ConnectionBlock.earlyLimit else {
      return SocketContextRef(cx).counters.gateQueueFull.increment()
    }
    unsafe owned.pointee.early.append(packet.intoItem())
  }
  func discardEarly() {
    while let item = unsafe owned.pointee.early.popFirst() { _ = Packet(item: item) }
  }
}
