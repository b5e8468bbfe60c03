// Where frames come alone, as requests and answers do, each would cost a read that finds nothing behind it, before it is
// even worked on. So once a link has shown it, one frame is taken, and the link is asked again when all that this frame
// leads to is done, and the context would sleep. Where both ends share a processor the next frame is there by then, and
// neither the read nor the poller is asked in vain. Where it mostly is not, that is found out by a try now and then, as a
// pass for a read that finds nothing costs more than the read. And where frames come together they are taken together,
// as that is what the work on them is cheapest with.

/// Whether the frames of a link come alone, and the next one while the last is worked on, as its last reads say.
struct LoneFrames {
  /// Reads that may take one frame and not ask for another.
  private var left: UInt8 = 0
  /// How many the next sign that frames come alone is good for.
  private var grant: UInt8 = 1
  /// The last read took one and did not ask.
  private var hasPutOff = false
  /// Signs to come that are good for nothing, and how many after the next read that was put off in vain.
  private var pause: UInt8 = 0
  private var nextPause: UInt8 = 1
  private static var largestGrant: UInt8 { 8 }
  private static var longestPause: UInt8 { 64 }

  /// Whether the next read is to take one frame.
  var areExpected: Bool { left > 0 }

  /// A read took one frame and did not ask for another.
  mutating func tookOne() {
    if hasPutOff { nextPause = 1 }
    left -= 1
    hasPutOff = true
  }

  /// A read took `count` frames and found nothing behind them.
  mutating func drained(_ count: Int) {
    if count > 1 { return cameTogether() }
    let wasPutOff = hasPutOff
    hasPutOff = false
    if count == 0 {
      // A look at a link that was not said to have anything tells nothing.
      guard wasPutOff else { return }
      (left, grant, pause) = (0, 1, nextPause)
      nextPause = min(nextPause * 2, Self.longestPause)
      return
    }
    if wasPutOff { nextPause = 1 }
    guard pause == 0 else {
      pause -= 1
      return
    }
    left = grant
    grant = min(grant * 2, Self.largestGrant)
  }

  /// More than one frame was there.
  mutating func cameTogether() { (left, grant, hasPutOff) = (0, 1, false) }
}
