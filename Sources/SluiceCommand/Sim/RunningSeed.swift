import Glibc

/// Which run is under way, for the case that the process ends in the middle of it: a trap tells no seed.
enum RunningSeed {
  /// Written between runs, read by the handler, which ends the process. Its memory stays.
  nonisolated(unsafe) private static var message: UnsafeMutableRawPointer?  // see above
  nonisolated(unsafe) private static var length = 0  // see above
  private static let capacity = 256

  static func note(_ command: String) {
    if unsafe message == nil {
      unsafe message = .allocate(byteCount: capacity, alignment: 8)
      for number in [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS, SIGFPE] { signal(number, handler) }
    }
    let line = Array("sluice: while running: \(command)\n".utf8.prefix(capacity))
    unsafe length = 0
    unsafe message?.copyMemory(from: line, byteCount: line.count)
    unsafe length = line.count
  }
  static func forget() { unsafe length = 0 }

  private static let handler: @convention(c) (Int32) -> Void = { number in
    if let message = unsafe RunningSeed.message {
      _ = unsafe write(STDERR_FILENO, message, RunningSeed.length)
    }
    signal(number, SIG_DFL)
    raise(number)
  }
}
