/// The largest value of the last so many steps of a clock that counts rounds, by Kathleen Nichols' algorithm: the best
/// three, each newer than the one before.
struct WindowedMaximum {
  private var best = InlineArray<3, (value: Int, time: Int)>(repeating: (0, 0))

  /// The maximum.
  var value: Int { best[0].value }

  /// Takes `value`, of the step `time`, and forgets what is more than `length` steps older.
  mutating func take(_ value: Int, time: Int, length: Int) {
    let new = (value: value, time: time)
    if value >= best[0].value || time - best[2].time > length {
      best = InlineArray(repeating: new)
      return
    }
    if value >= best[1].value {
      best[1] = new
      best[2] = new
    } else if value >= best[2].value {
      best[2] = new
    }
    age(new, length: length)
  }

  private mutating func age(_ new: (value: Int, time: Int), length: Int) {
    let passed = new.time - best[0].time
    if passed > length {
      // The best has grown old: the next one takes its place.
      best[0] = best[1]
      best[1] = best[2]
      best[2] = new
      if new.time - best[0].time > length {
        best[0] = best[1]
        best[1] = best[2]
        best[2] = new
      }
    } else if best[1].time == best[0].time, passed > length / 4 {
      // A quarter of the window without anything better: keep one from the second quarter.
      best[1] = new
      best[2] = new
    } else if best[2].time == best[1].time, passed > length / 2 {
      best[2] = new
    }
  }
}
