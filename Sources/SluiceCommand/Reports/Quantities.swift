/// How reports write numbers, short and with units.
enum Quantity {
  /// Bits a second, of bytes a second.
  static func rate(_ bytes: Double) -> String { scaled(bytes * 8, ["", "k", "M", "G", "T"], 1000) }
  static func bytes(_ bytes: Double) -> String { scaled(bytes, ["", "K", "M", "G", "T"], 1024) }
  static func count(_ count: Double) -> String { scaled(count, ["", "k", "M", "G", "T"], 1000) }
  /// Of microseconds; nothing before the first measurement.
  static func time(_ microseconds: Double) -> String {
    switch microseconds {
    case ...0: "-"
    case ..<10_000: "\(Int(microseconds))us"
    case ..<10_000_000: "\(Int(microseconds / 1000))ms"
    default: "\(Int(microseconds / 1_000_000))s"
    }
  }

  private static func scaled(_ value: Double, _ units: [String], _ base: Double) -> String {
    guard value.isFinite, value > 0 else { return "0" }
    var (value, unit) = (value, 0)
    while value >= base, unit < units.count - 1 {
      value /= base
      unit += 1
    }
    if unit == 0 || value >= 9.95 { return "\(Int(value.rounded()))\(units[unit])" }
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)\(units[unit])"
  }

  static func left(_ text: String, _ width: Int) -> String {
    let cut = text.prefix(width)
    return cut + String(repeating: " ", count: width - cut.count)
  }
  static func right(_ text: String, _ width: Int) -> String {
    let cut = text.prefix(width)
    return String(repeating: " ", count: width - cut.count) + cut
  }
}
