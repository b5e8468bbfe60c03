import Buffers
import CLinux
import Devices
import Glibc
import Timing

/// One queue of an ``XDPDevice``: a socket with its four rings.
@safe struct XDPPort: ~Copyable {
  let counters = DeviceCounters()
  private let socket: UnsafeMutablePointer<sluice_xdp>
  /// In memory of its own, as the receiving side runs on another thread.
  private let sending: UnsafeMutablePointer<Sending>

  /// Touched by the owner of the queue's gate only, but for `transmit`, which attach writes before first use.
  private struct Sending: ~Copyable {
    /// (c) whom to tell about room, once attached.
    var transmit: TransmitQueueRef?
    /// (o) packets that are done: a frame on the ring is a copy.
    var completed = PacketQueue()
  }

  init(index: Int32, queue: UInt32, frameBytes: UInt32, mayBeZeroCopy: Bool) throws(LinkError) {
    var opened = unsafe sluice_xdp()
    let result = unsafe sluice_xdp_open(
      &opened, index, queue, frameBytes, XDPDevice.frames, mayBeZeroCopy ? 1 : 0)
    guard result == 0 else { throw .xdpRefused(call: "socket", errno: -result) }
    unsafe socket = .allocate(capacity: 1)
    unsafe socket.initialize(to: opened)
    unsafe sending = .allocate(capacity: 1)
    unsafe sending.initialize(to: Sending())
  }

  deinit {
    unsafe sluice_xdp_close(socket)
    unsafe socket.deallocate()
    unsafe sending.deinitialize(count: 1)
    unsafe sending.deallocate()
  }

  var descriptor: Int32 { unsafe socket.pointee.socket }
  var isZeroCopy: Bool { unsafe socket.pointee.zero_copy != 0 }
  func attach(_ transmit: TransmitQueueRef) { unsafe sending.pointee.transmit = transmit }

  // MARK: Receiving, the queue's context

  func receive(
    limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    var taken = 0
    while taken < limit {
      var bytes: UnsafePointer<UInt8>?
      var count: UInt32 = 0
      guard unsafe sluice_xdp_peek(socket, &bytes, &count) != 0, let bytes = unsafe bytes else {
        break
      }
      taken += 1
      if var packet = pool.allocate() {
        if Int(count) <= packet.tailroom {
          packet.append(Int(count))
          unsafe packet.dataAddress.copyMemory(from: bytes, byteCount: Int(count))
          packet.metadata.arrival = now
          counters.framesReceived.increment()
          counters.bytesReceived.increment(by: UInt64(count))
          batch.append(packet)
        } else {
          counters.receiveDrops.increment()
        }
      } else {
        counters.receiveOutOfBuffers.increment()
        counters.receiveDrops.increment()
      }
      unsafe sluice_xdp_pop(socket)
    }
    if taken > 0 { counters.receiveCalls.increment(by: UInt64(unsafe sluice_xdp_refill(socket))) }
    return taken == limit ? .more : .drained
  }

  // MARK: Sending, the owner of the queue's gate

  /// Nil: done. Otherwise the packet comes back, and the queue is stopped; the readiness of the descriptor, which is a
  /// level, restarts it (keeps TX-STOP), and the kernel sends while it looks whether there is room.
  func send(_ packet: consuming Packet) -> Packet? {
    let count = packet.totalCount
    var result = put(packet)
    while result == -EAGAIN {
      kick()
      guard let transmit = unsafe sending.pointee.transmit else { return packet }
      if transmit.stop(hasRoom: { unsafe sluice_xdp_has_room(socket) != 0 }) { return packet }
      result = put(packet)
    }
    if result == 0 {
      counters.framesSent.increment()
      counters.bytesSent.increment(by: UInt64(count))
    } else {
      counters.transmitDrops.increment()
    }
    unsafe sending.pointee.completed.append(packet)
    return nil
  }

  func flush() {
    kick()
    // The kernel has no room for what is on the ring: whoever waits for room has it tried again.
    guard unsafe sluice_xdp_pending(socket) != 0, let transmit = unsafe sending.pointee.transmit
    else { return }
    _ = transmit.stop(hasRoom: { unsafe sluice_xdp_pending(socket) == 0 })
  }

  func complete(into completed: inout PacketQueue) {
    if unsafe sluice_xdp_pending(socket) != 0 { kick() }
    if unsafe sending.pointee.completed.isEmpty { return }
    unsafe completed.append(contentsOf: sending.pointee.completed.takeAll())
  }

  private func kick() {
    counters.transmitCalls.increment(by: UInt64(unsafe sluice_xdp_kick(socket)))
  }

  private func put(_ packet: borrowing Packet) -> Int32 {
    if packet.pieceCount == 0 {
      var piece = unsafe iovec(iov_base: packet.dataAddress, iov_len: packet.count)
      return unsafe sluice_xdp_send(socket, &piece, 1)
    }
    return unsafe withUnsafeTemporaryAllocation(
      of: iovec.self, capacity: Int(sluice_send_piece_limit)
    ) { pieces in
      var used = 0
      unsafe packet.forEachBuffer { buffer in
        if used < Int(sluice_send_piece_limit) {
          unsafe pieces[used] = unsafe iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
        }
        used += 1
      }
      guard used <= Int(sluice_send_piece_limit) else { return -EMSGSIZE }
      return unsafe sluice_xdp_send(socket, pieces.baseAddress, Int32(used))
    }
  }
}
