/// The head of a request (RFC 9112). Bodies are read away, not looked at.
struct HTTPRequest: Equatable {
  var method: String
  /// The path without query, still percent-encoded.
  var path: String
  /// HTTP/1.x: the x.
  var minorVersion: Int
  /// Lower-cased names, in order.
  var fields: [Field]
  /// Bytes of the body that follows.
  var bodyCount: Int

  struct Field: Equatable {
    var name: String
    var value: String
  }

  /// What the first bytes of a connection turned out to be.
  enum Outcome: Equatable {
    /// More bytes are needed.
    case incomplete
    /// A request whose head takes so many bytes.
    case request(HTTPRequest, headCount: Int)
    /// Nothing that can be answered otherwise. The connection ends with it.
    case refused(HTTPStatus)
  }

  /// Bytes of a head at most, and of its first line.
  static let headLimit = 16_384, lineLimit = 8_192
  /// Header fields at most.
  static let fieldLimit = 100
  /// Bytes of a body that are read away.
  static let bodyLimit = 65_536

  /// All values of a field, joined.
  subscript(name: String) -> String? {
    let values = fields.filter { $0.name == name }.map(\.value)
    return values.isEmpty ? nil : values.joined(separator: ", ")
  }

  /// Whether another request may follow on the connection.
  var keepsAlive: Bool {
    let options = (self["connection"] ?? "").lowercased().split(separator: ",").map {
      $0.trimming(while: \.isWhitespace)
    }
    if options.contains("close") { return false }
    return minorVersion >= 1 || options.contains("keep-alive")
  }

  /// Reads the head at the front of `bytes`. Total: any bytes give an answer.
  static func parse(_ bytes: [UInt8]) -> Outcome {
    // Empty lines before a request are left over from the one before (RFC 9112 section 2.2).
    let start = bytes.firstIndex { $0 != 13 && $0 != 10 } ?? bytes.count
    if start > 64 { return .refused(.badRequest) }
    guard let end = headEnd(bytes, from: start) else {
      let line = bytes[start...].firstIndex(of: 10)
      if line == nil, bytes.count - start > lineLimit { return .refused(.uriTooLong) }
      return bytes.count - start > headLimit ? .refused(.headerTooLarge) : .incomplete
    }
    guard end - start <= headLimit else { return .refused(.headerTooLarge) }
    var lines = bytes[start..<end].split(separator: 10, omittingEmptySubsequences: false)[...]
    while lines.last?.isEmpty == true || lines.last?.elementsEqual([13]) == true { lines.removeLast() }
    guard let first = lines.popFirst() else { return .refused(.badRequest) }
    guard first.count <= lineLimit else { return .refused(.uriTooLong) }
    guard lines.count <= fieldLimit else { return .refused(.headerTooLarge) }
    do throws(HTTPStatus) {
      var request = try requestLine(text(first))
      for line in lines { request.fields.append(try field(text(line))) }
      try request.check()
      return .request(request, headCount: end)
    } catch {
      return .refused(error)
    }
  }

  /// The index behind the empty line that ends the head.
  private static func headEnd(_ bytes: [UInt8], from start: Int) -> Int? {
    var index = start
    while let line = bytes[index...].firstIndex(of: 10) {
      let next = line + 1
      if next < bytes.count, bytes[next] == 10 { return next + 1 }
      if next + 1 < bytes.count, bytes[next] == 13, bytes[next + 1] == 10 { return next + 2 }
      index = next
    }
    return nil
  }

  private static func text(_ line: ArraySlice<UInt8>) throws(HTTPStatus) -> Substring {
    let line = line.last == 13 ? line.dropLast() : line
    // No control characters but the tab, so nothing can be smuggled into a log or an answer.
    guard line.allSatisfy({ $0 >= 32 && $0 != 127 || $0 == 9 }) else { throw .badRequest }
    return Substring(decoding: line, as: UTF8.self)
  }

  private static func requestLine(_ line: Substring) throws(HTTPStatus) -> HTTPRequest {
    let parts = line.split(separator: " ", omittingEmptySubsequences: false)
    guard parts.count == 3, isToken(parts[0]) else { throw .badRequest }
    let version = parts[2]
    guard version.hasPrefix("HTTP/"), version.utf8.count == 8, version.dropFirst(6).first == ".",
      let major = version.dropFirst(5).first?.wholeNumberValue, let minor = version.last?.wholeNumberValue
    else { throw .badRequest }
    guard major == 1 else { throw .versionNotSupported }
    return HTTPRequest(
      method: String(parts[0]), path: try path(parts[1]), minorVersion: minor, fields: [], bodyCount: 0)
  }

  /// Of `/path?query` or `http://host/path?query`.
  private static func path(_ target: Substring) throws(HTTPStatus) -> String {
    var target = target
    if target == "*" { return "*" }
    if target.lowercased().hasPrefix("http://") {
      let rest = target.dropFirst("http://".count)
      target = rest.firstIndex(of: "/").map { rest[$0...] } ?? "/"
    }
    guard target.first == "/" else { throw .badRequest }
    return String(target.prefix { $0 != "?" && $0 != "#" })
  }

  private static func field(_ line: Substring) throws(HTTPStatus) -> Field {
    // A line that goes on with the one before is refused (RFC 9112 section 5.2).
    guard let colon = line.firstIndex(of: ":"), isToken(line[..<colon]) else { throw .badRequest }
    let value = line[line.index(after: colon)...].trimming(while: { $0 == " " || $0 == "\t" })
    return Field(name: line[..<colon].lowercased(), value: String(value))
  }

  private static func isToken(_ text: Substring) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy {
        ($0 | 32) >= 97 && ($0 | 32) <= 122 || $0 >= 48 && $0 <= 57 || "!#$%&'*+-.^_`|~".utf8.contains($0)
      }
  }

  private mutating func check() throws(HTTPStatus) {
    let hosts = fields.count { $0.name == "host" }
    guard hosts <= 1, hosts == 1 || minorVersion == 0 else { throw .badRequest }
    if self["transfer-encoding"] != nil { throw .lengthRequired }
    let lengths = Set(fields.filter { $0.name == "content-length" }.map(\.value))
    guard let length = lengths.first else { return }
    guard lengths.count == 1, length.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), !length.isEmpty else {
      throw .badRequest
    }
    guard let count = Int(length), count <= Self.bodyLimit else { throw .contentTooLarge }
    bodyCount = count
  }
}

extension Substring {
  func trimming(while isDropped: (Character) -> Bool) -> Substring {
    let front = drop(while: isDropped)
    let end = front.lastIndex { !isDropped($0) }
    return end.map { front[...$0] } ?? front.prefix(0)
  }
}
