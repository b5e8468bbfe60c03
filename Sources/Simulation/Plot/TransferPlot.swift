/// The picture of one transfer: sequence numbers, window, round trip and queue over the same time.
struct TransferPlot {
  private enum Ink {
    static let sent = "#2f6fb7", resent = "#e07b00", lost = "#d1242f", acknowledged = "#2c9a5b"
    static let window = "#2f6fb7", threshold = "#9aa4b2", outstanding = "#7d57c1"
    static let roundTrip = "#b0447c", queue = "#c98a1b"
    static let grid = "#e9edf2", frame = "#c3cad4", title = "#1d2530"
  }
  private static let left = 74.0, right = 24.0, width = 960.0, gap = 42.0, top = 74.0
  private static let heights = [300.0, 150, 110, 110]

  private var svg: SVG
  private let time: Axis
  private let data: PlotData

  static func text(_ data: PlotData, title: String, subtitle: String) -> String {
    var plot = TransferPlot(data)
    plot.draw(title, subtitle)
    return plot.svg.text
  }

  private init(_ data: PlotData) {
    self.data = data
    let height = Self.top + Self.heights.reduce(0, +) + Self.gap * Double(Self.heights.count - 1) + 46
    svg = SVG(width: Self.width, height: height)
    time = Axis(
      top: max(data.end * 1.01, 1e-6), places: (Self.left, Self.width - Self.right), count: 10,
      isRounded: false)
  }

  private mutating func draw(_ title: String, _ subtitle: String) {
    svg.write(title, Self.left, 24, "font-size=\"16\" font-weight=\"600\" fill=\"\(Ink.title)\"")
    svg.write(subtitle, Self.left, 41, "fill=\"#69737f\"")
    var y = Self.top
    for (index, height) in Self.heights.enumerated() {
      switch index {
      case 0: drawSequence(y, height)
      case 1: drawWindow(y, height)
      case 2: drawRoundTrip(y, height)
      default: drawQueue(y, height)
      }
      y += height + Self.gap
    }
    svg.write(
      "time, s", Self.width - Self.right, svg.height - 10, "text-anchor=\"end\" fill=\"#69737f\"")
  }

  // MARK: Panels

  private mutating func panel(
    _ y: Double, _ height: Double, _ name: String, top: Double, marks: Int,
    _ legend: [(name: String, ink: String, isDashed: Bool)]
  ) -> Axis {
    let axis = Axis(top: top, places: (y + height, y), count: marks)
    let end = Self.width - Self.right
    for mark in axis.marks {
      let place = axis.place(mark)
      svg.line((Self.left, place), (end, place), "stroke=\"\(Ink.grid)\"")
      svg.write(axis.text(mark), Self.left - 8, place + 4, "text-anchor=\"end\"")
    }
    for mark in time.marks {
      let place = time.place(mark)
      svg.line((place, y), (place, y + height), "stroke=\"\(Ink.grid)\"")
      svg.write(time.text(mark), place, y + height + 15, "text-anchor=\"middle\"")
    }
    svg.rectangle(Self.left, y, end - Self.left, height, "fill=\"none\" stroke=\"\(Ink.frame)\"")
    svg.write(name, Self.left, y - 7, "font-weight=\"600\" fill=\"\(Ink.title)\"")
    var x = end
    for entry in legend.reversed() {
      x -= Double(entry.name.count) * 6.4 + 4
      svg.write(entry.name, x, y - 7)
      x -= 22
      let dash = entry.isDashed ? " stroke-dasharray=\"4 3\"" : ""
      svg.line((x, y - 11), (x + 16, y - 11), "stroke=\"\(entry.ink)\" stroke-width=\"2.4\"\(dash)")
      x -= 16
    }
    return axis
  }

