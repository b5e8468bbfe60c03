import CLinux
import Glibc
import Wire

/// The two sides of the device, and the memory that both use.
struct VhostSides: ~Copyable {
  /// Changed by the queue's context, which holds the lock meanwhile.
  var memory = GuestMemory()
  /// The queue's context.
  var receiver: VhostReceiver
  /// Who holds the lock.
  var sender: VhostSender
}

/// One front-end's connection: what it has said of rings and memory, and what follows from that for the two sides. By the
/// queue's context, under the device's lock; what it throws ends the connection.
@safe final class VhostSession {
  /// Closed at its end.
  let socket: Int32
  private var messages: VhostMessages
  private let epoll: Int32
  private let sides: UnsafeMutablePointer<VhostSides>
  private let offered: VhostFeatures
  private var features: VhostFeatures = []
  private var acknowledges = false
  private var setups = [Setup(), Setup()]

  /// What was said of a ring.
  private struct Setup {
    var size = 0
    var base: UInt16 = 0
    var address: VhostUserRingAddress?
    var kick: Int32 = -1
    var call: Int32 = -1
    var error: Int32 = -1
    /// Nil: nothing was said.
    var isEnabled: Bool?
    var isRunning = false
  }

  /// Rings by number: the guest receives by the first one and transmits by the second (virtio 1.2 section 5.1.2).
  private static let receives = 0
  private static let transmits = 1
  /// Messages in a row before others have their turn.
  private static let messageLimit = 64
  /// What the poller calls the kick of a ring: so many more than its number.
  static let firstKick: UInt32 = 2

  /// Takes over a connection. The poller and the sides live longer.
  init(
    _ socket: Int32, offering features: VhostFeatures, epoll: Int32, _ sides: UnsafeMutablePointer<VhostSides>
  ) {
    self.socket = socket
    offered = features
    self.epoll = epoll
    unsafe self.sides = sides
    messages = VhostMessages(socket)
  }

  /// Stops the rings, lets go of the memory, closes what came with messages.
  deinit {
    for ring in setups.indices {
      _ = stop(ring)
      setCall(-1, of: ring)
      setError(-1, of: ring)
    }
    unsafe sides.pointee.memory = GuestMemory()
    _ = sluice_epoll_remove(epoll, socket)
    close(socket)
  }

  /// How a turn of it ended.
  enum Turn { case waits, hasMore, ended }

  /// Does what the front-end asks for.
  func serve() throws(VhostError) -> Turn {
    for _ in 0..<Self.messageLimit {
      switch try messages.next() {
      case .nothing: return .waits
      case .end: return .ended
      case .message(let header, let message):
        let wantsWord = acknowledges && header.needsReply
        do throws(VhostError) {
          if message == .unknown {
            guard wantsWord else { throw .unknownMessage }
            try messages.answer(header.request, 1)
          } else if try !heed(message, header.request), wantsWord {
            try messages.answer(header.request, 0)
          }
        } catch {
          if wantsWord, error != .unread { try messages.answer(header.request, 1) }
          throw error
        }
        messages.closeDescriptors()
      }
    }
    return .hasMore
  }

  /// True: it was answered.
  private func heed(_ message: VhostUserMessage, _ request: UInt32) throws(VhostError) -> Bool {
    switch message {
    case .setMemoryTable, .setRingKick, .setRingCall, .setRingError: break
    case .getFeatures, .setFeatures, .getProtocolFeatures, .setProtocolFeatures, .setOwner, .resetOwner,
      .setRingSize, .setRingAddress, .setRingBase, .getRingBase, .setRingEnabled, .getQueueCount, .unknown:
      guard messages.descriptorCount == 0 else { throw .descriptors }
    }
    switch message {
    case .getFeatures: try messages.answer(request, offered.rawValue)
    case .getProtocolFeatures: try messages.answer(request, VhostFeatures.replyAcknowledged)
    case .getQueueCount: try messages.answer(request, 1)
    case .getRingBase(let number):
      let ring = try ring(number)
      try messages.answer(request, UInt64(stop(ring)) << 32 | UInt64(ring))
    case .setFeatures(let bits): return try set(features: VhostFeatures(rawValue: bits))
    case .setProtocolFeatures(let bits):
      guard bits & ~VhostFeatures.replyAcknowledged == 0 else { throw .features }
      acknowledges = bits != 0
      return false
    case .setOwner, .unknown: return false
    case .resetOwner:
      for ring in setups.indices { _ = stop(ring) }
      return false
    case .setMemoryTable(let regions): return try set(memory: regions)
    case .setRingSize(let number, let value):
      let ring = try idleRing(number)
      guard let size = Int(exactly: value), VirtioRing.isSize(size) else { throw .ringSize }
      setups[ring].size = size
      return false
    case .setRingAddress(let address):
      setups[try idleRing(address.ring)].address = address
      return false
    case .setRingBase(let number, let value):
      let ring = try idleRing(number)
      guard let base = UInt16(exactly: value) else { throw .ringSize }
      setups[ring].base = base
      return false
    case .setRingKick(let number, let isThere): return try start(number, isThere)
    case .setRingCall(let number, let isThere):
      let ring = try ring(UInt32(number))
      setCall(try takeEvent(isThere), of: ring)
      return false
    case .setRingError(let number, let isThere):
      let ring = try ring(UInt32(number))
      setError(try takeEvent(isThere), of: ring)
      return false
    case .setRingEnabled(let number, let value):
      let ring = try ring(number)
      setups[ring].isEnabled = value != 0
      publish(ring)
      return false
    }
    return true
  }

