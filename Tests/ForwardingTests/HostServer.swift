import Glibc

/// A TCP server or a UDP socket of this machine on 127.0.0.1, whose calls block.
final class HostServer {
  let descriptor: Int32
  let port: UInt16

  init(isDatagram: Bool = false, backlog: Int32 = 4096) throws {
    descriptor = socket(AF_INET, Int32((isDatagram ? SOCK_DGRAM : SOCK_STREAM).rawValue), 0)
    // A bound against hangs: what should come and does not fails the test.
    var patience = timeval(tv_sec: 240, tv_usec: 0)
    _ = unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout.size(ofValue: patience)))
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout.size(ofValue: name))
    let descriptor = descriptor
    let result = unsafe withUnsafeMutableBytes(of: &name) { bytes in
      let address = unsafe bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self)
      if unsafe bind(descriptor, address, size) != 0 { return errno }
      if !isDatagram, listen(descriptor, backlog) != 0 { return errno }
      return unsafe getsockname(descriptor, address, &size) == 0 ? 0 : errno
    }
    if result != 0 { throw HostClient.Failure(errno: result) }
    port = UInt16(bigEndian: name.sin_port)
  }
  deinit { close(descriptor) }

  /// The next connection.
  func accept() throws -> HostClient {
    let made = Glibc.accept(descriptor, nil, nil)
    if made < 0 { throw HostClient.Failure(errno: errno) }
    return HostClient(adopting: made)
  }

  /// Sends the next datagram back, twice as long.
  func answerTwice() throws { try answer { $0 + $0 } }
  /// Answers the next datagram.
  func answer(_ make: ([UInt8]) -> [UInt8]) throws {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    var name = sockaddr_in()
    var size = socklen_t(MemoryLayout.size(ofValue: name))
    let descriptor = descriptor
    let sent = unsafe withUnsafeMutableBytes(of: &name) { address in
      let peer = unsafe address.baseAddress!.assumingMemoryBound(to: sockaddr.self)
      let count = unsafe recvfrom(descriptor, &bytes, bytes.count, 0, peer, &size)
      if count < 0 { return count }
      let answer = make(Array(bytes[..<count]))
      return unsafe sendto(descriptor, answer, answer.count, 0, peer, size)
    }
    if sent < 0 { throw HostClient.Failure(errno: errno) }
  }
}
