import Glibc
public import Wire

/// Where this host asks for names, by its resolver's configuration (resolv.conf(5)).
public enum HostResolvers {
  /// As many as libc asks.
  private static let limit = 3

  /// The servers of this host, as they were when somebody first asked: who gives files up (`Confinement`) asks before.
  public static let ofThisHost = read("/etc/resolv.conf")

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
    let found = parse(String(decoding: text, as: UTF8.self))
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
