/// A picture, written element by element. Places are in pixels; no outside fonts, styles or scripts.
struct SVG {
  private var body = ""
  let width: Double
  let height: Double

  init(width: Double, height: Double) { (self.width, self.height) = (width, height) }

  var text: String {
    """
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.number(width)) \(Self.number(height))" \
    font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="11" fill="#3a4350">
    <rect width="100%" height="100%" fill="#ffffff"/>
    \(body)</svg>

    """
  }

  static func number(_ value: Double) -> String {
    let text = Fixed.text(value, 1)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }

  mutating func line(_ from: (Double, Double), _ to: (Double, Double), _ attributes: String) {
    let n = Self.number
    body +=
      "<line x1=\"\(n(from.0))\" y1=\"\(n(from.1))\" x2=\"\(n(to.0))\" y2=\"\(n(to.1))\" \(attributes)/>\n"
  }
  mutating func rectangle(_ x: Double, _ y: Double, _ width: Double, _ height: Double, _ attributes: String) {
    let n = Self.number
    body +=
      "<rect x=\"\(n(x))\" y=\"\(n(y))\" width=\"\(n(width))\" height=\"\(n(height))\" \(attributes)/>\n"
  }
  mutating func write(_ text: String, _ x: Double, _ y: Double, _ attributes: String = "") {
    let safe = text.map { $0 == "<" ? "&lt;" : $0 == "&" ? "&amp;" : String($0) }.joined()
    body += "<text x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" \(attributes)>\(safe)</text>\n"
  }
  mutating func path(_ data: String, _ attributes: String) {
    if !data.isEmpty { body += "<path d=\"\(data)\" \(attributes)/>\n" }
  }

  // MARK: Paths of many points, thinned to what a pixel can show

  /// A line that keeps its height until the next point. What happens within a pixel is one upright stroke.
  static func steps(_ points: [(Double, Double)], to end: Double) -> String {
    guard let first = points.first else { return "" }
    var data = "M\(number(first.0)) \(number(first.1))"
    var (column, low, high, last) = (first.0, first.1, first.1, first.1)
    func flush(_ data: inout String) {
      if high > low {
        if high != last { data += "V\(number(high))" }
        if low != last || high != last { data += "V\(number(low))" }
        data += "V\(number(last))"
      } else {
        data += "V\(number(last))"
      }
    }
    for point in points.dropFirst() {
      if point.0 - column < 1 {
        low = min(low, point.1)
        high = max(high, point.1)
      } else {
        flush(&data)
        data += "H\(number(point.0))"
        (column, low, high) = (point.0, min(last, point.1), max(last, point.1))
      }
      last = point.1
    }
    flush(&data)
    return data + "H\(number(end))"
  }
  /// To half a pixel: what falls together is drawn once.
  private static func rough(_ place: Double) -> Double { (place * 2).rounded() / 2 }

  /// Upright strokes.
  static func strokes(_ strokes: [(x: Double, from: Double, to: Double)]) -> String {
    var data = ""
    var seen = Set<String>()
    for stroke in strokes {
      let length = max(1.2, abs(stroke.to - stroke.from))
      let text = "M\(number(rough(stroke.x))) \(number(rough(stroke.from)))v\(number(-length))"
      if seen.insert(text).inserted { data += text }
    }
    return data
  }
  /// Small crosses, or dots where `size` is 0.
  static func crosses(_ points: [(Double, Double)], size: Double) -> String {
    var data = ""
    var seen = Set<String>()
    for point in points {
      let place = "M\(number(rough(point.0))) \(number(rough(point.1)))"
      guard seen.insert(place).inserted else { continue }
      if size == 0 {
        data += place + "h0"
      } else {
        let (s, d) = (number(-size), number(2 * size))
        data += "\(place)m\(s) \(s)l\(d) \(d)m0 -\(d)l-\(d) \(d)"
      }
    }
    return data
  }
}
