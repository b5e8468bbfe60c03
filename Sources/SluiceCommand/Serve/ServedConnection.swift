import Sluice
import Sockets

/// A connection of a service, and how far it is. The loop's thread only.
struct ServedConnection {
  let stream: StreamSocket
  let service: StreamService
  /// Comes back with its events; never that of an earlier connection at the same place.
  let token: UInt64
  /// What it is to iperf3.
  let role: IperfDesk.Role?
  /// It is among those that have something to do.
  var isQueued = false
  /// How far it is in what it sends again and again.
  var place = 0

  /// What is to be done with it now.
  enum Verdict {
    /// Nothing, until there is news.
    case waits
    /// There is more, after the others' turn.
    case hasMore
    /// The peer has ended it, and has everything.
    case isDone
    /// It broke.
    case failed
  }

  /// Bytes each way that a connection may have before the others have their turn.
  private static var budget: Int { 1 << 20 }

  /// Goes on as far as it can, from `place` on if it only sends. Never waits.
  func advance(
    _ constants: ServiceConstants, _ counters: borrowing ServiceCounters, from place: inout Int
  ) -> Verdict {
    switch service {
    case .echo: echo(counters)
    case .sink: sink(counters)
    case .source: fill(constants.source, from: &place, counters)
    case .chargen: fill(constants.lines, from: &place, counters)
    case .iperf: preconditionFailure("the desk goes on with those")
    }
  }

  /// The bytes are lent by the receive queue, and copied once, to where they wait to be acknowledged. What finds no room
  /// there stays unread, and so the window closes.
  private func echo(_ counters: borrowing ServiceCounters) -> Verdict {
    var isFull = false
    var hasFailed = false
    let verdict = consume(counters, until: { isFull || hasFailed }) { span in
      let written = unsafe span.withUnsafeBytes { unsafe stream.tryWrite($0) }
      switch written {
      case .bytes(let count):
        counters.bytesGiven.increment(by: UInt64(count))
        // Less than all: space that comes back is told.
        isFull = count < span.byteCount
        return count
      case .wouldBlock: isFull = true
      case .failed: hasFailed = true
      }
      return 0
    }
    return hasFailed ? .failed : verdict
  }

  func sink(_ counters: borrowing ServiceCounters) -> Verdict {
    consume(counters, until: { false }) { $0.byteCount }
  }

  /// To where a read would wait, or the end: both may have come with the bytes, and are not told again.
  private func consume(
    _ counters: borrowing ServiceCounters, until isStopped: () -> Bool, _ body: (RawSpan) -> Int
  ) -> Verdict {
    var left = Self.budget
    while left > 0 {
      switch stream.tryConsume(atMost: left, body) {
      case .bytes(let count):
        counters.bytesTaken.increment(by: UInt64(count))
        left -= count
        if isStopped() { return .waits }
      case .endOfStream: return .isDone
      case .wouldBlock: return .waits
      case .failed: return .failed
      }
    }
    return .hasMore
  }

  /// The same bytes again and again, which what is sent refers to, from `place` on.
  func fill(
    _ bytes: SharedBytes, from place: inout Int, _ counters: borrowing ServiceCounters
  ) -> Verdict {
    var left = Self.budget
    while left > 0 {
      let wanted = bytes.count - place
      switch stream.tryWrite(bytes, from: place, count: wanted) {
      case .bytes(let count):
        counters.bytesGiven.increment(by: UInt64(count))
        left -= count
        place = count < wanted ? place + count : 0
        if count < wanted { return .waits }
      case .wouldBlock: return .waits
      case .failed: return .failed
      }
    }
    return .hasMore
  }
}

/// What services send again and again.
struct ServiceConstants: Sendable {
  let source: SharedBytes
  let lines: SharedBytes

  init(_ stack: Stack) throws(SocketError) {
    source = try stack.share([UInt8](repeating: UInt8(ascii: "x"), count: 64 << 10))
    lines = try stack.share(ChargenService.lines)
  }
}
