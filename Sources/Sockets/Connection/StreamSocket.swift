import Exclusion
public import TCP
public import Wire

import Buffers

/// How a read that does not wait ended.
public enum ReadOutcome: Sendable, Equatable {
  /// So many bytes were read, at least one.
  case bytes(Int)
  /// The peer has closed its sending side and everything was read.
  case endOfStream
  /// Nothing is there yet.
  case wouldBlock
  /// The connection failed; everything that had arrived was read before.
  case failed(SocketError)
}

/// How a write that does not wait ended.
public enum WriteOutcome: Sendable, Equatable {
  /// So many bytes were taken, at least one; the rest would have to wait.
  case bytes(Int)
  /// There is no room yet.
  case wouldBlock
  /// Nothing can be sent any more.
  case failed(SocketError)
}

/// A TCP socket: the application's handle to a connection. The last reference closes it (L6).
///
/// All calls are for application context and never wait; ``readPoint`` and ``writePoint`` are where the
/// blocking and the async API wait. Reads need the read turn, writes the write turn.
public final class StreamSocket: AnySocket {
  let connection: ConnectionRef
  let layer: SocketLayer
  private let closing = AtomicWord(0)

  /// Takes over one reference: the accept queue's, or the one that connect made.
  init(_ connection: ConnectionRef, layer: SocketLayer) {
    self.connection = connection
    self.layer = layer
  }
  deinit {
    // Nobody waits any more: there is nobody to wake, and this may run anywhere.
    if beginClose() { _ = connection.gate.post(events: .close) }
    if !isForkedChild() { connection.release() }
  }

  /// The address and port of this host.
  public var localAddress: SocketAddress {
    let key = unsafe connection.shared.pointee.key
    return key.local
  }
  /// The peer.
  public var remoteAddress: SocketAddress {
    let key = unsafe connection.shared.pointee.key
    return key.remote
  }
  /// The peer's port of UDP, where segments go in UDP (``TCPEncapsulation``); 0: they go in IP.
  public var encapsulationPort: UInt16 { unsafe connection.shared.pointee.key.encapsulation }
  /// The handshake is complete.
  public var isConnected: Bool { connection.status.contains(.connected) }
  /// The pending error, which this takes away (SO_ERROR).
  public func takeError() -> SocketError? {
    unsafe SocketError(code: connection.shared.pointee.error.exchange(0))
  }
  /// Why the connection failed, if it did; it stays.
  public var failure: SocketError? { connection.failure }

  // MARK: Reading

  /// Copies what is there into `buffer`. The holder of the read turn only.
  public func tryRead(into buffer: UnsafeMutableRawBufferPointer) -> ReadOutcome {
    read { received, reading in unsafe received.read(&reading, into: buffer) }
  }

  /// Lends what is there, where it lies, without a copy: calls `body` with one piece after the other, at most `limit`
  /// bytes, until it does not take all of a piece. It returns how many bytes of the piece it took, from its start; the
  /// others stay to be read. The outcome's count may be 0 here: something was there, and `body` took nothing of it. The
  /// holder of the read turn only.
  ///
  /// - Parameter body: gets at most a packet's bytes at a time, valid until it returns. It may write to this socket and
  ///   others, and must not read from this one.
  public func tryConsume(atMost limit: Int = .max, _ body: (RawSpan) -> Int) -> ReadOutcome {
    var wasOffered = false
    let outcome = read { received, reading in
      received.lend(&reading, atMost: limit) { span in
        wasOffered = true
        return body(span)
      }
    }
    if case .bytes = outcome { return outcome }
    return wasOffered ? .bytes(0) : outcome
  }

