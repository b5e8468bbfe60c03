import Buffers
import Glibc
import TCP
import Timing
import Wire

/// A sink that writes everything down.
struct Recorder: ~Copyable, TCPSink {
  var segments: [TCPOutgoing] = []
  var delivered: [UInt8] = []
  var joinedTextLimit = 0

  /// Whether text is taken, by its length and whether it is ahead of a hole; nil: it is.
  var admits: ((Int, Bool) -> Bool)?
  /// Told of packets that came free.
  var releases: ((Int, TCPRelease) -> Void)?

  mutating func send(_ segment: borrowing TCPOutgoing) { segments.append(copy segment) }
  mutating func admit(_ text: borrowing Packet, isAhead: Bool) -> Bool {
    admits?(text.totalCount, isAhead) ?? true
  }
  mutating func released(_ packets: Int, bytes: Int, _ reason: TCPRelease) { releases?(packets, reason) }
  mutating func deliver(_ payload: consuming Packet) { delivered += bytes(of: payload) }
}

/// The bytes of a packet.
func bytes(of packet: borrowing Packet) -> [UInt8] {
  let span = packet.bytes
  return unsafe span.withUnsafeBytes { unsafe Array($0) }
}

/// A pool whose end checks that everything came back: keeps RS-LEAK in every test that has one.
final class TestPool {
  private let pool = PacketPool(limit: 200_000)

  var inUse: Int { pool.ref.inUse }

  func packet(_ bytes: some Collection<UInt8>) -> Packet? {
    guard !bytes.isEmpty, var packet = pool.ref.allocate(headroom: 0) else { return nil }
    packet.append(bytes.count)
    unsafe packet.withUnsafeMutableBytes { unsafe $0.copyBytes(from: bytes) }
    return packet
  }
}

/// The byte of a test stream at a position: a sequence without short periods, so that misplaced bytes show.
func streamByte(_ position: Int) -> UInt8 {
  var word = UInt64(truncatingIfNeeded: position) &* 0x9E37_79B9_7F4A_7C15
  word ^= word >> 29
  return UInt8(truncatingIfNeeded: word &* 0xBF58_476D_1CE4_E5B9 >> 56)
}

/// `count` bytes of the test stream.
func stream(_ count: Int, from position: Int = 0) -> [UInt8] {
  let end = position + count
  return end <= streamBeginning.count
    ? Array(streamBeginning[position..<end]) : (position..<end).map(streamByte)
}

/// Most tests need no more of the stream, and need it often.
private let streamBeginning = (0..<1 << 20).map(streamByte)

/// How many of the bytes are not those of the test stream from `position` on.
func strangers(in bytes: [UInt8], from position: Int) -> Int {
  let expected = stream(bytes.count, from: position)
  if bytes.isEmpty { return 0 }
  let difference = unsafe bytes.withUnsafeBytes { bytes in
    unsafe expected.withUnsafeBytes { unsafe memcmp(bytes.baseAddress!, $0.baseAddress!, bytes.count) }
  }
  return difference == 0 ? 0 : zip(bytes, expected).count { $0 != $1 }
}
