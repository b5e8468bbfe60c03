import CLinux
import Glibc

/// A call to the operating system that failed.
public struct SystemFailure: Error, Hashable, Sendable {
  /// The `errno`.
  public let code: Int32
  /// The call.
  public let call: String
  /// A failure of `call` with `code`.
  public init(code: Int32, call: String) { (self.code, self.call) = (code, call) }
}

/// What wakes a context out of its poller: an eventfd. Closed in `deinit`.
public struct KickDescriptor: ~Copyable, Sendable {
  /// Becomes readable by `kick`.
  public let descriptor: Int32

  /// Fails when the process is out of descriptors.
  public init() throws(SystemFailure) {
    let made = makeEventDescriptor()
    if made < 0 { throw SystemFailure(code: -made, call: "eventfd") }
    descriptor = made
  }
  deinit { closeEventDescriptor(descriptor) }

  /// Makes the descriptor readable. Any thread; never blocks.
  public func kick() { Self.kick(descriptor) }
  /// Makes the descriptor unreadable until the next kick.
  public func absorb() { Self.absorb(descriptor) }

  static func kick(_ descriptor: Int32) {
    #if Explore
      if let explorer { return explorer.kick(descriptor) }
    #endif
    var one: UInt64 = 1
    // A full counter (EAGAIN) is readable already.
    _ = unsafe write(descriptor, &one, 8)
  }
  static func absorb(_ descriptor: Int32) {
    #if Explore
      if let explorer { return explorer.absorb(descriptor) }
    #endif
    var count: UInt64 = 0
    _ = unsafe read(descriptor, &count, 8)
  }
}

/// An eventfd, or a negative errno.
func makeEventDescriptor() -> Int32 {
  #if Explore
    if let explorer { return explorer.makeDescriptor() }
  #endif
  return sluice_eventfd()
}
func closeEventDescriptor(_ descriptor: Int32) {
  #if Explore
    if explorer != nil { return }
  #endif
  close(descriptor)
}
