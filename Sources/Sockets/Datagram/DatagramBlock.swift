import Buffers
import Exclusion
import Internet
import SoftInterrupts
import Wire

/// What a datagram socket's memory holds behind its key. (c) constant, (a) atomic, (r) read turn.
@safe
struct DatagramState: ~Copyable {
  /// (r) Taken from `received`, oldest first. First, as in `ConnectionShared`.
  var readable = ItemList()
  /// (c)
  let layer: Unmanaged<SocketLayer>
  /// (a) Bytes of memory that datagrams which wait to be read may occupy.
  let receiveLimit: AtomicWord
  /// (a) References: the handle, and each datagram between the application and the wire.
  let references = AtomicWord(1)
  /// (a) 1 once closed.
  let isClosed = AtomicWord(0)
  /// (a) What the network reported and nobody was told.
  let error = PendingError()
  /// (a) 1: reports are kept in `errors`.
  let wantsErrors = AtomicWord(0)
  /// (a) Reports about single datagrams.
  let errors = DatagramErrorQueue()
  /// (a) Datagrams that wait to be read: `DatagramBacklog`.
  let waiting = AtomicWord(0)
  /// (a) Datagrams put on the list, less those taken from it: a signed number, for who takes one may be quicker
  /// than who put it there. Counted when it is there, so that readable means that a receive does not wait (AQ-WAKE).
  let queued = AtomicWord(0)
  /// (a) Datagrams that may still be handed to a context.
  let sendCredit: AtomicWord
  /// (a) 1: somebody met a full queue, and event queues are told when there is room again.
  let isSpaceWanted = AtomicWord(0)
  /// (a) The receive gate, owned by the reader from the start.
  let received = Mailbox()
  /// (c) The only peer of a connected socket.
  let peer: SocketAddress?

  /// (c) The context that its datagrams leave by, in order.
  let home: Int

  init(layer: SocketLayer, peer: SocketAddress?) {
    unsafe self.layer = Unmanaged.passUnretained(layer)
    receiveLimit = AtomicWord(UInt64(layer.configuration.datagramReceiveLimit))
    self.peer = peer
    home = layer.nextContext()
    sendCredit = AtomicWord(UInt64(layer.configuration.datagramSendLimit))
  }
}

/// How many datagrams wait, and what they occupy, in one word: bytes 40 · count 24.
struct DatagramBacklog {
  let word: UInt64
  init(word: UInt64) { self.word = word }
  /// One datagram.
  init(occupied: Int) { word = UInt64(occupied) << 24 | 1 }
  var count: Int { Int(word & 0xFF_FFFF) }
  var occupied: Int { Int(word >> 24) }
}

/// A handle to a datagram socket's memory.
@safe
struct DatagramRef: @unchecked Sendable {  // every field behind it says who protects it
  let raw: UnsafeMutableRawPointer
  private static var readerOffset: Int { 64 }
  private static var writerOffset: Int { 128 }
  private static var stateOffset: Int { 192 }
  static var bytes: Int { (stateOffset + MemoryLayout<DatagramState>.size + 63) & ~63 }

  init(_ raw: UnsafeMutableRawPointer) { unsafe self.raw = raw }
  var bound: BoundRef { unsafe BoundRef(raw) }
  /// (a) One receiver at a time waits here.
  var reader: UnsafeMutablePointer<WaitPair> {
    unsafe (raw + Self.readerOffset).assumingMemoryBound(to: WaitPair.self)
  }
  /// (a) One sender at a time waits here.
  var writer: UnsafeMutablePointer<WaitPair> {
    unsafe (raw + Self.writerOffset).assumingMemoryBound(to: WaitPair.self)
  }
  /// (a) Registrations of event queues.
  var observers: UnsafePointer<ObserverList> {
    unsafe UnsafePointer(
      (raw + Self.readerOffset + ObserverList.offsetInPair).assumingMemoryBound(to: ObserverList.self))
  }
  var state: UnsafeMutablePointer<DatagramState> {
    unsafe (raw + Self.stateOffset).assumingMemoryBound(to: DatagramState.self)
  }

  static func make(_ key: BindingKey, peer: SocketAddress?, layer: SocketLayer) -> DatagramRef {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    let datagram = unsafe DatagramRef(raw)
    unsafe datagram.bound.key.initialize(to: key)
    unsafe datagram.reader.initialize(to: WaitPair())
    unsafe datagram.writer.initialize(to: WaitPair())
    unsafe ObserverList.initialize(at: raw + readerOffset + ObserverList.offsetInPair)
    unsafe datagram.state.initialize(
      to: DatagramState(layer: layer, peer: peer))
    return datagram
  }

  func retain() { unsafe state.pointee.references.add(1) }
  func release() {
    guard unsafe state.pointee.references.subtract(1) == 1 else { return }
    bound.item.kind = SocketKind.datagramMemory
    unsafe state.pointee.layer.takeUnretainedValue().contexts.retire(bound.item)
  }
  func destroy() {
    discard()
    unsafe state.deinitialize(count: 1)
    unsafe reader.deinitialize(count: 1)
    unsafe writer.deinitialize(count: 1)
    unsafe raw.deallocate()
  }
  private func discard() {
    var freed = 0
    var left = unsafe state.pointee.received.close()
    while let item = left.popFirst() { freed += Packet(item: item).occupiedBytes }
    while let item = unsafe state.pointee.readable.popFirst() { freed += Packet(item: item).occupiedBytes }
    let memory = unsafe state.pointee.layer.takeUnretainedValue().memory
    memory.give(freed, .datagram)
    while takeReport(memory) != nil {}
  }

