import Buffers
import CLinux
import Devices
import Glibc
import Wire

/// The sending side of a queue, for any descriptor that takes one frame per write: TAP, TUN, a bound packet socket.
///
/// The kernel takes a copy, so a frame is done when the write returns, and the driver keeps nothing: what does not go
/// out is the stack's again (TX-OWN), and no packet is left in a device whose stack has ended.
@safe struct FrameSender: ~Copyable {
  private let descriptor: Int32
  private let counters: DeviceCounters
  /// In memory of its own, as the receiving side runs on another thread.
  private let state: UnsafeMutablePointer<State>
  /// (o) What of a frame is where while it is written; the first one is its header, if there are headers.
  private let pieces: UnsafeMutablePointer<iovec>
  /// (o) That header.
  private let header: UnsafeMutableRawPointer
  /// Each frame has a ``VirtioNetHeader`` in front.
  private let hasHeaders: Bool
  private static var pieceLimit: Int { Int(sluice_send_piece_limit) }

  /// Touched by the owner of the queue's gate only, but for `transmit`, which attach writes before first use.
  private struct State: ~Copyable {
    /// (c) whom to tell about room, once attached.
    var transmit: TransmitQueueRef?
    /// (o) packets that are done.
    var completed = PacketQueue()
    /// (o) refusals in a row for want of kernel memory or queue.
    var refusals = 0
  }

  /// A kernel that has no room says so by ENOBUFS, and a veth pair whose other end is down does, too. The former
  /// passes, so the frame goes back and is tried again; after this many times it is taken for the latter, whose
  /// frames are lost, as they are on a cable that is unplugged.
  static var patience: Int { 64 }

  init(descriptor: Int32, counters: DeviceCounters, hasHeaders: Bool = false) {
    self.descriptor = descriptor
    self.hasHeaders = hasHeaders
    self.counters = counters
    unsafe state = .allocate(capacity: 1)
    unsafe state.initialize(to: State())
    unsafe pieces = .allocate(capacity: Self.pieceLimit)
    unsafe pieces.initialize(repeating: iovec(), count: Self.pieceLimit)
    unsafe header = .allocate(byteCount: VirtioNetHeader.byteCount, alignment: 8)
  }

  deinit {
    unsafe state.deinitialize(count: 1)
    unsafe state.deallocate()
    unsafe pieces.deallocate()
    unsafe header.deallocate()
  }

  func attach(_ transmit: TransmitQueueRef) { unsafe state.pointee.transmit = transmit }

  /// Nil: done. Otherwise the packet comes back, and the queue is stopped; the readiness of the descriptor, which is
  /// a level, restarts it (keeps TX-STOP).
  func send(_ packet: consuming Packet) -> Packet? {
    let count = packet.totalCount
    var result = write(packet)
    while result < 0, mayPass(-result) {
      guard let transmit = unsafe state.pointee.transmit else { return packet }
      let isFull = result == -Int(EAGAIN)
      if transmit.stop(hasRoom: { isFull && sluice_is_writable(descriptor) != 0 }) { return packet }
      result = write(packet)
    }
    if result < 0 {
      counters.transmitDrops.increment()
    } else {
      unsafe state.pointee.refusals = 0
      counters.framesSent.increment()
      counters.bytesSent.increment(by: UInt64(count))
    }
    unsafe state.pointee.completed.append(packet)
    return nil
  }

  func complete(into completed: inout PacketQueue) {
    if unsafe state.pointee.completed.isEmpty { return }
    unsafe completed.append(contentsOf: state.pointee.completed.takeAll())
  }

  private func mayPass(_ errno: Int) -> Bool {
    if errno == Int(EAGAIN) { return true }
    guard errno == Int(ENOBUFS) || errno == Int(ENOMEM) else { return false }
    unsafe state.pointee.refusals += 1
    return unsafe state.pointee.refusals <= Self.patience
  }

  /// One system call. Bytes, or a negative errno.
  private func write(_ packet: borrowing Packet) -> Int {
    counters.transmitCalls.increment()
    if packet.pieceCount == 0, !hasHeaders {
      var piece = unsafe iovec(iov_base: packet.dataAddress, iov_len: packet.count)
      return unsafe sluice_write_frame(descriptor, &piece, 1)
    }
    var used = 0
    if hasHeaders {
      var span = unsafe MutableRawSpan(_unsafeStart: header, byteCount: VirtioNetHeader.byteCount)
      VirtioNetHeader(packet.metadata.offload).emit(into: &span)
      unsafe pieces[0] = iovec(iov_base: header, iov_len: VirtioNetHeader.byteCount)
      used = 1
    }
    unsafe packet.forEachBuffer { buffer in
      if used < Self.pieceLimit {
        unsafe pieces[used] = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
      }
      used += 1
    }
    guard used <= Self.pieceLimit else { return -Int(EMSGSIZE) }
    return unsafe sluice_write_frame(descriptor, pieces, Int32(used))
  }
}
