import Glibc

/// What a response begins with.
enum HTTPStatus: Int, Error {
  case ok = 200
  case badRequest = 400
  case notFound = 404
  case methodNotAllowed = 405
  case lengthRequired = 411
  case contentTooLarge = 413
  case uriTooLong = 414
  case headerTooLarge = 431
  case serviceUnavailable = 503
  case versionNotSupported = 505

  var reason: String {
    switch self {
    case .ok: "OK"
    case .badRequest: "Bad Request"
    case .notFound: "Not Found"
    case .methodNotAllowed: "Method Not Allowed"
    case .lengthRequired: "Length Required"
    case .contentTooLarge: "Content Too Large"
    case .uriTooLong: "URI Too Long"
    case .headerTooLarge: "Request Header Fields Too Large"
    case .serviceUnavailable: "Service Unavailable"
    case .versionNotSupported: "HTTP Version Not Supported"
    }
  }
}

/// A response with its whole body.
struct HTTPResponse {
  var status: HTTPStatus
  var contentType: String
  var body: String
  var allow: String?

  init(_ status: HTTPStatus, contentType: String = "text/plain; charset=utf-8", body: String? = nil) {
    self.status = status
    self.contentType = contentType
    self.body = body ?? "\(status.rawValue) \(status.reason)\n"
    if status == .methodNotAllowed { allow = "GET, HEAD" }
  }

  /// Of every answer. The page brings its own script and style, and may load from its own host only.
  static let fields =
    "Cache-Control: no-store\r\nVary: Accept\r\nX-Content-Type-Options: nosniff\r\n"
    + "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    + "connect-src 'self'\r\n"

  /// Head and, unless `isHead`, body. `keepsAlive` and `minorVersion` are the request's.
  func bytes(isHead: Bool, keepsAlive: Bool, minorVersion: Int, date: String) -> [UInt8] {
    var head = "HTTP/1.1 \(status.rawValue) \(status.reason)\r\n"
    head += "Date: \(date)\r\nServer: Sluice/\(Version.text)\r\n"
    head += "Content-Type: \(contentType)\r\nContent-Length: \(body.utf8.count)\r\n"
    head += Self.fields
    if let allow { head += "Allow: \(allow)\r\n" }
    if !keepsAlive {
      head += "Connection: close\r\n"
    } else if minorVersion == 0 {
      head += "Connection: keep-alive\r\n"
    }
    head += "\r\n"
    return Array((isHead ? head : head + body).utf8)
  }

  /// The present moment as RFC 9110 section 5.6.7 wants it, whatever the locale.
  static func now() -> String {
    var seconds = Glibc.time(nil)
    var parts = unsafe tm()
    unsafe gmtime_r(&seconds, &parts)
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let weekday = unsafe days[Int(parts.tm_wday)]
    let date = unsafe "\(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(1900 + parts.tm_year)"
    let time = unsafe [parts.tm_hour, parts.tm_min, parts.tm_sec].map(two).joined(separator: ":")
    return "\(weekday), \(date) \(time) GMT"
  }
}