  private mutating func drawSequence(_ y: Double, _ height: Double) {
    let highest = data.sent.map(\.to).max() ?? 1
    let axis = panel(
      y, height, "sequence, KiB", top: highest / 1024, marks: 8,
      [
        ("sent", Ink.sent, false), ("sent again", Ink.resent, false), ("lost", Ink.lost, false),
        ("acknowledged", Ink.acknowledged, false),
      ])
    func strokes(_ segments: [(time: Double, from: Double, to: Double)]) -> String {
      SVG.strokes(
        segments.map { (time.place($0.time), axis.place($0.from / 1024), axis.place($0.to / 1024)) })
    }
    svg.path(
      SVG.steps(
        data.acknowledged.map { (time.place($0.time), axis.place($0.at / 1024)) }, to: time.place(data.end)),
      "fill=\"none\" stroke=\"\(Ink.acknowledged)\" stroke-width=\"1.2\"")
    svg.path(strokes(data.sent), "stroke=\"\(Ink.sent)\" stroke-width=\"1.6\"")
    svg.path(strokes(data.resent), "stroke=\"\(Ink.resent)\" stroke-width=\"2.2\"")
    svg.path(
      SVG.crosses(
        data.lost.map { (time.place($0.time), axis.place($0.at / 1024)) },
        size: data.lost.count > 150 ? 1.6 : 2.6),
      "fill=\"none\" stroke=\"\(Ink.lost)\" stroke-width=\"1.3\"")
  }

  private mutating func drawWindow(_ y: Double, _ height: Double) {
    let highest = data.samples.map { max($0.window, $0.outstanding) }.max() ?? 1
    let axis = panel(
      y, height, "congestion window, KiB", top: Double(highest) / 1024, marks: 5,
      [
        ("cwnd", Ink.window, false), ("ssthresh", Ink.threshold, true),
        ("outstanding", Ink.outstanding, false),
      ])
    func line(_ value: (PlotData.Sample) -> Int) -> String {
      SVG.steps(
        data.samples.map {
          (time.place($0.time), axis.place(min(Double(value($0)) / 1024, axis.range.upperBound)))
        }, to: time.place(data.end))
    }
    svg.path(
      line(\.outstanding), "fill=\"none\" stroke=\"\(Ink.outstanding)\" stroke-width=\"0.8\" opacity=\"0.65\""
    )
    svg.path(
      threshold(axis),
      "fill=\"none\" stroke=\"\(Ink.threshold)\" stroke-width=\"1.2\" stroke-dasharray=\"4 3\"")
    svg.path(line(\.window), "fill=\"none\" stroke=\"\(Ink.window)\" stroke-width=\"1.6\"")
  }

  /// The threshold, once there is one.
  private func threshold(_ axis: Axis) -> String {
    let known = data.samples.filter { $0.threshold < 1 << 40 }
    return SVG.steps(
      known.map {
        (time.place($0.time), axis.place(min(Double($0.threshold) / 1024, axis.range.upperBound)))
      }, to: time.place(data.end))
  }

  private mutating func drawRoundTrip(_ y: Double, _ height: Double) {
    let smoothed = data.samples.filter { $0.roundTrip > 0 }
    let highest = max(data.roundTrips.map(\.milliseconds).max() ?? 0, smoothed.map(\.roundTrip).max() ?? 0)
    let axis = panel(
      y, height, "round trip, ms", top: highest, marks: 4,
      [("measured", "#dba6c3", false), ("smoothed", Ink.roundTrip, false)])
    svg.path(
      SVG.crosses(data.roundTrips.map { (time.place($0.time), axis.place($0.milliseconds)) }, size: 0),
      "stroke=\"#dba6c3\" stroke-width=\"2.2\" stroke-linecap=\"round\"")
    svg.path(
      SVG.steps(
        smoothed.map { (time.place($0.time), axis.place($0.roundTrip)) }, to: time.place(data.end)),
      "fill=\"none\" stroke=\"\(Ink.roundTrip)\" stroke-width=\"1.4\"")
  }

  private mutating func drawQueue(_ y: Double, _ height: Double) {
    let shown = data.queue.filter { $0.time <= data.end }
    let highest = Double(shown.map(\.bytes).max() ?? 0) / 1024
    let axis = panel(
      y, height, "queue of the narrow link, KiB", top: max(highest, 1), marks: 4,
      [("waiting", Ink.queue, false)])
    let line = SVG.steps(
      [(time.place(0), axis.place(0))]
        + shown.map { (time.place($0.time), axis.place(Double($0.bytes) / 1024)) },
      to: time.place(data.end))
    svg.path(
      line + "V\(SVG.number(axis.place(0)))Z", "fill=\"\(Ink.queue)\" fill-opacity=\"0.22\" stroke=\"none\"")
    svg.path(line, "fill=\"none\" stroke=\"\(Ink.queue)\" stroke-width=\"1.1\"")
  }
}