  /// What waits to be read.
  var backlog: DatagramBacklog { unsafe DatagramBacklog(word: state.pointee.waiting.load()) }

  func isReadable() -> Bool {
    unsafe waitingToBeRead > 0 || state.pointee.isClosed.load() != 0
      || state.pointee.error.error != nil
  }
  func isWritable() -> Bool {
    unsafe state.pointee.sendCredit.load() > 0 || state.pointee.isClosed.load() != 0
  }

  /// Whether it hears only this peer.
  func isConnected(to remote: SocketAddress) -> Bool { unsafe state.pointee.peer == remote }
  /// Soft-interrupt context: a datagram for this socket, or another message with two numbers in a header of as many
  /// bytes. The packet becomes its payload.
  func arrive(
    _ packet: consuming Packet, from sourcePort: UInt16, to destinationPort: UInt16,
    _ cx: inout SoftInterrupt
  ) {
    let sockets = SocketContextRef(cx)
    let state = unsafe state
    let source = packet.metadata.source
    if let peer = unsafe state.pointee.peer, peer.address != source || peer.port != sourcePort {
      sockets.counters.datagramsWithoutSocket.increment()
      return
    }
    let one = DatagramBacklog(occupied: packet.occupiedBytes)
    guard hasRoom(for: one.occupied, cx.pool, sockets) else { return }
    var packet = packet
    packet.metadata.sequence = UInt32(destinationPort) << 16 | UInt32(sourcePort)
    packet.trimFront(UDPHeader.byteCount)
    let item = packet.intoItem()
    #if Explore
      if Mutation.datagramCountedBeforeItIsThere.isOn { unsafe state.pointee.queued.add(1) }
    #endif
    // Counted before it can be taken: the count never falls below nothing.
    unsafe state.pointee.waiting.add(one.word)
    switch unsafe state.pointee.received.post(item, limit: Mailbox.maximumCount) {
    case .posted, .ran:
      #if Explore
        if Mutation.datagramCountedBeforeItIsThere.isOn { return wakeReader(.readable, &cx) }
      #endif
      unsafe state.pointee.queued.add(1)
      wakeReader(.readable, &cx)
    case .closed, .dropped:
      unsafe state.pointee.waiting.subtract(one.word)
      sockets.memory.give(one.occupied, .datagram)
      _ = Packet(item: item)
    }
  }

  /// Takes the memory of a datagram that arrived into the account, or counts why it is dropped.
  private func hasRoom(for bytes: Int, _ pool: PacketPoolRef, _ sockets: SocketContextRef) -> Bool {
    let held = backlog.occupied
    guard unsafe held + bytes <= Int(state.pointee.receiveLimit.load()) else {
      sockets.counters.datagramQueueFull.increment()
      return false
    }
    let isGuaranteed = held + bytes <= SocketMemoryPolicy.guaranteed
    let isPoolLow = pool.isLow && held > SocketMemoryPolicy.packetsWhenLow * Packet.occupied
    guard !isPoolLow, sockets.memory.take(bytes, .datagram, isGuaranteed: isGuaranteed) else {
      sockets.counters.datagramsWithoutMemory.increment()
      return false
    }
    return true
  }

  // MARK: Waking, as in `ConnectionWaking.swift`

  func wakeReader(_ edges: SocketEvents, _ cx: inout SoftInterrupt) {
    if let target = unsafe reader.pointee.waiter.claim(where: { _ in isReadable() }) { cx.wake(target) }
    unsafe observers.pointee.raise(edges) { cx.wake($0) }
  }
  /// Every path that frees room for a datagram ends here (W5). Inside a grace section.
  func freeSpace(_ deliver: (WakeTarget) -> Void) {
    unsafe state.pointee.sendCredit.add(1)
    if let target = unsafe writer.pointee.waiter.claim(where: { _ in isWritable() }) { deliver(target) }
    #if Explore
      if Mutation.roomNotTold.isOn { return }
    #endif
    // The credit, then the fence of the claim, then the look at the flag.
    if unsafe state.pointee.isSpaceWanted.load() != 0, isWritable(),
      unsafe state.pointee.isSpaceWanted.exchange(0) != 0
    {
      unsafe observers.pointee.raise(.writable, deliver)
    }
  }
  /// Somebody met a full queue, and looks again after this.
  func wantSpace() {
    unsafe state.pointee.isSpaceWanted.store(1)
    fullFence()  // keeps SB-FENCE: flag, fence, look, against credit, fence, look at the flag
  }
  /// Datagrams that a receive would find.
  var waitingToBeRead: Int { max(0, Int(Int64(bitPattern: unsafe state.pointee.queued.load()))) }
  /// Datagrams that a send would take now.
  var sendSpace: Int { unsafe Int(clamping: state.pointee.sendCredit.load()) }
  /// What the network reported and nobody has read.
  var pendingError: SocketError? { unsafe state.pointee.error.error }
}
