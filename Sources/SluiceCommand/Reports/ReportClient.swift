import ArgumentParser
import CLinux
import Glibc

/// Which running stack is asked.
struct ReportOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The process whose stack it is; without it the only one that runs here for you.", valueName: "number"))
  var pid: Int32?

  func connect() throws(Failure) -> ReportClient { try ReportClient.connect(pid) }
}

/// A connection to a ``ReportSocket``.
final class ReportClient: Sendable {
  private let descriptor: Int32
  let process: Int32

  /// For an answer, in seconds.
  private static let patience: Int32 = 10
  /// Longer answers are no stack's.
  private static let answerLimit = 256 << 20

  private init(_ descriptor: Int32, _ process: Int32) {
    self.descriptor = descriptor
    self.process = process
  }
  deinit { close(descriptor) }

  /// To the stack of a process, or to the only one that there is for this user.
  static func connect(_ process: Int32?) throws(Failure) -> ReportClient {
    var found = running()
    if let process {
      found = found.filter { $0.process == process }
      guard !found.isEmpty else { throw Failure("process \(process) runs no stack that tells about itself.") }
    }
    let mine = found.compactMap { open($0.name, $0.process, user: $0.user) }
    switch mine.count {
    case 1: return mine[0]
    case 0:
      throw Failure(
        "no stack of yours runs here. `sluice run`, `serve` and `gateway` have one while they run.")
    default:
      let all = mine.map { "\($0.process)" }.joined(separator: ", ")
      throw Failure("several stacks run here. Say --pid with one of \(all).")
    }
  }

  /// Names of sockets for reports, of every user, as the kernel lists them.
  private static func running() -> [(name: String, user: UInt32, process: Int32)] {
    guard let file = unsafe fopen("/proc/net/unix", "re") else { return [] }
    defer { unsafe fclose(file) }
    var found: [(name: String, user: UInt32, process: Int32)] = []
    var line = [CChar](repeating: 0, count: 512)
    while unsafe fgets(&line, Int32(line.count), file) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      guard let at = text.firstRange(of: "@\(ReportSocket.prefix)") else { continue }
      let name = text[at.lowerBound...].dropFirst().prefix { !$0.isWhitespace }
      let parts = name.split(separator: "/")
      guard parts.count == 3, let user = UInt32(parts[1]), let process = Int32(parts[2]),
        !found.contains(where: { $0.name == name })
      else { continue }
      found.append((String(name), user, process))
    }
    return found.sorted { $0.process < $1.process }
  }

  /// Nil: it is another user's, or says so wrongly.
  private static func open(_ name: String, _ process: Int32, user: UInt32) -> ReportClient? {
    guard geteuid() == 0 || user == geteuid() else { return nil }
    var owner: uid_t = 0
    let made = unsafe sluice_reports_connect(name, name.utf8.count, patience, &owner)
    guard made >= 0 else { return nil }
    guard owner == user || owner == 0 else {
      close(made)
      return nil
    }
    return ReportClient(made, process)
  }

  /// The state, with at most so many connections of each context.
  func state(connections limit: Int) throws(Failure) -> JSON {
    guard let state = JSON(parsing: try ask("json \(limit)")) else { throw Self.gone }
    return state
  }
  /// The same for people.
  func text() throws(Failure) -> String { try ask("text") }
  /// The same as a document for programs.
  func document(connections limit: Int) throws(Failure) -> String { try ask("json \(limit)") }

  private static let gone = Failure("the stack has ended.")

  private func ask(_ words: String) throws(Failure) -> String {
    let line = Array("\(words)\n".utf8)
    guard unsafe send(descriptor, line, line.count, Int32(MSG_NOSIGNAL)) == line.count else {
      throw Self.gone
    }
    var head: [UInt8] = []
    while head.last != 10 {
      guard head.count < 20, let byte = read(atMost: 1).first else { throw Self.gone }
      head.append(byte)
    }
    guard let length = Int(String(decoding: head.dropLast(), as: UTF8.self)),
      (0...Self.answerLimit).contains(length)
    else { throw Self.gone }
    var answer: [UInt8] = []
    answer.reserveCapacity(length)
    while answer.count < length {
      let piece = read(atMost: min(length - answer.count, 65_536))
      guard !piece.isEmpty else { throw Self.gone }
      answer += piece
    }
    return String(decoding: answer, as: UTF8.self)
  }

  /// Nothing: it has ended.
  private func read(atMost limit: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: limit)
    while true {
      let count = unsafe recv(descriptor, &bytes, limit, 0)
      if count < 0, errno == EINTR { continue }
      return Array(bytes.prefix(max(0, count)))
    }
  }
}
