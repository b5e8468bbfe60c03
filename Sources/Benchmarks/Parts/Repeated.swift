/// One small thing, done again and again.
enum Repeated {
  /// How often in a second of the processor. `body` does it `batch` times.
  static func rate(seconds: Double, batch: Int, _ body: () -> Void) -> Double {
    body()
    let watch = Stopwatch(.thread)
    var times = 0
    while true {
      body()
      times += batch
      let processor = watch.read().processor
      if processor >= seconds { return Double(times) / processor }
    }
  }
}

/// Where results go, so that the compiler cannot leave out what made them.
@inline(never) func consume(_ value: UInt64) { if value == 0x5EED_0F_1057 { print("") } }
