import CLinux
import Exclusion

/// Where a ``Forwarder`` is told, while it runs, what to forward: a Unix socket that its own user alone may connect to.
///
/// A connection is one request and its answer. The request is at most ``requestLimit`` bytes; it ends where `answer` finds
/// it whole, or with the client's end of sending. At most ``connectionLimit`` connections are served at once: the oldest
/// gives way to a new one, so that a client that says nothing keeps nobody out.
public final class ForwardControl: Sendable {
  /// A request has fewer bytes than this.
  public static let requestLimit = 4096
  /// Connections at once.
  public static let connectionLimit = 16

  /// Answers a request. `isEnd`: no more of it will come. Nil: more of it is needed, which an end does not allow. Called by
  /// the forwarder's thread, which serves nobody else meanwhile.
  public typealias Answer =
    @Sendable (_ request: [UInt8], _ isEnd: Bool, _ desk: any ForwardDesk) -> [UInt8]?

  /// Where it is.
  public let path: String
  let descriptor: Int32
  /// Where the path is, however this process is confined by the time it goes.
  private let folder: Int32
  let answer: Answer
  private let isClosed = AtomicWord(0)

  /// Listens at `path`, 107 bytes at most. A socket that a process left there is replaced; one where somebody listens, and
  /// anything else, is left alone.
  ///
  /// - Throws: `.controlRefused`.
  public init(path: String, answer: @escaping Answer) throws(PortForwardError) {
    descriptor = unsafe sluice_control_listen(path)
    guard descriptor >= 0 else { throw .controlRefused(path: path, errno: -descriptor) }
    folder = unsafe sluice_folder_open(path)
    self.path = path
    self.answer = answer
  }

  deinit { close() }

  /// Nobody uses it any more: the path is gone.
  func close() {
    guard isClosed.exchange(1) == 0 else { return }
    sluice_tcp_close(descriptor)
    guard folder >= 0 else { return }
    unsafe sluice_folder_unlink(folder, path)
    sluice_tcp_close(folder)
  }
}
