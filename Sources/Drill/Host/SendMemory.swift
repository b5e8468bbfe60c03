// How much of a write Linux takes: it fills segments-to-be of many segments each, and looks before it begins another
// whether there is memory, and not too much that is unsent.

import Sockets
import TCP

/// A socket's send buffer as Linux counts it.
struct SendMemory {
  /// sk_sndbuf, in bytes.
  private(set) var limit: Int
  /// The application has set it: it does not grow.
  private(set) var isLocked = false
  /// The largest window that the peer has offered, in bytes.
  private var largestWindow = 0
  /// Where the last push is, in bytes since the connection began.
  private var lastPush: UInt64 = 0

  init(_ settings: HostSettings) { limit = settings.sendMemory.initial }

  /// SO_SNDBUF.
  mutating func lock(_ bytes: Int) {
    limit = bytes
    isLocked = true
  }

  /// The connection is open, or what is out has been acknowledged while somebody waited for room: two windows, with
  /// what their segments occupy, are of use.
  mutating func grow(_ tcp: TCPInfo, upTo most: Int) {
    let isFull = tcp.inFlight >= tcp.congestionWindow
    guard !isLocked, !isFull else { return }
    let segments = max(10, max(tcp.congestionWindow, tcp.reordering + 1))
    limit = max(limit, min(2 * segments * Self.occupied(tcp.wholeSegment), most))
  }

  /// What is counted for a large segment beside its bytes: the description of the packet, and what the allocator gives for
  /// headers and the description of the memory.
  private static let description = 1024 + 256

  /// What a segment of so many bytes occupies: headers and the description of its memory beside it, in a power of two,
  /// and the description of the packet.
  private static func occupied(_ segment: Int) -> Int {
    var size = 512
    while size < segment + 640 { size *= 2 }
    return size + 256
  }

  /// Whether room is worth telling: a third of the buffer, where so many bytes are written and not acknowledged.
  func isWorthTelling(queued: Int, _ tcp: TCPInfo) -> Bool {
    let memory = queued + pieces(queued, goal(tcp)) * Self.description
    return limit - memory >= memory / 2 && memory < limit
  }

  /// Large segments that so many bytes make.
  private func pieces(_ bytes: Int, _ goal: Int) -> Int { (bytes + goal - 1) / goal }

  /// How many of `wanted` bytes are taken now.
  ///
  /// - Parameters:
  ///   - queued: bytes written and not acknowledged.
  ///   - unsent: those of them that have not been sent.
  ///   - unsentLimit: where no more are taken, by their number alone.
  ///   - written: bytes written since the connection began.
  mutating func admits(
    _ wanted: Int, _ tcp: TCPInfo, queued: Int, unsent: Int, unsentLimit: Int, written: UInt64
  ) -> Admission {
    largestWindow = max(largestWindow, tcp.sendWindow)
    let goal = goal(tcp)
    // What the first whole piece lets leave before the next is begun.
    var mayLeave = max(0, tcp.congestionWindow - tcp.inFlight) * tcp.sendSegment
    mayLeave = min(mayLeave, max(0, tcp.sendWindow - tcp.outstandingBytes))
    mayLeave -= mayLeave % max(1, tcp.sendSegment)
    var (taken, unsent) = (0, unsent)
    var pieces: [Piece] = []
    while taken < wanted {
      let begun = unsent % goal
      if begun == 0 {
        let count = self.pieces(queued + taken, goal)
        guard queued + taken + count * Self.description < limit, unsent < unsentLimit else { break }
      }
      let piece = min(goal - begun, wanted - taken)
      taken += piece
      unsent += piece
      guard begun + piece == goal else { continue }
      // More than half of the largest window since the last push: the peer may have no reason yet to answer.
      let end = written + UInt64(taken)
      let isPushed = end > lastPush + UInt64(largestWindow / 2)
      if isPushed { lastPush = end }
      pieces.append(Piece(end: taken, edge: isPushed ? .pushed : .burst))
      if unsent == goal {
        let left = min(mayLeave, goal)
        mayLeave -= left
        unsent -= left
      }
    }
    return Admission(bytes: taken, pieces: pieces)
  }

  /// A write ended there with a push.
  mutating func pushed(endingAt end: UInt64) { lastPush = max(lastPush, end) }

  /// A large segment: how many bytes of a write there are up to its end, and what that means.
  struct Piece {
    var end: Int
    var edge: TCPTextEdge
  }

  /// What is taken of a write.
  struct Admission {
    /// So many bytes.
    var bytes: Int
    /// Large segments that they make, but for the last.
    var pieces: [Piece] = []
  }

  /// What one piece holds: half of the largest window, in whole segments, and no more than 64 KiB.
  private func goal(_ tcp: TCPInfo) -> Int {
    let segment = max(1, tcp.sendSegment)
    let half = largestWindow > 536 ? largestWindow / 2 : largestWindow
    return max(1, min(65535 - 320, max(half, 1)) / segment) * segment
  }
}

extension TCPInfo {
  /// Segments on their way, as Linux reckons.
  fileprivate var inFlight: Int { unacknowledgedSegments - sackedSegments - lostSegments + repeatingSegments }
  /// The payload of a segment with no options.
  fileprivate var wholeSegment: Int { sendSegment + (timestamps ? 12 : 0) }
}
