import Buffers
import CLinux
import Devices
import Glibc

/// Frames on their way to one system call. Owner of the queue's gate only.
@safe struct SendBatch: ~Copyable {
  var state = SendState()
  private let descriptor: Int32
  private let counters: DeviceCounters
  /// Frames that the kernel has not taken, in order; the device's.
  private var pending = PacketQueue()
  /// Where their bytes lie; a frame has a fixed number of places, of which `pieceCounts` says how many are used.
  private let pieces: UnsafeMutablePointer<iovec>
  private let pieceCounts: UnsafeMutablePointer<UInt8>
  private var usedPieces = 0
  private static var frameLimit: Int { Int(sluice_send_batch_limit) }
  private static var pieceLimit: Int { Int(sluice_send_piece_limit) }

  init(descriptor: Int32, counters: DeviceCounters) {
    self.descriptor = descriptor
    self.counters = counters
    unsafe pieces = .allocate(capacity: Self.frameLimit * Self.pieceLimit)
    unsafe pieceCounts = .allocate(capacity: Self.frameLimit)
  }

  deinit {
    unsafe pieces.deallocate()
    unsafe pieceCounts.deallocate()
  }

  /// Nil: taken. Otherwise the batch is full, the kernel takes no more, and the queue is stopped.
  mutating func add(_ packet: consuming Packet) -> Packet? {
    while pending.count == Self.frameLimit {
      if let errno = push(), stop(errno) { return packet }
    }
    let used = unsafe packet.describe(in: pieces + usedPieces, capacity: Self.pieceLimit)
    guard let used else {
      counters.transmitDrops.increment()
      state.completed.append(packet)
      return nil
    }
    unsafe pieceCounts[pending.count] = UInt8(used)
    usedPieces += used
    pending.append(packet)
    return nil
  }

  /// The end of a pass. What the kernel does not take stays here, and goes out when the stopped queue is run again.
  mutating func flush() {
    while let errno = push() {
      if stop(errno) { return }
    }
  }

  mutating func complete(into completed: inout PacketQueue) {
    if state.completed.isEmpty { return }
    completed.append(contentsOf: state.completed.takeAll())
  }

  /// Sends all that is pending, or up to a refusal that will pass, whose errno it returns.
  private mutating func push() -> Int? {
    while !pending.isEmpty {
      let sent = unsafe Int(sluice_send_frames(descriptor, pieces, pieceCounts, Int32(pending.count)))
      counters.transmitCalls.increment()
      if sent < 0, isTransient(-sent) { return -sent }
      if sent < 0 {
        counters.transmitDrops.increment()
        finish(1, wereSent: false)
      } else {
        finish(sent, wereSent: true)
      }
    }
    return nil
  }

  /// The first `count` frames are done with.
  private mutating func finish(_ count: Int, wereSent: Bool) {
    var passed = 0
    for index in 0..<count { unsafe passed += Int(pieceCounts[index]) }
    usedPieces -= passed
    unsafe pieces.update(from: pieces + passed, count: usedPieces)
    unsafe pieceCounts.update(from: pieceCounts + count, count: pending.count - count)
    for _ in 0..<count {
      guard let packet = pending.popFirst() else {
        preconditionFailure("TX-OWN: more frames sent than given")
      }
      if wereSent {
        counters.framesSent.increment()
        counters.bytesSent.increment(by: UInt64(packet.totalCount))
      }
      state.completed.append(packet)
    }
  }

  /// True: stopped; the socket's readiness, which is a level, restarts the queue (keeps TX-STOP). False: try again.
  private func stop(_ errno: Int) -> Bool {
    guard let transmit = state.transmit else { return true }
    let descriptor = descriptor
    return transmit.stop(hasRoom: { errno == Int(EAGAIN) && sluice_is_writable(descriptor) != 0 })
  }
}