  /// What all reads have in common, around what `take` does with the queue.
  @inline(__always) func read(
    _ take: (borrowing ReceiveQueue, inout ReceiveReader) -> (count: Int, freed: Int)
  ) -> ReadOutcome {
    let shared = unsafe connection.shared
    if closing.load() != 0 { return .failed(.closed) }
    if connection.status.contains(.receiveShutdown) { return .endOfStream }
    // The end is looked at first: what arrived before it is then seen, and drains first (SB-EOF).
    let status = connection.status
    let (copied, freed) = unsafe take(shared.pointee.received, &shared.pointee.reading)
    if copied > 0 {
      layer.memory.give(freed, .receive)
      // The owner is told in steps that are worth a window update (RFC 9293 section 3.8.6.2.2); when memory is
      // short windows are small, and each end of the queue is one.
      let taken = unsafe shared.pointee.received.taken
      let unsaid = unsafe taken &- shared.pointee.reading.told
      if unsafe unsaid >= min(shared.pointee.receiveLimit.load() / 4, 32 << 10)
        || connection.shouldTellRead
        || (layer.memory.state != .normal && freed > 0 && connection.available == 0)
      {
        unsafe shared.pointee.reading.told = taken
        _ = connection.gate.post(events: .window)
      }
      return .bytes(copied)
    }
    #if Explore
      if Mutation.endLookedAtLast.isOn, connection.status.contains(.endOfStream) { return .endOfStream }
    #endif
    if status.contains(.endOfStream) { return .endOfStream }
    if status.contains(.failed) { return .failed(failure ?? .connectionReset) }
    if status.contains(.ended) { return .endOfStream }
    return .wouldBlock
  }

  /// Copies what is there into `buffer`, and leaves it to be read (MSG_PEEK). Returns how many bytes. The holder of
  /// the read turn only.
  public func peek(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    if closing.load() != 0 || connection.status.contains(.receiveShutdown) { return 0 }
    let shared = unsafe connection.shared
    return unsafe shared.pointee.received.peek(&shared.pointee.reading, into: buffer)
  }

  /// Whether a read would not wait.
  public func isReadable(need: UInt32) -> Bool { closing.load() != 0 || connection.isReadable(need: need) }
  /// Where readers wait.
  public var readPoint: WaitPoint {
    unsafe WaitPoint(connection.reader, layer.wakeAccount)
  }

  // MARK: Writing

  /// As ``tryWrite(_:isPushed:)``, of a connection that may still be connecting: what is taken goes as soon as it is
  /// there. The holder of the write turn only.
  public func tryWriteAhead(_ bytes: UnsafeRawBufferPointer) -> WriteOutcome {
    unsafe write(bytes, isPushed: true, mayPrecedeConnection: true)
  }

  /// Takes as many of `bytes` as there is room for. The holder of the write turn only. No user memory is
  /// touched after the return (SB-NOCOPY).
  ///
  /// - Parameter isPushed: false: there is more to come, and a segment that is not full waits for it (MSG_MORE,
  ///   TCP_CORK), until a write that is pushed, ``push()``, the end, or at most 200 ms once nothing is out.
  /// - Parameter isUrgent: the last byte is the end of urgent data (MSG_OOB): segments up to it say so. The peer gets it
  ///   in line (RFC 6093).
  /// - Parameter edge: what the end of these bytes means for the segments that carry it, if all are taken (MSG_EOR).
  public func tryWrite(
    _ bytes: UnsafeRawBufferPointer, isPushed: Bool = true, isUrgent: Bool = false, edge: TCPTextEdge = .none
  ) -> WriteOutcome {
    unsafe write(
      bytes, isPushed: isPushed, isUrgent: isUrgent, edge: edge, mayPrecedeConnection: false)
  }

  /// Takes as many bytes of `bytes` from `offset` on as there is room for, without a copy: what is sent refers to their
  /// memory. `count` is at most what is behind `offset`. As ``tryWrite(_:isPushed:isUrgent:edge:)`` otherwise, and
  /// counted against the same limits.
  public func tryWrite(_ bytes: SharedBytes, from offset: Int = 0, count: Int, isPushed: Bool = true)
    -> WriteOutcome
  {
    precondition(
      offset >= 0 && count >= 0 && count <= bytes.count - offset, "a write of bytes that are not there")
    guard bytes.layer === layer else { return .failed(.otherStack) }
    return write(count, isPushed: isPushed, mayPrecedeConnection: false) {
      (taken, isFirst, held) throws(MemoryShortage) in
      try makeChain { buffers throws(MemoryShortage) in
        try buffers.share(bytes.chain, offset: offset, count: taken, isGuaranteed: isFirst, &held)
      }
    }
  }

