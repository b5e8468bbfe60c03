import CLinux
import Glibc

/// One request at a control socket, and its answer.
struct ControlClient {
  let path: String

  /// Blocks until the answer is there. What is refused there is a `Failure` here, in the same words.
  func ask(_ command: String, _ arguments: JSON? = nil) throws(Failure) -> JSON {
    try ask(command, arguments).result
  }
  /// The same, and the answer as it came.
  func ask(
    _ command: String, _ arguments: JSON? = nil
  ) throws(Failure) -> (result: JSON, text: String) {
    let request = JSON.object {
      $0["execute"] = .text(command)
      if let arguments { $0["arguments"] = arguments }
    }
    let answer = try exchange(Array(request.line.utf8))
    let text = String(decoding: answer, as: UTF8.self)
    guard let document = JSON(parsing: text) else {
      throw Failure("what answers at \(path) is no control socket of sluice's: its answer is no JSON.")
    }
    if case .text(let reason)? = document.member("error")?.member("desc") { throw Failure(reason) }
    guard let result = document.member("return") else {
      throw Failure("what answers at \(path) is no control socket of sluice's: it says neither yes nor no.")
    }
    return (result, text)
  }

  private func exchange(_ request: [UInt8]) throws(Failure) -> [UInt8] {
    let socket = unsafe sluice_control_connect(path)
    guard socket >= 0 else {
      throw Failure(
        "nobody answers at \(path): \(unsafe String(cString: strerror(-socket))). "
          + "It is the path that --control or --api-socket has said.")
    }
    defer { sluice_tcp_close(socket) }
    func lost(_ result: Int) -> Failure {
      Failure("\(path) did not answer: \(unsafe String(cString: strerror(Int32(-result)))).")
    }
    var left = request[...]
    while !left.isEmpty {
      let count = unsafe left.withUnsafeBytes { unsafe sluice_tcp_send(socket, $0.baseAddress, $0.count) }
      guard count >= 0 else { throw lost(count) }
      left = left.dropFirst(count)
    }
    _ = sluice_tcp_finish(socket)
    var (answer, piece) = ([UInt8](), [UInt8](repeating: 0, count: 65_536))
    while true {
      let count = unsafe piece.withUnsafeMutableBytes {
        unsafe sluice_tcp_receive(socket, $0.baseAddress, $0.count)
      }
      guard count >= 0 else { throw lost(count) }
      if count == 0 { return answer }
      answer += piece[..<count]
    }
  }
}
