import Glibc
import Sluice
import Sockets

/// The server's side of iperf3's protocol for TCP, as its client speaks it: a connection that says what is to be done and
/// what came of it, and as many as are asked for that carry bytes, either way. Any number of clients at once. The loop's
/// thread only.
///
/// A byte is a state, and text is JSON behind its length in four bytes. The client sends a cookie on each connection, the
/// server says when it wants parameters and streams, and that the test runs; the client ends it; both tell what they
/// counted.
final class IperfDesk {
  /// States of the protocol that are said here, or heard.
  private enum State {
    static let start: UInt8 = 1, running: UInt8 = 2, end: UInt8 = 4, parameters: UInt8 = 9,
      streams: UInt8 = 10
    static let terminate: UInt8 = 12, results: UInt8 = 13, display: UInt8 = 14, done: UInt8 = 16
  }
  /// The cookie, with the zero behind it.
  private static var cookieBytes: Int { 37 }
  /// Longer text is no client's.
  private static var textLimit: Int { 1 << 20 }
  private static var streamLimit: Int { 128 }

  /// What a connection is.
  final class Role {
    /// What came and was not understood yet; no stream's.
    fileprivate var text: [UInt8] = []
    /// Of the connection that says what is done.
    fileprivate var test: Test?
    /// Of one that carries bytes.
    fileprivate var stream: Stream?
  }
  /// A stream refers to its test, and the test to what its streams count.
  fileprivate final class Stream {
    let test: Test
    let tally = Tally()
    init(_ test: Test) { self.test = test }
  }
  fileprivate final class Tally {
    var bytes = 0
  }
  fileprivate final class Test {
    enum Phase { case parameters, streams, running, results, done }
    let cookie: [UInt8]
    var phase = Phase.parameters
    var wanted = 1
    var isReverse = false
    var streams: [(tally: Tally, slot: Int)] = []
    /// Of the connection that says what is done.
    let slot: Int
    init(_ cookie: [UInt8], slot: Int) { (self.cookie, self.slot) = (cookie, slot) }
  }
  private var tests: [[UInt8]: Test] = [:]
  private var roused: [Int] = []
  /// Slots of connections that have something to do now.
  func takeRoused() -> [Int] {
    guard !roused.isEmpty else { return [] }
    defer { roused = [] }
    return roused
  }

  /// Goes on as far as it can.
  func advance(
    _ connection: ServedConnection, _ role: Role, slot: Int, _ constants: ServiceConstants,
    _ counters: borrowing ServiceCounters
  ) -> ServedConnection.Verdict {
    if let stream = role.stream { return carry(connection, stream, constants, counters) }
    let stays = role.test == nil ? Self.cookieBytes - role.text.count : Self.textLimit
    let outcome = connection.stream.tryConsume(atMost: stays) { span in
      unsafe span.withUnsafeBytes { bytes in unsafe role.text += bytes }
      return span.byteCount
    }
    // Until there is nothing: an end that came with the last bytes is not told again.
    var rest = ServedConnection.Verdict.waits
    switch outcome {
    case .bytes: rest = .hasMore
    case .wouldBlock: break
    case .endOfStream: return leave(role, role.test?.phase == .done ? .isDone : .failed)
    case .failed: return leave(role, .failed)
    }
    if role.test == nil {
      guard role.text.count == Self.cookieBytes else { return rest }
      meet(connection, role, slot: slot)
      return .hasMore
    }
    guard let test = role.test else { return .waits }
    while true {
      switch proceed(role, test, connection.stream) {
      case .waits: return role.text.count >= Self.textLimit ? leave(role, .failed) : rest
      case .hasMore: continue
      case .isDone: return leave(role, .isDone)
      case .failed: return leave(role, .failed)
      }
    }
  }

