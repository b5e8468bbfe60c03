import CLinux
import Exclusion
import Glibc

/// Where a running stack tells about itself: `sluice ss`, `stat` and `top` ask. A socket in the abstract namespace of this
/// host's network, named by user and process, for that user and root alone; it leaves no file, and what runs in the
/// network that the stack serves does not see it.
///
/// A client sends lines `json N` (the state, with at most N connections of each context) or `text`; the answer is its length
/// in bytes on a line, and the document. Nothing can be changed here.
final class ReportSocket {
  private let listener: Int32
  /// What asks, as `ps` would show it.
  let verb: String
  private var thread: WorkerThread?

  /// Begins every name.
  static let prefix = "sluice/"
  /// Clients at once; those beyond are closed.
  static let clientLimit = 16
  /// Connections of each context that a client gets at most.
  static let connectionLimit = 10_000

  /// Listens, for a stack that is yet to come. Throws an errno: there is no name to be had.
  init(_ verb: String) throws(Failure) {
    self.verb = verb
    let name = "\(Self.prefix)\(geteuid())/\(getpid())"
    listener = unsafe sluice_reports_listen(name, name.utf8.count)
    guard listener >= 0 else {
      throw Failure("no socket for reports: \(unsafe String(cString: strerror(-listener))).")
    }
  }
  deinit { close(listener) }

  /// Nil: there is none to be had, which is said if it is to be heard. (Somebody else's name may be the same where
  /// containers share a network.)
  static func open(_ verb: String, isHeard: Bool) -> ReportSocket? {
    do throws(Failure) {
      return try ReportSocket(verb)
    } catch {
      if isHeard { complain(error.message) }
      return nil
    }
  }

  /// Answers from now on, on a thread of its own; without one there are no answers. Once.
  func serve(_ host: ServiceHost) {
    let loop = ReportLoop(listener: listener, page: StatusPage(host: host, verb: verb))
    thread = try? WorkerThread(name: "reports") { loop.run() }
  }

  /// Answers no more. Before the stack's shutdown.
  func stop() {
    sluice_reports_end(listener)
    thread.take()?.join()
  }
}

/// The thread of a ``ReportSocket``.
private final class ReportLoop: Sendable {
  private let listener: Int32
  private let page: StatusPage
  /// For a client to take its answer, in milliseconds.
  private static let patience: Int32 = 2000
  private static let lineLimit = 64

  init(listener: Int32, page: StatusPage) {
    self.listener = listener
    self.page = page
  }

  func run() {
    var clients: [Int32] = []
    defer { for client in clients { close(client) } }
    while true {
      var watched = ([listener] + clients).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      guard unsafe poll(&watched, UInt(watched.count), -1) > 0 else { continue }
      for found in watched.dropFirst() where found.revents != 0 && !answer(found.fd) {
        clients.removeAll { $0 == found.fd }
        close(found.fd)
      }
      // Ended: accept would say that there is nobody, as ever.
      if watched[0].revents & Int16(POLLHUP) != 0 { return }
      guard watched[0].revents != 0 else { continue }
      var user: uid_t = 0
      let client = unsafe sluice_reports_accept(listener, &user)
      switch client {
      case 0...:
        let isWelcome = (user == geteuid() || user == 0) && clients.count < ReportSocket.clientLimit
        if isWelcome { clients.append(client) } else { close(client) }
      case -EAGAIN, -ECONNABORTED, -EMFILE, -ENFILE, -EINTR: continue
      default: return  // it was ended
      }
    }
  }

  /// False: the client is done with, or says something else.
  private func answer(_ client: Int32) -> Bool {
    var line = [UInt8](repeating: 0, count: Self.lineLimit)
    let count = unsafe recv(client, &line, line.count, 0)
    if count < 0 { return errno == EAGAIN || errno == EINTR }
    // A request is small, and comes whole.
    guard count > 1, line[count - 1] == 10 else { return false }
    let words = String(decoding: line[..<(count - 1)], as: UTF8.self).split(separator: " ")
    switch words.first {
    case "text"?: return send(page.reportNow(limit: 100) { $0.text }, to: client)
    case "json"?:
      guard words.count == 2, let limit = Int(words[1]) else { return false }
      return send(
        page.reportNow(limit: min(max(limit, 0), ReportSocket.connectionLimit)) { $0.json.text }, to: client)
    default: return false
    }
  }

  private func send(_ text: String, to client: Int32) -> Bool {
    let bytes = Array("\(text.utf8.count)\n\(text)".utf8)
    var offset = 0
    while offset < bytes.count {
      let sent = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.send(client, $0.baseAddress! + offset, $0.count - offset, Int32(MSG_NOSIGNAL))
      }
      if sent > 0 {
        offset += sent
        continue
      }
      guard sent < 0, errno == EAGAIN || errno == EINTR else { return false }
      var watched = pollfd(fd: client, events: Int16(POLLOUT), revents: 0)
      guard unsafe poll(&watched, 1, Self.patience) > 0 else { return false }
    }
    return true
  }
}
