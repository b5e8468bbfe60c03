import CLinux
import Glibc
import Wire

/// One port of a switch: a guest's, or the stack's own. The switch's thread only.
///
/// What goes out waits here, up to ``queueLimit`` bytes, with lengths in front; a stream gets it as it stands, many frames
/// in one call.
final class SwitchPort {
  /// How frames pass.
  enum Kind {
    /// A socket pair with the stack, a frame for each call.
    case stack
    /// A stream, with lengths.
    case stream
    /// A socket that others use as well, by this name; what it has no room for is lost.
    case datagrams(SwitchPeer)
  }
  let descriptor: Int32
  let kind: Kind
  var decoder: LengthFramingDecoder
  /// There may be something to read.
  var isReadable = true
  /// There may be room to write.
  var isWritable = true
  private var queue: [UInt8] = []
  private var start = 0
  /// Frames that the other side had no room for.
  private(set) var lost = 0
  /// When something came last, in turns of the switch.
  var lastHeard: UInt64 = 0

  /// Bytes that may wait, lengths included.
  static let queueLimit = 1 << 20

  init(_ descriptor: Int32, _ kind: Kind, frameLimit: Int) {
    self.descriptor = descriptor
    self.kind = kind
    decoder = LengthFramingDecoder(limit: frameLimit)
  }
  deinit {
    switch kind {
    case .stream: close(descriptor)
    case .stack, .datagrams: break
    }
  }

  /// Bytes that wait.
  var queuedCount: Int { queue.count - start }

  /// False: there is no room, and the frame is lost.
  func enqueue(_ frame: RawSpan) -> Bool {
    guard queuedCount + frame.byteCount + LengthFraming.headerByteCount <= Self.queueLimit else {
      return false
    }
    LengthFraming.encode(frame, into: &queue)
    return true
  }

  /// Writes what waits, as far as there is room. False: the other side is gone.
  func flush() -> Bool {
    while start < queue.count, isWritable {
      let written = write()
      if written == -Int(EAGAIN) || written == -Int(ENOBUFS) {
        isWritable = false
      } else if written < 0 {
        return false
      } else {
        start += written
      }
    }
    if start == queue.count {
      queue.removeAll(keepingCapacity: true)
      start = 0
    } else if start > Self.queueLimit / 2 {
      queue.removeFirst(start)
      start = 0
    }
    return true
  }

  /// Bytes of the queue that are done, or a negative errno.
  private func write() -> Int {
    switch kind {
    case .stream:
      return unsafe queue.withUnsafeBytes {
        unsafe sluice_tcp_send(descriptor, $0.baseAddress! + start, $0.count - start)
      }
    case .stack: return unsafe writeFrame { unsafe sluice_tcp_send(descriptor, $0.baseAddress, $0.count) }
    case .datagrams(let peer):
      return unsafe writeFrame { bytes in
        let sent = unsafe peer.send(bytes, by: descriptor)
        // Who is there but takes nothing now loses it: nobody would tell when there is room.
        guard [-Int(EAGAIN), -Int(ENOBUFS), -Int(EMSGSIZE)].contains(sent) else { return sent }
        lost += 1
        return bytes.count
      }
    }
  }
  private func writeFrame(_ body: (UnsafeRawBufferPointer) -> Int) -> Int {
    let count = unsafe LengthFraming.length(queue.span.bytes, at: start) ?? 0
    let first = start + LengthFraming.headerByteCount
    let sent = unsafe queue.withUnsafeBytes {
      unsafe body(UnsafeRawBufferPointer(rebasing: $0[first..<first + count]))
    }
    return sent < 0 ? sent : LengthFraming.headerByteCount + count
  }

  /// How many were lost since the last time.
  func takeLost() -> UInt64 {
    defer { lost = 0 }
    return UInt64(lost)
  }
}
