import CLinux
import Exclusion
import Glibc
import Wire

/// Tells the thread of a switch that it ends.
final class SwitchEnding: Sendable {
  private let kick: KickDescriptor
  private let isBegun = AtomicWord(0)

  init() throws(SystemFailure) { kick = try KickDescriptor() }

  /// Readable once it has begun.
  var descriptor: Int32 { kick.descriptor }
  var hasBegun: Bool { isBegun.load() != 0 }
  /// Any thread. False: it had begun before.
  func begin() -> Bool {
    guard isBegun.exchange(1) == 0 else { return false }
    kick.kick()
    return true
  }
}

/// The thread of a ``VirtualSwitch``. Nobody else touches what it has.
@safe final class SwitchLoop {
  private let sockets: SwitchSockets
  private let epoll: Int32
  private let filter: FrameFilter
  private let counters: SwitchCounters

  /// By slot; the stack's is the first.
  private var ports: [SwitchPort?]
  private var stations = StationTable(limit: SwitchLoop.stationLimit)
  private var addresses = AddressTable(limit: SwitchLoop.addressLimit)
  /// Guests without a socket of their own.
  private var peers: [SwitchPeer: Int] = [:]
  private var turn: UInt64 = 0
  private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)

  /// Guests that there may be.
  static let portLimit = 64
  /// Stations of one guest's.
  private static let stationLimit = 32
  /// Addresses of one guest's.
  private static let addressLimit = 64
  private static let stack = 0
  /// Tokens: the kick's, the listeners' behind it, and the ports'.
  private static let firstListener: UInt32 = 1
  private static let firstPort: UInt32 = 1 << 16
  /// Frames of one socket that are taken in a row.
  private static let batch = 64

  /// The descriptors stay those of `sockets`, which it keeps.
  init(_ sockets: SwitchSockets, _ filter: FrameFilter, _ counters: SwitchCounters) {
    self.sockets = sockets
    epoll = sockets.epoll
    self.filter = filter
    self.counters = counters
    ports = Array(repeating: nil, count: Self.portLimit + 1)
    ports[Self.stack] = SwitchPort(sockets.stack, .stack, frameLimit: sockets.frameLimit)
    _ = stations.learn(sockets.gateway, at: Self.stack)
    addresses.reserve(filter.reserved, at: Self.stack)
  }

  deinit { unsafe scratch.deallocate() }

  /// Watches what there is at the beginning. 0 or a negative errno.
  static func watch(
    _ epoll: Int32, _ ending: SwitchEnding, _ stack: Int32, _ listeners: [Int32]
  ) -> Int32 {
    var result = sluice_epoll_add(epoll, ending.descriptor, 0, 0)
    for (index, listener) in listeners.enumerated() where result == 0 {
      result = sluice_epoll_add(epoll, listener, firstListener + UInt32(index), 0)
    }
    return result == 0 ? sluice_epoll_add_edges(epoll, stack, firstPort) : result
  }

  func run() {
    while !sockets.ending.hasBegun {
      turn += 1
      let hasMore = readAll()
      for slot in ports.indices { flush(slot) }
      counters.stations.set(UInt64(stations.count))
      wait(hasMore && !isStackFull ? 0 : UInt64.max)
    }
    // What the stack said last is heard still: resets, and that its router goes.
    if let port = ports[Self.stack] {
      port.isReadable = true
      while port.isReadable { readStack(port) }
    }
    for slot in ports.indices { flush(slot) }
  }

  /// What is for the stack is not lost: while much of it waits, nobody is read, and the guests' own queues fill.
  private var isStackFull: Bool { (ports[Self.stack]?.queuedCount ?? 0) > SwitchPort.queueLimit / 2 }

  private func wait(_ limit: UInt64) {
    unsafe withUnsafeTemporaryAllocation(of: sluice_ready.self, capacity: 64) { found in
      let count = unsafe sluice_epoll_wait(epoll, found.baseAddress, 64, limit)
      for index in 0..<max(0, Int(count)) { hear(unsafe found[index]) }
    }
  }

  private func hear(_ ready: sluice_ready) {
    if ready.token == 0 { return }  // the end has begun
    if ready.token < Self.firstPort { return plug(Int(ready.token - Self.firstListener)) }
    guard let port = ports[Int(ready.token - Self.firstPort)] else { return }
    if ready.readable != 0 { port.isReadable = true }
    if ready.writable != 0 { port.isWritable = true }
  }

  // MARK: Guests

  private func plug(_ index: Int) {
    let listener = sockets.listeners[index].descriptor
    switch sockets.endpoints[index] {
    case .stream, .tcp:
      for _ in 0..<Self.batch {
        let made = sluice_tcp_accept(listener)
        guard made >= 0 else { return }
        guard let slot = freeSlot(),
          sluice_epoll_add_edges(epoll, made, Self.firstPort + UInt32(slot)) == 0
        else {
          counters.refused.increment()
          close(made)
          continue
        }
        occupy(slot, SwitchPort(made, .stream, frameLimit: sockets.frameLimit))
      }
    case .datagrams: readDatagrams(listener, isUnix: true)
    case .udp: readDatagrams(listener, isUnix: false)
    }
  }

  private func freeSlot() -> Int? { ports.indices.dropFirst().first { ports[$0] == nil } }
  private func occupy(_ slot: Int, _ port: SwitchPort) {
    ports[slot] = port
    port.lastHeard = turn
    counters.plugged.increment()
    counters.ports.set(UInt64(ports.count { $0 != nil } - 1))
  }
  private func unplug(_ slot: Int) {
    guard let port = ports[slot] else { return }
    if case .datagrams(let peer) = port.kind { peers[peer] = nil }
    if port.decoder.isBroken { counters.broken.increment() }
    ports[slot] = nil
    stations.forget(port: slot)
    addresses.forget(port: slot)
    counters.stations.set(UInt64(stations.count))
    counters.ports.set(UInt64(ports.count { $0 != nil } - 1))
    counters.unplugged.increment()
  }

  /// The port of who sends datagrams. Who is silent for longest gives way, among those that do so: nothing tells when one
  /// of them goes.
  private func slot(of peer: SwitchPeer, _ listener: Int32) -> Int? {
    if let known = peers[peer] { return known }
    var free = freeSlot()
    if free == nil, let oldest = peers.values.min(by: { ports[$0]!.lastHeard < ports[$1]!.lastHeard }) {
      unplug(oldest)
      free = oldest
    }
    guard let slot = free else {
      counters.refused.increment()
      return nil
    }
    occupy(slot, SwitchPort(listener, .datagrams(peer), frameLimit: sockets.frameLimit))
    peers[peer] = slot
    return slot
  }

  // MARK: Frames

  /// A piece of each that has something. True: there is more.
  private func readAll() -> Bool {
    var hasMore = false
    for slot in ports.indices {
      guard let port = ports[slot], port.isReadable else { continue }
      if slot == Self.stack {
        readStack(port)
      } else if !isStackFull {
        readStream(slot, port)
      }
      if ports[slot]?.isReadable == true { hasMore = true }
    }
    return hasMore
  }

  private func readStack(_ port: SwitchPort) {
    for _ in 0..<Self.batch {
      let count = unsafe sluice_tcp_receive(port.descriptor, scratch.baseAddress, scratch.count)
      // Its end is that of the switch, too.
      guard count > 0 else {
        port.isReadable = false
        return
      }
      unsafe deliver(RawSpan(_unsafeStart: scratch.baseAddress!, byteCount: count), from: Self.stack)
    }
  }

  private func readStream(_ slot: Int, _ port: SwitchPort) {
    guard case .stream = port.kind else {
      port.isReadable = false
      return
    }
    let count = unsafe sluice_tcp_receive(port.descriptor, scratch.baseAddress, scratch.count)
    if count == -Int(EAGAIN) {
      port.isReadable = false
      return
    }
    guard count > 0 else { return unplug(slot) }
    let bytes = unsafe RawSpan(_unsafeStart: scratch.baseAddress!, byteCount: count)
    port.decoder.take(bytes) { deliver($0, from: slot) }
    if port.decoder.isBroken { unplug(slot) }
  }

  private func readDatagrams(_ listener: Int32, isUnix: Bool) {
    for _ in 0..<Self.batch {
      let (count, peer) = unsafe SwitchPeer.receive(listener, isUnix: isUnix, scratch)
      if count == -Int(EAGAIN) { return }
      guard count > 0 else { continue }
      // Without a name there is nobody to answer.
      guard let peer, count <= sockets.frameLimit else {
        counters.malformed.increment()
        continue
      }
      guard let slot = slot(of: peer, listener) else { continue }
      ports[slot]?.lastHeard = turn
      unsafe deliver(RawSpan(_unsafeStart: scratch.baseAddress!, byteCount: count), from: slot)
    }
  }

  /// Where a frame goes that came in at a port.
  private func deliver(_ frame: RawSpan, from slot: Int) {
    guard frame.byteCount >= EthernetHeader.untaggedByteCount else { return counters.malformed.increment() }
    let (destination, source) = (MACAddress(frame, at: 0), MACAddress(frame, at: 6))
    if slot != Self.stack {
      counters.framesFromGuests.increment()
      switch stations.learn(source, at: slot) {
      case .known: break
      case .displaced: counters.displaced.increment()
      case .forged: return counters.forged.increment()
      }
      if addresses.isForged(frame, at: slot) { return counters.forged.increment() }
    } else {
      addresses.hear(frame) { stations.port(of: $0) }
    }
    if destination.isUnicast, let port = stations.port(of: destination) {
      if port != slot { send(frame, to: port, from: slot) }
      return
    }
    counters.flooded.increment()
    for port in ports.indices where port != slot && ports[port] != nil { send(frame, to: port, from: slot) }
  }

  private func send(_ frame: RawSpan, to slot: Int, from other: Int) {
    guard let port = ports[slot] else { return }
    if slot != Self.stack {
      if other != Self.stack, filter.refuses(frame) { return counters.rogue.increment() }
      counters.framesToGuests.increment()
    }
    if !port.enqueue(frame) { counters.full.increment() }
  }

  private func flush(_ slot: Int) {
    guard let port = ports[slot] else { return }
    let isThere = port.flush()
    counters.full.increment(by: port.takeLost())
    if !isThere, slot != Self.stack { unplug(slot) }
  }
}
