import Buffers
import CLinux
import Devices
import Glibc

/// What a queue keeps for its sending side, in memory of its own: the receiving side runs on another thread.
/// Touched by the owner of the queue's gate only, but for `transmit`, which attach writes before first use.
struct SendState: ~Copyable {
  /// (c) whom to tell about room, once attached.
  var transmit: TransmitQueueRef?
  /// (o) packets that the kernel has copied.
  var completed = PacketQueue()
}

/// Answers of a send that mean "later" rather than "never": the kernel is out of queue or memory.
func isTransient(_ errno: Int) -> Bool {
  errno == Int(EAGAIN) || errno == Int(ENOBUFS) || errno == Int(ENOMEM)
}

extension Packet {
  /// Stores where the packet's bytes lie, the slot's own first, and returns in how many pieces; nil: more than
  /// `capacity`.
  borrowing func describe(in pieces: UnsafeMutablePointer<iovec>, capacity: Int) -> Int? {
    if pieceCount == 0 {
      unsafe pieces[0] = iovec(iov_base: dataAddress, iov_len: count)
      return 1
    }
    var stored = 0
    var isTooMany = false
    unsafe forEachBuffer { buffer in
      if stored < capacity {
        unsafe pieces[stored] = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
        stored += 1
      } else {
        isTooMany = true
      }
    }
    return isTooMany ? nil : stored
  }
}
