import Glibc
import Testing

/// A named pipe that a command opens to say how far it is: who reads it waits for words, or for the death of
/// everybody who has it open.
final class Signpost {
  let path: String
  private let descriptor: Int32
  private var text = ""

  /// At a place of its own, or at `path`.
  init(path: String? = nil) {
    self.path = path ?? "/tmp/sluice-test-\(getpid())-\(UInt64.random(in: 0..<(.max)))"
    unsafe mkfifo(self.path, 0o666)
    unsafe chmod(self.path, 0o666)
    descriptor = unsafe open(self.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
  }

  deinit {
    close(descriptor)
    remove()
  }

  /// For who ends without deinit.
  func remove() { unsafe unlink(path) }

  /// What a shell says to open it as descriptor 9, for itself and its children.
  var open9: String { "exec 9>\(path)" }

  /// Waits until `words` have been written. False: the writers ended first, or half a minute passed.
  func waitFor(_ words: String) -> Bool {
    while !text.contains(words) {
      guard read() > 0 else { return false }
    }
    return true
  }

  /// Waits until nobody has it open for writing any more. False: half a minute passed.
  func waitForEnd() -> Bool {
    while true {
      let count = read()
      if count <= 0 { return count == 0 }
    }
  }

  private func read() -> Int {
    var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&watched, 1, 30_000) > 0 else { return -1 }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe Glibc.read(descriptor, &bytes, bytes.count)
    if count > 0 { text += String(decoding: bytes.prefix(count), as: UTF8.self) }
    return count
  }
}
