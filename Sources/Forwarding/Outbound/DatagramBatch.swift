import CLinux

/// Datagrams that pass a host's socket in one call, and their memory. The forwarder's thread only.
@safe
final class DatagramBatch {
  /// Datagrams of one call.
  static let limit = Int(SLUICE_DATAGRAMS)
  /// Bytes of the largest.
  private static let largest = 64 << 10
  private let memory = UnsafeMutableRawBufferPointer.allocate(
    byteCount: limit * largest, alignment: 16)
  private var offsets = [UInt32](repeating: 0, count: limit)
  private var lengths = [UInt32](repeating: 0, count: limit)
  private var end = 0
  /// Those that are to be sent.
  private(set) var count = 0

  deinit { unsafe memory.deallocate() }

  // MARK: To be sent

  /// There is no room for another one.
  var isFull: Bool { count == Self.limit || end > (Self.limit - 1) * Self.largest }
  /// Where the next one is put. It is one of the batch with ``add(_:)``.
  func room() -> UnsafeMutableRawBufferPointer {
    if count == 0 { end = 0 }
    return unsafe UnsafeMutableRawBufferPointer(rebasing: memory[end..<end + Self.largest])
  }
  /// What lies in the room is one of the batch; also when the batch was sent meanwhile.
  func add(_ length: Int) {
    (offsets[count], lengths[count]) = (UInt32(end), UInt32(length))
    end += length
    count += 1
  }
  /// Sends what is there from one on. How many a socket took, or why that one did not go, as a negative errno.
  func send(from first: Int, by descriptor: Int32) -> Int {
    unsafe offsets.withUnsafeBufferPointer { offsets in
      unsafe lengths.withUnsafeBufferPointer { lengths in
        unsafe Int(
          sluice_udp_send_many(
            descriptor, memory.baseAddress, offsets.baseAddress! + first, lengths.baseAddress! + first,
            Int32(count - first)))
      }
    }
  }
  /// None is there any more.
  func removeAll() { count = 0 }

  // MARK: Received

  /// Takes as many as there are, at most so many. How many, or a negative errno. None is there to be sent.
  func receive(by descriptor: Int32, atMost limit: Int) -> Int {
    precondition(count == 0, "a batch goes one way at a time")
    return unsafe lengths.withUnsafeMutableBufferPointer {
      unsafe Int(
        sluice_udp_receive_many(
          descriptor, memory.baseAddress, UInt32(Self.largest), $0.baseAddress,
          Int32(min(limit, Self.limit))))
    }
  }
  /// One of those that were taken last.
  subscript(index: Int) -> UnsafeRawBufferPointer {
    let start = index * Self.largest
    return unsafe UnsafeRawBufferPointer(rebasing: memory[start..<start + Int(lengths[index])])
  }
}