  private func write(
    _ bytes: UnsafeRawBufferPointer, isPushed: Bool, isUrgent: Bool = false, edge: TCPTextEdge = .none,
    mayPrecedeConnection: Bool
  ) -> WriteOutcome {
    if layer.configuration.entry == .drive, isPushed, !isUrgent, edge == .none,
      1..<ConnectionSink.worthAttaching ~= bytes.count,
      unsafe connection.shared.pointee.sendOccupied.load() == 0,
      refusal(mayPrecedeConnection: mayPrecedeConnection) == nil,
      let outcome = unsafe writeDirectly(bytes)
    {
      return outcome
    }
    return write(
      bytes.count, isPushed: isPushed, isUrgent: isUrgent, edge: edge,
      mayPrecedeConnection: mayPrecedeConnection
    ) { (taken, isFirst, held) throws(MemoryShortage) in
      let wanted = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<taken])
      return try makeChain { buffers throws(MemoryShortage) in
        try unsafe buffers.makeChain(copying: wanted, isGuaranteed: isFirst, &held)
      }
    }
  }

  /// What `make` makes, not empty, of the stack's memory. No reference to that is counted, as it would be by every write.
  @inline(__always) func makeChain(
    _ make: (ApplicationBuffers) throws(MemoryShortage) -> ByteChain
  ) throws(MemoryShortage) -> ByteChain {
    let made = unsafe layer.buffersInPlace._withUnsafeGuaranteedRef {
      buffers -> Result<ItemRef, MemoryShortage> in
      do throws(MemoryShortage) {
        return .success(try make(buffers).intoItem())
      } catch {
        return .failure(error)
      }
    }
    return ByteChain(item: try made.get())
  }

  /// `make` gets how many bytes there is room for, and whether nothing else of this writer's is out; it makes a chain of
  /// them, or of as many of the first as there is memory for.
  @inline(__always) private func write(
    _ wanted: Int, isPushed: Bool, isUrgent: Bool = false, edge: TCPTextEdge = .none,
    mayPrecedeConnection: Bool,
    _ make: (Int, _ isFirst: Bool, inout Held<Unlocked>) throws(MemoryShortage) -> ByteChain
  ) -> WriteOutcome {
    let shared = unsafe connection.shared
    if let refusal = refusal(mayPrecedeConnection: mayPrecedeConnection) { return refusal }
    let isFirst = unsafe shared.pointee.sendOccupied.load() == 0
    var count = takeCredit(wanted)
    guard count > 0 else { return .wouldBlock }
    let chain: ByteChain
    do throws(MemoryShortage) {
      chain = try withApplication { held throws(MemoryShortage) in try make(count, isFirst, &held) }
    } catch {
      return refuse(error, count)
    }
    if chain.count < count {
      giveBack(count - chain.count)
      count = chain.count
    }
    // What was cut short is the caller's to go on with, and says itself whether that is the end.
    var code = isPushed ? ConnectionBlock.Chain.pushed : ConnectionBlock.Chain.more
    if isUrgent, count == wanted { code |= ConnectionBlock.Chain.urgent }
    if count == wanted {
      switch edge {
      case .none: break
      case .burst: code |= ConnectionBlock.Chain.burst
      case .pushed: code |= ConnectionBlock.Chain.keptPush
      case .record: code |= ConnectionBlock.Chain.record
      }
    }
    return submit(chain, code)
  }

  /// There was less memory than room: so much of what was taken of that goes back.
  @inline(never) private func giveBack(_ rest: Int) {
    deliverWakeups { connection.freeSpace(rest, [], $0) }
    meetFullBuffer()
  }

  /// Why nothing can be written now; nil: something may.
  @inline(__always) func refusal(mayPrecedeConnection: Bool) -> WriteOutcome? {
    if closing.load() != 0 { return .failed(.closed) }
    let status = connection.status
    if status.contains(.failed) { return .failed(failure ?? .brokenPipe) }
    if !status.isDisjoint(with: [.sendShutdown, .ended]) { return .failed(.brokenPipe) }  // P3
    return mayPrecedeConnection || status.contains(.connected) ? nil : .wouldBlock
  }
  /// There was no memory for anything: the credit goes back.
  func refuse(_ shortage: MemoryShortage, _ credit: Int) -> WriteOutcome {
    deliverWakeups { connection.freeSpace(credit, [], $0) }
    switch shortage {
    case .account:
      // Something of this writer's is out: its acknowledgment is what it waits for.
      meetFullBuffer()
      return .wouldBlock
    case .pool: return .failed(.noBufferSpace)
    }
  }

  /// Hands over a chain, not empty, whose bytes have taken their credit; `code`: what it means, of
  /// `ConnectionBlock.Chain`.
  @inline(__always) func submit(_ chain: consuming ByteChain, _ code: UInt16) -> WriteOutcome {
    let shared = unsafe connection.shared
    let (count, occupied) = (chain.count, chain.occupied)
    unsafe shared.pointee.sendOccupied.add(UInt64(occupied))
    let item = chain.intoItem()
    item.kind = SocketKind.chain
    item.code = code
    // One writer at a time, who holds the turn.
    unsafe shared.pointee.submitted.store(shared.pointee.submitted.loadRelaxed() &+ UInt64(count))
    switch layer.submit(item, to: connection) {
    case .ran, .posted: return .bytes(count)
    case .closed, .dropped:
      _ = ByteChain(item: item)
      unsafe shared.pointee.sendOccupied.subtract(UInt64(occupied))
      layer.memory.give(occupied, .send)
      return .failed(failure ?? .brokenPipe)
    }
  }

  /// Takes room for as many of `count` bytes as there is. A writer that gets less than it wanted has met a full
  /// buffer, and looks again after saying so.
  func takeCredit(_ count: Int) -> Int {
    let shared = unsafe connection.shared
    var credit = unsafe shared.pointee.sendCredit.load()
    while true {
      let taken = connection.maySubmit ? max(0, min(count, Int(Int64(bitPattern: credit)))) : 0
      if taken == 0, count > 0 {
        connection.wantSpace()
        if connection.sendSpace == 0 { return 0 }
        credit = unsafe shared.pointee.sendCredit.load()
        continue
      }
      guard unsafe shared.pointee.sendCredit.compareExchange(&credit, credit &- UInt64(taken)) else {
        continue
      }
      if taken < count { meetFullBuffer() }
      return taken
    }
  }
  /// A writer got less than it wanted.
  func meetFullBuffer() {
    connection.wantSpace()
    // Freed between the two: nobody saw the flag.
    if connection.takeSpaceEdge() {
      deliverWakeups { unsafe connection.observers.pointee.raise(.writable, $0) }
    }
  }

  /// What a writer of `count` bytes waits for: room for all, or for a third of the buffer.
  public func writeNeed(_ count: Int) -> UInt32 {
    max(1, min(UInt32(clamping: count), connection.sendLowWater))
  }
  /// Whether a write of `need` bytes would not wait; with 0, whether connect has ended.
  public func isWritable(need: UInt32) -> Bool { closing.load() != 0 || connection.isWritable(need: need) }
  /// Where writers wait, and connect.
  public var writePoint: WaitPoint {
    unsafe WaitPoint(connection.writer, layer.wakeAccount)
  }

  // MARK: Ending

  /// Ends the sending side after everything submitted; the peer reads end of stream.
  public func shutdownSend() {
    connection.set(.sendShutdown)
    layer.submit(events: .shutdownSend, to: connection)
    wakeAll(.writable)
  }
  /// Reads end; what still arrives is acknowledged and thrown away.
  public func shutdownReceive() {
    connection.set(.receiveShutdown)
    wakeAll([.readable, .endOfStream])
  }
  /// Ends the connection at once: RST, unsent data is forgotten.
  public func abort() { end(.abort) }
  /// Closes in order: what was submitted is still sent. Cannot fail; again it does nothing (SO-NOFAIL). Threads
  /// and tasks that wait on the socket return with `.closed` (SO-RESTART).
  public func close() { end(.close) }

  /// SO_LINGER with a time: ends the sending side, and aborts the connection if what was submitted has not
  /// arrived within `nanoseconds`, at least 1. Wait at the ``writePoint`` with ``deliveryNeed``, look at
  /// ``isDelivered``, then ``close()``.
  public func beginLinger(nanoseconds: UInt64) {
    unsafe connection.shared.pointee.linger.store(max(1, nanoseconds))
    connection.set(.sendShutdown)
    connection.tellOptions([.shutdownSend])
    wakeAll(.writable)
  }
  /// What a lingering close waits for.
  public static var deliveryNeed: UInt32 { Waiter.maximumNeed }
  /// The peer has acknowledged everything that was submitted, and the end of it.
  public var isDelivered: Bool { connection.status.contains(.delivered) }

  private func end(_ event: GateEvents) {
    guard beginClose() else { return }
    layer.submit(events: event, to: connection)
    wakeAll(.all)
  }
  /// True: the owner is to be told.
  private func beginClose() -> Bool {
    // A child process's close leaves the parent's connection alone (L6).
    guard closing.exchange(1) == 0, !isForkedChild() else { return false }
    unsafe connection.observers.pointee.close(layer)  // no event of it is told after close (SO-GEN)
    connection.set([.handleClosed, .sendShutdown])
    return true
  }

  /// Reader, writer and event queues, about what this side did. Waiters look at `closing` too.
  func wakeAll(_ edges: SocketEvents) {
    deliverWakeups { deliver in
      if let target = unsafe connection.reader.pointee.waiter.claim(where: { isReadable(need: $0) }) {
        deliver(target)
      }
      if let target = unsafe connection.writer.pointee.waiter.claim(where: { isWritable(need: $0) }) {
        deliver(target)
      }
      unsafe connection.observers.pointee.raise(edges, deliver)
    }
  }
  func deliverWakeups(_ body: ((WakeTarget) -> Void) -> Void) {
    withApplication { held in
      layer.contexts.grace.withPin { body { wake($0, &held) } }
    }
  }

  // MARK: Options

  private func setOption(_ option: ConnectionOptions, _ isOn: Bool) {
    if isOn {
      unsafe connection.shared.pointee.options.formOr(option.rawValue)
    } else {
      unsafe connection.shared.pointee.options.formAnd(~option.rawValue)
    }
    connection.tellOptions()
  }
  /// TCP_NODELAY: small segments leave at once.
  public func setNoDelay(_ isOn: Bool) { setOption(.noDelay, isOn) }
  /// TCP_QUICKACK: acknowledgments go at once for a while, or wait for answers. The connection changes it again as the
  /// exchange goes on.
  public func setQuickAcknowledgments(_ isOn: Bool) {
    let asked = ConnectionOptions.quickAsked.union(isOn ? .quickOn : [])
    if !isOn { unsafe connection.shared.pointee.options.formAnd(~ConnectionOptions.quickOn.rawValue) }
    unsafe connection.shared.pointee.options.formOr(asked.rawValue)
    connection.tellOptions()
  }
  /// Whether a writer waits by the application's own rules about what is buffered; ``StreamInfo`` then counts how long
  /// that held the connection up. A writer that ``tryWrite(_:isPushed:isUrgent:edge:)`` turned away is known.
  public func setWriterWaits(_ isWaiting: Bool) { setOption(.writerWaits, isWaiting) }
  /// SO_KEEPALIVE with Linux's times: probes after two hours of silence.
  public func setKeepAlive(_ isOn: Bool) { setOption(.keepAlive, isOn) }
  /// SO_LINGER with time 0: close resets the connection.
  public func setAbortOnClose(_ isOn: Bool) { setOption(.abortOnClose, isOn) }
}