  private func ring(_ number: UInt32) throws(VhostError) -> Int {
    guard number < setups.count else { throw .noSuchRing }
    return Int(number)
  }
  private func idleRing(_ number: UInt32) throws(VhostError) -> Int {
    let ring = try ring(number)
    guard !setups[ring].isRunning else { throw .ringRunning }
    return ring
  }

  // MARK: Features and memory

  private func set(features bits: VhostFeatures) throws(VhostError) -> Bool {
    guard bits.isSubset(of: offered) else { throw .features }
    guard bits == features || !setups.contains(where: { $0.isRunning }) else { throw .features }
    features = bits
    unsafe sides.pointee.sender.features = bits
    unsafe sides.pointee.receiver.headerBytes = bits.frameHeaderBytes
    for ring in setups.indices { publish(ring) }
    return false
  }

  /// Rings that run go on in the new memory.
  private func set(memory regions: [VhostUserRegion]) throws(VhostError) -> Bool {
    let count = messages.descriptorCount
    let memory = try GuestMemory(regions, messages.descriptors[..<count])
    if setups[Self.receives].isRunning, let address = setups[Self.receives].address {
      unsafe sides.pointee.sender.ring = try sides.pointee.sender.ring?.moved(address, to: memory)
    }
    if setups[Self.transmits].isRunning, let address = setups[Self.transmits].address {
      unsafe sides.pointee.receiver.ring = try sides.pointee.receiver.ring?.moved(address, to: memory)
    }
    unsafe sides.pointee.memory = memory
    return false
  }

  // MARK: Rings

  private func start(_ number: UInt8, _ isThere: Bool) throws(VhostError) -> Bool {
    let ring = try ring(UInt32(number))
    // Without one we would have to look for ever.
    let kick = try takeEvent(isThere)
    guard kick >= 0 else { throw .ringIncomplete }
    guard sluice_epoll_add(epoll, kick, Self.firstKick + UInt32(ring), 1) == 0 else {
      close(kick)
      throw .notAnEvent
    }
    setKick(kick, of: ring)
    if setups[ring].isRunning { return false }
    guard let address = setups[ring].address, setups[ring].size > 0 else { throw .ringIncomplete }
    let made = try unsafe VirtioRing(
      address, size: setups[ring].size, base: setups[ring].base,
      hasEventIndex: features.contains(.eventIndex), hasIndirect: features.contains(.indirect),
      in: sides.pointee.memory)
    setups[ring].isRunning = true
    if ring == Self.receives {
      unsafe sides.pointee.sender.ring = made
    } else {
      unsafe sides.pointee.receiver.ring = made
    }
    publish(ring)
    return false
  }

  /// Stops a ring, and says where it stood.
  private func stop(_ ring: Int) -> UInt16 {
    setKick(-1, of: ring)
    guard setups[ring].isRunning else { return setups[ring].base }
    setups[ring].isRunning = false
    if ring == Self.receives {
      // What was filled is seen: nobody else says so any more.
      _ = unsafe sides.pointee.sender.ring?.publish()
      setups[ring].base = unsafe sides.pointee.sender.ring?.next ?? 0
      unsafe sides.pointee.sender.ring = nil
    } else {
      setups[ring].base = unsafe sides.pointee.receiver.ring?.next ?? 0
      unsafe sides.pointee.receiver.ring = nil
    }
    return setups[ring].base
  }

  /// Without features of the protocol's own rings are enabled from the beginning ("Ring states").
  private func publish(_ ring: Int) {
    let isEnabled = setups[ring].isEnabled ?? !features.contains(.protocolFeatures)
    if ring == Self.receives {
      unsafe sides.pointee.sender.isEnabled = isEnabled
    } else {
      unsafe sides.pointee.receiver.isEnabled = isEnabled
    }
  }

  // MARK: Descriptors. One is the session's from here on.

  private func takeEvent(_ isThere: Bool) throws(VhostError) -> Int32 {
    let event = try messages.takeDescriptor(isThere)
    guard event < 0 || sluice_is_event(event) != 0 else {
      close(event)
      throw .notAnEvent
    }
    return event
  }

  private func setKick(_ descriptor: Int32, of ring: Int) {
    let before = setups[ring].kick
    setups[ring].kick = descriptor
    guard before >= 0 else { return }
    // The front-end has it open too: closing it would not end that it is watched.
    _ = sluice_epoll_remove(epoll, before)
    close(before)
  }
  private func setCall(_ descriptor: Int32, of ring: Int) {
    let before = setups[ring].call
    setups[ring].call = descriptor
    if ring == Self.receives {
      unsafe sides.pointee.sender.call = descriptor
    } else {
      unsafe sides.pointee.receiver.call = descriptor
    }
    if before >= 0 { close(before) }
  }
  private func setError(_ descriptor: Int32, of ring: Int) {
    let before = setups[ring].error
    setups[ring].error = descriptor
    if ring == Self.receives {
      unsafe sides.pointee.sender.error = descriptor
    } else {
      unsafe sides.pointee.receiver.error = descriptor
    }
    if before >= 0 { close(before) }
  }
}
