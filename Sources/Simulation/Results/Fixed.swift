/// Numbers with a fixed count of digits.
public enum Fixed {
  /// `value` with `digits` after the point, 0...9.
  public static func text(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let whole = Int64((abs(value) * scale).rounded())
    let sign = value < 0 && whole != 0 ? "-" : ""
    guard digits > 0 else { return sign + String(whole) }
    let fraction = String(whole % Int64(scale) + Int64(scale)).dropFirst()
    return "\(sign)\(whole / Int64(scale)).\(fraction)"
  }
}