  /// One step of a test, by what has come: `.hasMore` after it, `.waits` without it.
  private func proceed(_ role: Role, _ test: Test, _ stream: StreamSocket)
    -> ServedConnection.Verdict
  {
    switch test.phase {
    case .parameters:
      guard let text = Self.takeText(role) else { return .waits }
      test.wanted = Self.number("parallel", in: text) ?? 1
      test.isReverse = Self.says("reverse", in: text)
      guard (1...Self.streamLimit).contains(test.wanted), !Self.says("bidirectional", in: text),
        Self.says("tcp", in: text), say([State.streams], on: stream)
      else { return .failed }
      test.phase = .streams
    case .streams:
      guard test.streams.count >= test.wanted else { return .waits }
      guard say([State.start, State.running], on: stream) else { return .failed }
      test.phase = .running
      roused += test.streams.map(\.slot)
    case .running:
      guard let state = role.text.first else { return .waits }
      role.text.removeFirst()
      guard state == State.end, say([State.results], on: stream) else { return .failed }
      test.phase = .results
    case .results:
      guard Self.takeText(role) != nil else { return .waits }
      let text = Array(results(of: test).text.utf8)
      let length = (0..<4).map { UInt8(truncatingIfNeeded: text.count >> (24 - 8 * $0)) }
      guard say(length + text + [State.display], on: stream) else { return .failed }
      test.phase = .done
    case .done: return role.text.isEmpty ? .waits : .isDone
    }
    return .hasMore
  }

  /// The connection is over.
  func leave(_ role: Role, _ verdict: ServedConnection.Verdict) -> ServedConnection.Verdict {
    if let test = role.test { tests[test.cookie] = nil }
    role.test = nil
    return verdict
  }

  /// A cookie that is known belongs to a stream of that test, and one that is not begins a test.
  private func meet(_ connection: ServedConnection, _ role: Role, slot: Int) {
    let cookie = role.text
    role.text = []
    guard let test = tests[cookie] else {
      let test = Test(cookie, slot: slot)
      tests[cookie] = test
      role.test = test
      _ = say([State.parameters], on: connection.stream)
      return
    }
    let stream = Stream(test)
    role.stream = stream
    test.streams.append((stream.tally, slot))
    // Whoever asked for the streams sees to it that the test begins.
    roused.append(test.slot)
  }

  private func carry(
    _ connection: ServedConnection, _ stream: Stream, _ constants: ServiceConstants,
    _ counters: borrowing ServiceCounters
  ) -> ServedConnection.Verdict {
    let before = counters.bytesTaken.value &+ counters.bytesGiven.value
    var place = 0  // nobody looks at what it is
    let verdict =
      stream.test.isReverse
      ? (stream.test.phase == .running ? connection.fill(constants.source, from: &place, counters) : .waits)
      : connection.sink(counters)
    stream.tally.bytes += Int(
      truncatingIfNeeded: counters.bytesTaken.value &+ counters.bytesGiven.value &- before)
    return verdict
  }

  // MARK: Words

  /// Small things, for which there is room.
  private func say(_ bytes: [UInt8], on stream: StreamSocket) -> Bool {
    unsafe bytes.withUnsafeBytes { unsafe stream.tryWrite($0) } == .bytes(bytes.count)
  }

  /// Text behind its length, once all of it is there.
  private static func takeText(_ role: Role) -> String? {
    guard role.text.count >= 4 else { return nil }
    let length = role.text[..<4].reduce(0) { $0 << 8 | Int($1) }
    guard length <= textLimit, role.text.count >= 4 + length else { return nil }
    defer { role.text.removeFirst(4 + length) }
    return String(decoding: role.text[4..<4 + length], as: UTF8.self)
  }

  /// What is behind a member's name, blanks left out. The client's text is flat, and its names are each there once.
  private static func value(_ name: String, in text: String) -> Substring? {
    let plain = text.filter { !$0.isWhitespace }
    guard let place = plain.firstRange(of: "\"\(name)\":") else { return nil }
    return plain[place.upperBound...].prefix { $0 != "," && $0 != "}" }
  }
  private static func number(_ name: String, in text: String) -> Int? {
    value(name, in: text).flatMap { Int($0) }
  }
  private static func says(_ name: String, in text: String) -> Bool {
    value(name, in: text) == "true"
  }

  private func results(of test: Test) -> JSON {
    .object { document in
      for name in ["cpu_util_total", "cpu_util_user", "cpu_util_system"] {
        document[name] = .real(0)
      }
      document["sender_has_retransmits"] = .number(0)
      document["streams"] = .array(
        test.streams.enumerated().map { number, entry in
          .object {
            // The client numbers them so: the second is 3.
            $0["id"] = .number(number == 0 ? 1 : number + 2)
            $0["bytes"] = .number(entry.tally.bytes)
            for name in ["retransmits", "errors", "packets"] { $0[name] = .number(0) }
            $0["jitter"] = .real(0)
          }
        })
    }
  }
}
