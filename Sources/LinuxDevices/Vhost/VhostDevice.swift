public import Buffers
import CLinux
public import Devices
import Exclusion
import Glibc
public import Timing
public import Wire

/// A virtual machine's network device whose rings and buffers lie in the machine's own memory: the back-end of the vhost-user
/// protocol, for a front-end that connects to our socket, as QEMU's `-netdev vhost-user` does.
///
/// A frame is copied once, between the guest's memory and a packet, with no system call: a guest kicks us when we have said
/// that we sleep, and is called when it has said so. The one front-end may go, and another one come, at any time. While
/// there is none, or its guest does not run the device, what is for it is dropped.
///
/// The one descriptor is a poller's, behind which are listener, connection and the kicks of both rings, which come and go.
/// The queue's context heeds the front-end as part of receiving; what that changes of the sending side it changes under the
/// driver's lock, which senders try and nobody waits for. Sendable: the receiving side is the context's, the sending side is
/// who holds the lock.
@safe public final class VhostDevice: Device, @unchecked Sendable {
  /// What users call it.
  public let name = "vhost-user"
  /// The largest packet, in bytes.
  public let mtu: Int
  /// Ethernet, with our own station address.
  public let linkLayer: LinkLayer
  /// One pair of rings.
  public let queueCount = 1
  /// What the guest does not take is done in the driver.
  public let offloads: DeviceOffloads
  /// The driver's lock.
  public let transmitSerialization = TransmitSerialization.driver
  /// Where front-ends connect.
  public let endpoint: SwitchEndpoint

  private let lock = DriverLock(queues: 1)
  private let passed = DeviceCounters()
  private let seen = VhostCounters()
  private let listener: Int32
  private let folder: Int32
  private let epoll: Int32
  /// By which who sends tells that the front-end's memory is lost.
  private let alarm: KickDescriptor
  private let sides: UnsafeMutablePointer<VhostSides>
  /// (x) the queue's context; in memory of its own, as who sends runs on another thread.
  private let watch: UnsafeMutablePointer<Watch>

  /// (o) owner of the queue's gate: what was copied has not been shown to the guest.
  private let owing: UnsafeMutablePointer<Bool>

  private struct Watch: ~Copyable {
    var session: VhostSession?
    /// (c) once attached.
    var transmit: TransmitQueueRef?
    /// Nothing was left the last time: it was woken since.
    var isWoken = true
    /// There may be somebody to be accepted, something to be read.
    var hasCaller = false
    var hasMessages = false
    var passes: UInt8 = 0
  }

  private static let listenerToken: UInt32 = 0
  private static let sessionToken: UInt32 = 1
  private static let alarmToken: UInt32 = 4

  /// Listens at a path, whose socket is its own user's alone; another one there that nobody listens at is replaced.
  /// Application context.
  ///
  /// - Parameters:
  ///   - address: our own station address.
  ///   - mtu: 576...``TapDevice/largestMTU``, in bytes.
  ///   - offload: checksums and segments of TCP are left to the guest, and it may leave them to us.
  /// - Throws: `.switchRefused`.
  public init(path: String, address: MACAddress, mtu: Int, offload: Bool = true) throws(LinkError) {
    let endpoint = SwitchEndpoint.stream(path: path)
    do throws(SystemFailure) {
      alarm = try KickDescriptor()
    } catch {
      throw .switchRefused(endpoint, errno: error.code)
    }
    listener = endpoint.open()
    guard listener >= 0 else { throw .switchRefused(endpoint, errno: -listener) }
    self.endpoint = endpoint
    self.mtu = mtu
    offloads = offload ? [.gathering, .checksum, .tcp4, .tcp6] : .gathering
    linkLayer = .ethernet(address)
    folder = unsafe sluice_folder_open(path)
    epoll = sluice_epoll_create()
    unsafe sides = .allocate(capacity: 1)
    unsafe watch = .allocate(capacity: 1)
    unsafe owing = .allocate(capacity: 1)
    unsafe owing.initialize(to: false)
    let link = LinkLayer.ethernet(address)
    unsafe sides.initialize(
      to: VhostSides(receiver: VhostReceiver(link: link, mtu: mtu), sender: VhostSender(link: link)))
    unsafe watch.initialize(to: Watch())
    // All is there: who throws from here on has it closed.
    guard epoll >= 0 else { throw .switchRefused(endpoint, errno: -epoll) }
    for (descriptor, token) in [(listener, Self.listenerToken), (alarm.descriptor, Self.alarmToken)] {
      let result = sluice_epoll_add(epoll, descriptor, token, 1)
      guard result == 0 else { throw .switchRefused(endpoint, errno: -result) }
    }
  }

  deinit {
    unsafe watch.deinitialize(count: 1)
    unsafe watch.deallocate()
    unsafe owing.deallocate()
    unsafe sides.deinitialize(count: 1)
    unsafe sides.deallocate()
    Glibc.close(listener)
    if folder >= 0 {
      if let path = endpoint.path { unsafe sluice_folder_unlink(folder, path) }
      Glibc.close(folder)
    }
    if epoll >= 0 { Glibc.close(epoll) }
  }

  /// What it did, and how it stands. Any thread.
  public var statistics: VhostStatistics { VhostStatistics(seen) }
  /// What passed.
  public func counters(queue: Int) -> DeviceCounters { passed }
  /// Readable when anything is to be seen to.
  public func descriptor(queue: Int) -> Int32? { epoll }
  /// Whom to restart.
  public func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {
    lock.attach(queue: queue, transmit)
    unsafe watch.pointee.transmit = transmit
    unsafe sides.pointee.sender.transmit = transmit
  }

