import CLinux
import Glibc
public import Wire

/// Where this host asks for names, by its resolver's configuration (resolv.conf(5)).
public enum HostResolvers {
  /// As many as libc asks.
  private static let limit = 3

  /// The servers of this host, as they were when somebody first asked: who gives files up (`Confinement`) asks before.
  public static let ofThisHost = read("/etc/resolv.conf")

  /// Tells of the servers as the configuration changes, to a process that has no files any more: another process reads
  /// them for it. One thread at a time reads.
  public final class Watch: Sendable {
    /// Readable when there is news.
    let descriptor: Int32
    private let process: Int32

    /// Watches from now on. Nil: there are no processes for it. While this process has one thread.
    public convenience init?() { self.init(path: "/etc/resolv.conf") }
    init?(path: String) {
      var process: Int32 = 0
      let made = unsafe sluice_file_watch(path, &process)
      guard made >= 0 else { return nil }
      (descriptor, self.process) = (made, process)
    }
    deinit { sluice_file_watch_end(descriptor, process) }

    /// What is new.
    enum News: Equatable {
      case servers([SocketAddress])
      case none
      /// There will be none.
      case over
    }
    /// The newest servers, if they are others than before.
    func next() -> News {
      var news = News.none
      var bytes = [UInt8](repeating: 0, count: Int(SLUICE_WATCHED_BYTES))
      while true {
        let count = unsafe sluice_file_watch_next(descriptor, &bytes, bytes.count)
        guard count > 0 else { return count == 0 && news == .none ? .over : news }
        news = .servers(HostResolvers.servers(String(decoding: bytes[..<count], as: UTF8.self)))
      }
    }
  }

  /// The servers that a file names, oldest first; what cannot be read names none, and then it is this host itself, as for
  /// libc.
  static func read(_ path: String) -> [SocketAddress] {
    var text: [UInt8] = []
    if let file = unsafe fopen(path, "re") {
      defer { unsafe fclose(file) }
      var buffer = [UInt8](repeating: 0, count: 4096)
      while text.count < 65_536 {
        let count = unsafe fread(&buffer, 1, buffer.count, file)
        guard count > 0 else { break }
        text += buffer[..<count]
      }
    }
    return servers(String(decoding: text, as: UTF8.self))
  }
  private static func servers(_ text: String) -> [SocketAddress] {
    let found = parse(text)
    return found.isEmpty ? [SocketAddress("127.0.0.1:53")!] : found
  }

  /// The servers of a configuration. Addresses with a zone, and what is no address, are left out.
  public static func parse(_ text: String) -> [SocketAddress] {
    var found: [SocketAddress] = []
    for line in text.split(whereSeparator: \.isNewline) where found.count < limit {
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
      guard words.count >= 2, words[0] == "nameserver", let address = IPAddress(String(words[1])) else {
        continue
      }
      found.append(SocketAddress(address, port: 53))
    }
    return found
  }

  /// A configuration that names one server, and is the host's otherwise.
  public static func configuration(
    nameServer: IPAddress, _ path: String = "/etc/resolv.conf"
  ) -> String {
    var text = "nameserver \(nameServer)\n"
    guard let file = unsafe fopen(path, "re") else { return text }
    defer { unsafe fclose(file) }
    var line = [CChar](repeating: 0, count: 1024)
    while text.utf8.count < 2048, unsafe fgets(&line, Int32(line.count), file) != nil {
      let read = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      let word = read.split(whereSeparator: { $0 == " " || $0 == "\t" }).first
      if word == "search" || word == "options" || word == "domain" { text += read }
    }
    return text
  }
}
