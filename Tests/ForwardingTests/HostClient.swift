import Glibc

/// A TCP client of this machine, or a connected UDP socket, whose calls block.
final class HostClient: @unchecked Sendable {  // one thread at a time
  let descriptor: Int32
  private var isClosed = false

  struct Failure: Error, Equatable { let errno: Int32 }

  /// Connects to a port of 127.0.0.1.
  init(port: UInt16, isDatagram: Bool = false) throws {
    descriptor = socket(AF_INET, Int32((isDatagram ? SOCK_DGRAM : SOCK_STREAM).rawValue), 0)
    // A bound against hangs: what should come and does not fails the test.
    var patience = timeval(tv_sec: 240, tv_usec: 0)
    _ = unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout.size(ofValue: patience)))
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = unsafe withUnsafeBytes(of: &name) {
      unsafe connect(
        descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
    }
    if result != 0 { throw Failure(errno: errno) }
  }
  /// A connection that was accepted.
  init(adopting descriptor: Int32) {
    self.descriptor = descriptor
    var patience = timeval(tv_sec: 240, tv_usec: 0)
    _ = unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout.size(ofValue: patience)))
  }
  deinit { close() }

  func send(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.send(
          descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count < 0 { throw Failure(errno: errno) }
      sent += count
    }
  }
  /// What comes, at most `limit` bytes; empty at the end.
  func receive(_ limit: Int = 65_536) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: limit)
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, limit, 0) }
    if count < 0 { throw Failure(errno: errno) }
    return Array(bytes[..<count])
  }
  /// Everything until the end.
  func receiveAll() throws -> [UInt8] {
    var all: [UInt8] = []
    while case let piece = try receive(), !piece.isEmpty { all += piece }
    return all
  }
  func finish() { shutdown(descriptor, Int32(SHUT_WR)) }
  func close() {
    guard !isClosed else { return }
    isClosed = true
    Glibc.close(descriptor)
  }
  /// Closes with SO_LINGER's time 0.
  func reset() {
    var linger = linger(l_onoff: 1, l_linger: 0)
    _ = unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
    close()
  }
}

/// Bytes that tell where they stand.
func pattern(_ count: Int) -> [UInt8] {
  unsafe [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
    // A closure for each byte takes half a second for a megabyte without optimisation.
    while filled < count {
      unsafe bytes[filled] = UInt8(truncatingIfNeeded: filled &* 31 &+ (filled &>> 11))
      filled &+= 1
    }
  }
}
