import CLinux
import Glibc

/// Bytes between a socket of the host's and memory in several pieces, by one system call.
enum HostPieces {
  /// Fills `places` from their start. Returns how many bytes there were, 0 at the end of the stream, or a negative errno;
  /// and how many there was room for.
  static func receive(
    _ descriptor: Int32, _ places: UnsafeBufferPointer<UnsafeMutableRawBufferPointer>
  ) -> (count: Int, offered: Int) {
    unsafe withVectors(places.count, { unsafe places[$0] }) {
      unsafe sluice_tcp_receive_pieces(descriptor, $0, $1)
    }
  }

  /// Sends `pieces`. Returns how many bytes were taken, or a negative errno; and how many there were.
  static func send(
    _ descriptor: Int32, _ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>
  ) -> (count: Int, offered: Int) {
    // The system writes nothing there.
    unsafe withVectors(pieces.count, { unsafe UnsafeMutableRawBufferPointer(mutating: pieces[$0]) }) {
      unsafe sluice_tcp_send_pieces(descriptor, $0, $1)
    }
  }

  private static func withVectors(
    _ count: Int, _ piece: (Int) -> UnsafeMutableRawBufferPointer,
    _ call: (UnsafeMutablePointer<iovec>?, Int32) -> Int
  ) -> (count: Int, offered: Int) {
    unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: count) { vectors in
      var offered = 0
      for index in 0..<count {
        let bytes = unsafe piece(index)
        unsafe vectors.initializeElement(
          at: index, to: iovec(iov_base: bytes.baseAddress, iov_len: bytes.count))
        offered += bytes.count
      }
      return (unsafe call(vectors.baseAddress, Int32(count)), offered)
    }
  }
}
