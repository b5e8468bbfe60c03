import Glibc

/// A file that is written from its beginning to its end. Closed with its last reference.
@safe final class CaptureFile: Sendable {
  let path: String
  private let descriptor: Int32

  /// Creates the file, or empties it.
  init(path: String) throws(CaptureError) {
    self.path = path
    descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw CaptureError(path: path, errno: errno) }
  }
  deinit { close(descriptor) }

  /// Writes all of `span`.
  func write(_ span: RawSpan) throws(CaptureError) {
    let failure = unsafe span.withUnsafeBytes { bytes -> Int32 in
      var done = 0
      while done < bytes.count {
        let count = unsafe Glibc.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
        if count < 0, errno != EINTR { return errno }
        done += max(0, count)
      }
      return 0
    }
    if failure != 0 { throw CaptureError(path: path, errno: failure) }
  }

  /// Nanoseconds since the beginning of 1970.
  static func wallClock() -> UInt64 {
    var now = timespec()
    _ = unsafe clock_gettime(CLOCK_REALTIME, &now)
    return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
  }
}

/// What the system refused to a ``PacketCapture``.
public struct CaptureError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file's name.
  public let path: String
  /// The system's number.
  public let errno: Int32
  /// The system's words, and what to do.
  public var description: String {
    let reason = unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "errno \(errno)"
    let advice =
      switch errno {
      case ENOSPC, EDQUOT: "Make room, or give another file."
      case EFBIG: "Look at `ulimit -f`."
      default: "Check the folder and its permissions."
      }
    return "\(path): \(reason). \(advice)"
  }
}