  // MARK: The queue's context

  /// Heeds the front-end, and takes frames.
  public func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    unsafe watch.pointee.passes &+= 1
    // A busy ring does not keep the front-end waiting for long.
    if unsafe watch.pointee.isWoken || watch.pointee.passes & 15 == 0 { look() }
    var hasMore = unsafe (watch.pointee.hasCaller || watch.pointee.hasMessages) && heed()
    if unsafe sides.pointee.receiver.receive(
      limit: limit, in: sides.pointee.memory, pool: pool, now: now, into: &batch, passed, seen)
    {
      hasMore = true
    }
    if unsafe sides.pointee.memory.isLost, !end(.memoryLost) { hasMore = true }
    if let transmit = unsafe watch.pointee.transmit, transmit.isStopped, !restart(transmit) { hasMore = true }
    unsafe watch.pointee.isWoken = !hasMore
    return hasMore ? .more : .drained
  }

  /// Sees who woke us. All are told once; what is told is not forgotten.
  private func look() {
    seen.wakes.increment()
    passed.receiveCalls.increment()
    unsafe withUnsafeTemporaryAllocation(of: sluice_ready.self, capacity: 8) { found in
      let count = unsafe sluice_epoll_wait(epoll, found.baseAddress, 8, 0)
      for index in 0..<max(0, Int(count)) {
        switch unsafe found[index].token {
        case Self.listenerToken: unsafe watch.pointee.hasCaller = true
        case Self.sessionToken: unsafe watch.pointee.hasMessages = true
        default: break  // a kick: the rings are looked at in any case
        }
      }
    }
  }

  /// True: there is more to be done, now or when the lock is free.
  private func heed() -> Bool {
    guard lock.tryLock() else { return true }
    var hasMore = false
    if unsafe watch.pointee.hasMessages, let session = unsafe watch.pointee.session {
      do throws(VhostError) {
        switch try session.serve() {
        case .waits: unsafe watch.pointee.hasMessages = false
        case .hasMore: hasMore = true
        case .ended: close(nil)
        }
      } catch {
        close(error)
      }
    }
    // One at a time: who is gone again by the time that it is served makes room for the next one.
    if unsafe watch.pointee.hasCaller, accept() { hasMore = true }
    lock.unlock()
    // What waits goes on, or is dropped where there is no ring any more.
    unsafe watch.pointee.transmit?.roomAppeared()
    return hasMore
  }

  /// Under the lock. False: nobody is there.
  private func accept() -> Bool {
    let made = sluice_tcp_accept(listener)
    guard made >= 0 else {
      unsafe watch.pointee.hasCaller = false
      return false
    }
    guard unsafe watch.pointee.session == nil, sluice_epoll_add(epoll, made, Self.sessionToken, 1) == 0 else {
      seen.refused.increment()
      Glibc.close(made)
      return true
    }
    seen.frontEnds.increment()
    seen.connected.set(1)
    unsafe watch.pointee.session = VhostSession(
      made, offering: offloads.contains(.checksum) ? .offloading : .plain, epoll: epoll, sides)
    // It may have spoken already.
    unsafe watch.pointee.hasMessages = true
    return true
  }

  /// False: the lock is taken, come again.
  private func end(_ error: VhostError) -> Bool {
    guard lock.tryLock() else { return false }
    close(error)
    lock.unlock()
    unsafe watch.pointee.transmit?.roomAppeared()
    return true
  }

  /// Lets go of the front-end; under the lock. Nil: it went by itself.
  private func close(_ error: VhostError?) {
    unsafe watch.pointee.session = nil
    unsafe watch.pointee.hasMessages = false
    seen.connected.set(0)
    seen.left.increment()
    guard let error else { return }
    seen.broken.increment()
    seen.lastError.set(error.rawValue)
  }

  /// A stopped queue restarts when the guest has made room. False: the lock is taken, come again.
  private func restart(_ transmit: TransmitQueueRef) -> Bool {
    guard lock.tryLock() else { return false }
    let hasRoom = unsafe sides.pointee.sender.ring?.hasNews ?? true
    lock.unlock()
    if hasRoom { transmit.roomAppeared() }
    return true
  }

  // MARK: The owner of the queue's gate

  /// Copies a frame into the guest's memory, or gives it back from a stopped queue, or because the lock is taken.
  public func send(_ packet: consuming Packet, queue: Int) -> Packet? {
    guard lock.tryLock(sending: queue) else { return packet }
    let item = packet.intoItem()
    let back = unsafe sides.pointee.sender.send(Packet(item: item), in: sides.pointee.memory, passed, seen)
    lock.unlock()
    return back
  }
  /// Shows the guest what was copied, and calls it if it wants that.
  public func flush(queue: Int) {
    // Who has the lock runs the queue when it lets go, and that completes what there is.
    unsafe owing.pointee = !lock.tryLock(sending: queue)
    if unsafe owing.pointee { return }
    unsafe sides.pointee.sender.flush(passed, seen)
    let isLost = unsafe sides.pointee.memory.isLost
    lock.unlock()
    if isLost { alarm.kick() }
  }
  /// Yields what was copied; the owner of its gate.
  public func complete(queue: Int, into completed: inout PacketQueue) {
    if unsafe owing.pointee { flush(queue: queue) }
    unsafe sides.pointee.sender.complete(into: &completed)
  }
}
