import Sluice

/// What a TCP service of `sluice serve` does with a connection.
enum StreamService: String, CaseIterable {
  /// What comes goes back (RFC 862).
  case echo
  /// What comes is thrown away (RFC 863).
  case sink
  /// Bytes as fast as they are taken; what comes is thrown away.
  case source
  /// The lines of the character generator (RFC 864), as fast as they are taken.
  case chargen
  /// The server of iperf3.
  case iperf
}

/// A service at a port.
struct StreamServicePort: Hashable {
  var service: StreamService
  var port: UInt16

  /// Those of RFC 862 to 864, three out of the way of everything else, and iperf3's.
  static let usual = [
    StreamServicePort(service: .echo, port: 7), StreamServicePort(service: .sink, port: 9),
    StreamServicePort(service: .chargen, port: 19), StreamServicePort(service: .echo, port: 7007),
    StreamServicePort(service: .sink, port: 7009), StreamServicePort(service: .source, port: 7019),
    StreamServicePort(service: .iperf, port: 5201),
  ]

  /// From `echo=7007,sink=7009`. Nil: not of this form, or a port twice.
  static func parse(_ text: String) -> [StreamServicePort]? {
    var all: [StreamServicePort] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let words = part.split(separator: "=", omittingEmptySubsequences: false)
      guard words.count == 2, let service = StreamService(rawValue: String(words[0])),
        let port = UInt16(words[1]), port > 0, !all.contains(where: { $0.port == port })
      else { return nil }
      all.append(StreamServicePort(service: service, port: port))
    }
    return all
  }
}
