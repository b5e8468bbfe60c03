/// One axis of a panel: from numbers to places, with round marks.
struct Axis {
  let range: ClosedRange<Double>
  let places: (from: Double, to: Double)
  let marks: [Double]
  private let digits: Int

  /// At least from 0 to `top`, with some `count` marks.
  init(top: Double, places: (from: Double, to: Double), count: Int, isRounded: Bool = true) {
    let top = top > 0 ? top : 1
    var step = 1e-9
    while top / step > Double(count) * 10 { step *= 10 }
    for factor in [1.0, 2, 5, 10] where top / (step * factor) <= Double(count) {
      step *= factor
      break
    }
    let marksNeeded = isRounded ? (top / step).rounded(.up) : (top / step).rounded(.down)
    range = 0...(isRounded ? marksNeeded * step : top)
    marks = (0...Int(marksNeeded)).map { Double($0) * step }
    self.places = places
    var digits = 0
    var scaled = step
    while digits < 6, abs(scaled - scaled.rounded()) > 1e-6 * scaled.magnitude {
      scaled *= 10
      digits += 1
    }
    self.digits = digits
  }

  func place(_ value: Double) -> Double {
    let share = (value - range.lowerBound) / (range.upperBound - range.lowerBound)
    return places.from + share * (places.to - places.from)
  }
  func text(_ mark: Double) -> String { Fixed.text(mark, digits) }
}
