import Exclusion

@testable import Sluice

/// One end of a connection in the storm. Any thread may shut, close or abort it at any time; who reads or writes
/// has the lock of that side, so that each byte has a known place.
final class StormEnd: @unchecked Sendable {
  let stream: TCPStream
  let isClient: Bool
  /// Whether a close has returned.
  final class Closing: Sendable {
    private let word = AtomicWord(0)
    var isDone: Bool { word.load() != 0 }
    fileprivate func finish() { word.store(1) }
  }
  let closing = Closing()
  /// 1: nobody checks its bytes, so several may read and write it at once.
  private let wild = AtomicWord(0)
  private let reading = TryLock()
  private let writing = TryLock()
  /// 1 once somebody began to end the sending side: writes that overlap may be lost.
  private let isEnding = AtomicWord(0)
  /// 1 once somebody ended the receiving side on this side.
  private let isDeaf = AtomicWord(0)
  /// The pairing, as an address would be: 0 until the server knows it.
  private let isKnown = AtomicWord(0)

  /// Guarded by `reading` until `isKnown`, constant after.
  private var pairing: Pairing?
  /// Guarded by `reading`: the first eight bytes that a server reads name the connection.
  private var head: [UInt8] = []
  private var readPosition = 0
  private var isReadDone = false
  /// Guarded by `writing`.
  private var writePosition = 0
  private var isWriteDone = false

  /// A client's end; nil: of a connection that nobody checks.
  init(_ stream: TCPStream, client pairing: Pairing?) {
    self.stream = stream
    self.pairing = pairing
    isClient = true
    if pairing != nil { isKnown.store(1) } else { wild.store(1) }
  }
  /// A server's end; what the client sends first tells which.
  init(_ stream: TCPStream) {
    self.stream = stream
    isClient = false
  }

  /// What the client of a connection that nobody checks sends first.
  static let wildName = [UInt8](repeating: 0xA5, count: 8)
  private var isWild: Bool { wild.load() != 0 }

  private var outgoing: Int { isClient ? 0 : 1 }
  private var incoming: Int { isClient ? 1 : 0 }

  /// Reads once with `read`, if it is this thread's turn, and looks at what came. Nil: it is not.
  func read(
    _ storm: Storm, _ read: (Int) throws -> [UInt8]?, limit: Int
  ) throws -> Bool {
    if isWild {
      _ = try read(limit)
      return true
    }
    guard reading.tryLock() else { return false }
    defer { reading.unlock() }
    guard !isReadDone else { return false }
    do {
      guard let bytes = try read(isKnown.load() == 0 ? 8 - head.count : limit) else {
        isReadDone = true
        checkEnd(storm)
        return true
      }
      check(bytes, storm)
    } catch StormError.cancelled {
      throw StormError.cancelled  // nothing was read
    } catch {
      isReadDone = true
      throw error
    }
    return true
  }

  private func check(_ bytes: [UInt8], _ storm: Storm) {
    storm.bytesRead.increment(by: UInt64(bytes.count))
    guard isKnown.load() != 0, let pairing else {
      head += bytes
      guard head.count == 8 else { return }
      if head == Self.wildName { return wild.store(1) }
      let number = head.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      guard let known = storm.pairings.find(number) else {
        isReadDone = true
        return storm.complain("a connection begins with bytes that no client sent: \(head)")
      }
      self.pairing = known
      isKnown.store(1)
      return
    }
    let range = readPosition..<readPosition + bytes.count
    if bytes != pairing.bytes(incoming, range) {
      isReadDone = true
      storm.complain(
        "wrong bytes at \(range) of connection \(pairing.number), direction \(incoming), \(place)")
    }
    readPosition = range.upperBound
  }

  /// The peer's end was in order: nothing that it wrote for certain may be missing.
  private func checkEnd(_ storm: Storm) {
    guard isDeaf.load() == 0, let pairing, isKnown.load() != 0 else { return }
    let end = pairing.end(incoming)
    if !end.contains(readPosition) {
      storm.complain(
        "the end came at \(readPosition), and not in \(end), of connection \(pairing.number), \(place)")
    }
  }

  /// Writes `count` bytes with `write`, if it is this thread's turn.
  func write(_ storm: Storm, _ write: ([UInt8]) throws -> Void, count: Int) throws -> Bool {
    if isWild {
      try write([UInt8](repeating: 0xA5, count: count))
      return true
    }
    guard isKnown.load() != 0, let pairing, writing.tryLock() else { return false }
    defer { writing.unlock() }
    guard !isWriteDone else { return false }
    let end = writePosition + count
    pairing.begin(outgoing, upTo: end)
    do {
      try write(pairing.bytes(outgoing, writePosition..<end))
    } catch {
      isWriteDone = true  // any number of them may be on their way
      throw error
    }
    writePosition = end
    storm.bytesWritten.increment(by: UInt64(count))
    if isEnding.load() == 0 { pairing.finish(outgoing, at: end) } else { isWriteDone = true }
    return true
  }

  /// Whether the peer has written what nobody has read.
  func hasUnread() -> Bool {
    if isWild || isKnown.load() == 0 { return true }
    guard reading.tryLock() else { return false }
    defer { reading.unlock() }
    return pairing.map { $0.unread(incoming, at: readPosition) } ?? true
  }

  /// Lowered only while nobody writes: a writer that has just been woken would find its room taken back.
  func setSendLimit(_ limit: Int) {
    guard isKnown.load() != 0, writing.tryLock() else { return stream.setSendLimit(Storm.buffer) }
    defer { writing.unlock() }
    stream.setSendLimit(limit)
  }
  func shutdownSend() {
    isEnding.store(1)
    stream.shutdownSend()
  }
  func shutdownReceive() {
    isDeaf.store(1)
    stream.shutdownReceive()
  }
  func close() {
    isEnding.store(1)
    isDeaf.store(1)
    stream.close()
    closing.finish()
  }
  func abort() {
    isEnding.store(1)
    isDeaf.store(1)
    stream.abort()
  }
  func beginEnding() { isEnding.store(1) }

  var place: String { "\(stream.localAddress) to \(stream.remoteAddress)" }
}

/// Why an operation of the storm ended early, apart from what sockets report.
enum StormError: Error { case cancelled }
