import Sluice

/// Echo: what comes goes back (RFC 862).
enum EchoService {
  static func run(_ stream: TCPStream) async throws {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while case let count = try await stream.read(into: &buffer), count > 0 {
      try await stream.write(buffer[..<count])
    }
  }
  static func reply(_ bytes: [UInt8]) -> [UInt8]? { bytes }
}

/// Discard: what comes is thrown away (RFC 863).
enum DiscardService {
  static func run(_ stream: TCPStream) async throws {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while try await stream.read(into: &buffer) > 0 {}
  }
  static func reply(_ bytes: [UInt8]) -> [UInt8]? { nil }
}

/// Character generator (RFC 864): lines of 72 of the 95 printing characters, each line one further.
enum ChargenService {
  /// All lines, several times over, so that a write is worth its while.
  static let lines: [UInt8] = {
    let ring = Array(UInt8(ascii: " ")...UInt8(ascii: "~"))
    var once: [UInt8] = []
    for first in ring.indices {
      for place in 0..<72 { once.append(ring[(first + place) % ring.count]) }
      once += [13, 10]
    }
    return Array(repeatElement(once, count: 9).joined())
  }()

  /// Until the caller ends the connection; what it sends is thrown away.
  static func run(_ stream: TCPStream) async throws {
    stream.shutdownReceive()
    while true { try await stream.write(lines) }
  }
  /// Between 0 and 512 characters for a datagram, whatever it holds.
  static func reply(_ bytes: [UInt8]) -> [UInt8]? { Array(lines.prefix(Int.random(in: 0...512))) }
}
