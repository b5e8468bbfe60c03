import CLinux
import Glibc
import Testing
import Wire

@testable import LinuxDevices

/// A front-end with its guest, by hand: memory in a file, two rings in it that the test builds, and the messages about them.
@safe final class VhostGuest {
  let socket: Int32
  let file: Int32
  let memory: UnsafeMutableRawPointer
  /// By ring.
  let kicks: [Int32], calls: [Int32], errors: [Int32]
  var available: [UInt16]
  private var told: [UInt16]
  let size: Int
  private var isUnmapped = false

  static let bytes = 1 << 20
  /// Where the guest sees its memory, in two pieces that meet: the second one begins here.
  static let start: UInt64 = 0x4000_0000, half = 256 << 10
  /// Where the front-end does.
  static let user: UInt64 = 0x7000_0000_0000
  /// Where the parts of a ring lie, and what is free, by distance from the start.
  static func ring(_ number: Int) -> Int { number << 15 }
  static let usedAt = 24 << 10, availableAt = 20 << 10
  static let free = 128 << 10

  init(_ path: String, size: Int = 8, base: UInt16 = 0) {
    self.size = size
    available = [base, base]
    told = [base, base]
    let made = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    socket = made
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &name.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
    let length = socklen_t(MemoryLayout.size(ofValue: name))
    let connected = unsafe withUnsafeBytes(of: &name) {
      unsafe connect(made, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), length)
    }
    #expect(connected == 0)
    file = sluice_shared_memory_file(UInt64(Self.bytes))
    unsafe memory = mmap(nil, Self.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)!
    func events() -> [Int32] { (0..<2).map { _ in sluice_eventfd() } }
    (kicks, calls, errors) = (events(), events(), events())
    for ring in 0..<2 {
      store(base, at: Self.ring(ring) + Self.availableAt + 2)
      store(base, at: Self.ring(ring) + Self.usedAt + 2)
    }
  }
  deinit {
    for descriptor in kicks + calls + errors { close(descriptor) }
    if !isUnmapped { unsafe munmap(memory, Self.bytes) }
    close(file)
    close(socket)
  }

  /// Whether nobody but us has the memory any more, neither open nor mapped. Ours is gone with that.
  func isReleased() -> Bool {
    unsafe munmap(memory, Self.bytes)
    isUnmapped = true
    var ours = stat()
    #expect(unsafe fstat(file, &ours) == 0)
    let holders = (0..<1024).count { descriptor in
      var what = stat()
      return unsafe fstat(Int32(descriptor), &what) == 0 && what.st_ino == ours.st_ino
        && what.st_dev == ours.st_dev
    }
    return holders == 1 && sluice_shared_memory_seal(file) == 0
  }

  // MARK: Messages

  func send(_ message: VhostUserMessage, _ descriptors: [Int32] = [], needsReply: Bool = false) {
    send(message.encoded(needsReply: needsReply), descriptors)
  }
  /// Bytes with descriptors, as one `sendmsg`.
  func send(_ bytes: [UInt8], _ descriptors: [Int32] = []) {
    var bytes = bytes
    var control = [UInt64](repeating: 0, count: 2 + (descriptors.count + 1) / 2)
    unsafe control.withUnsafeMutableBytes { control in
      unsafe control.storeBytes(of: 16 + descriptors.count * 4, as: Int.self)
      unsafe control.storeBytes(of: SOL_SOCKET, toByteOffset: 8, as: Int32.self)
      unsafe control.storeBytes(of: Int32(SCM_RIGHTS), toByteOffset: 12, as: Int32.self)
      for (index, descriptor) in descriptors.enumerated() {
        unsafe control.storeBytes(of: descriptor, toByteOffset: 16 + index * 4, as: Int32.self)
      }
      unsafe bytes.withUnsafeMutableBytes { bytes in
        var piece = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
        unsafe withUnsafeMutablePointer(to: &piece) { piece in
          var message = unsafe msghdr()
          unsafe message.msg_iov = piece
          unsafe message.msg_iovlen = 1
          if !descriptors.isEmpty {
            unsafe message.msg_control = control.baseAddress
            unsafe message.msg_controllen = 16 + descriptors.count * 4
          }
          #expect(unsafe sendmsg(socket, &message, Int32(MSG_NOSIGNAL)) == bytes.count)
        }
      }
    }
  }
  /// The words of the next answer, without waiting; nil: there is none, empty: the connection has ended.
  func answer() -> [UInt64]? {
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = unsafe recv(socket, &bytes, 20, Int32(MSG_DONTWAIT))
    if count < 0 { return errno == EAGAIN ? nil : [] }
    guard count >= 12 else { return [] }
    #expect(bytes[4] == 5, "version 1, an answer")
    return stride(from: 12, to: count, by: 8).map { at in
      (0..<8).reduce(0) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) }
    }
  }
  /// Whether the connection has ended. What ends it is done by now, but a process that another test is just starting may have
  /// the other end for as long as that takes.
  var isGone: Bool {
    var wanted = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&wanted, 1, 60_000) == 1 && answer() == []
  }
  /// Whether it goes on, and nothing was said.
  var isThere: Bool { answer() == nil }

  static let regions = [
    VhostUserRegion(guestAddress: start, size: UInt64(half), userAddress: user, fileOffset: 0),
    VhostUserRegion(
      guestAddress: start + UInt64(half), size: UInt64(bytes - half), userAddress: user + 0x1000_0000,
      fileOffset: UInt64(half)),
  ]
  static func address(_ ring: Int) -> VhostUserRingAddress {
    let at = user + UInt64(Self.ring(ring))
    return VhostUserRingAddress(
      ring: UInt32(ring), descriptors: at, used: at + UInt64(usedAt), available: at + UInt64(availableAt))
  }

  /// All that a front-end says before frames pass.
  func start(_ features: VhostFeatures = .offloading) {
    send(.setOwner)
    send(.setFeatures(features.rawValue))
    send(.setMemoryTable(Self.regions), [file, file])
    for ring in 0..<2 { describe(ring) }
    for ring in 0..<2 { send(.setRingEnabled(ring: UInt32(ring), value: 1)) }
  }
  func describe(_ ring: Int) {
    send(.setRingSize(ring: UInt32(ring), value: UInt32(size)))
    send(.setRingBase(ring: UInt32(ring), value: UInt32(available[ring])))
    send(.setRingAddress(Self.address(ring)))
    send(.setRingCall(ring: UInt8(ring), hasDescriptor: true), [calls[ring]])
    send(.setRingError(ring: UInt8(ring), hasDescriptor: true), [errors[ring]])
    send(.setRingKick(ring: UInt8(ring), hasDescriptor: true), [kicks[ring]])
  }

  // MARK: Memory

  func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
    unsafe memory.storeBytes(of: value, toByteOffset: offset, as: Value.self)
  }
  func load<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type = Value.self, at offset: Int)
    -> Value
  {
    unsafe memory.load(fromByteOffset: offset, as: Value.self)
  }
  func bytes(_ offset: Int, _ count: Int) -> [UInt8] {
    unsafe [UInt8](UnsafeRawBufferPointer(start: memory + offset, count: count))
  }
  func put(_ bytes: [UInt8], at offset: Int) {
    unsafe (memory + offset).copyMemory(from: bytes, byteCount: bytes.count)
  }

  /// A descriptor of a ring's table, or of one that lies at `table`.
  func describe(
    _ ring: Int, _ index: Int, at offset: Int, _ count: Int, flags: UInt16 = 0, next: Int = 0,
    table: Int? = nil
  ) {
    let place = (table ?? Self.ring(ring)) + 16 * index
    store(Self.start &+ UInt64(bitPattern: Int64(offset)), at: place)
    store(UInt32(count), at: place + 8)
    store(flags, at: place + 12)
    store(UInt16(next), at: place + 14)
  }
  /// Makes a chain available.
  func offer(_ ring: Int, _ head: Int) {
    store(UInt16(head), at: Self.ring(ring) + Self.availableAt + 4 + 2 * (Int(available[ring]) & (size - 1)))
    available[ring] &+= 1
    store(available[ring], at: Self.ring(ring) + Self.availableAt + 2)
  }
  /// What the device has done since the last time.
  func done(_ ring: Int) -> [(head: Int, bytes: Int)] {
    let used: UInt16 = load(at: Self.ring(ring) + Self.usedAt + 2)
    var found: [(head: Int, bytes: Int)] = []
    while told[ring] != used {
      let at = Self.ring(ring) + Self.usedAt + 4 + 8 * (Int(told[ring]) & (size - 1))
      found.append((Int(load(UInt32.self, at: at)), Int(load(UInt32.self, at: at + 4))))
      told[ring] &+= 1
    }
    return found
  }
  /// The index for which we want to be kicked, and for which the device is to call.
  func kickIndex(_ ring: Int) -> UInt16 { load(at: Self.ring(ring) + Self.usedAt + 4 + 8 * size) }
  func wantCall(_ ring: Int, at index: UInt16) {
    store(index, at: Self.ring(ring) + Self.availableAt + 4 + 2 * size)
  }
  func kick(_ ring: Int) {
    var one: UInt64 = 1
    #expect(unsafe write(kicks[ring], &one, 8) == 8)
  }
  /// How often an event came since the last time.
  static func count(_ event: Int32) -> Int {
    var count: UInt64 = 0
    return unsafe read(event, &count, 8) == 8 ? Int(count) : 0
  }
}
