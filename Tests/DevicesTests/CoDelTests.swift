import Devices
import Testing
import Timing

/// CoDel as RFC 8289 appendix A writes it down, with its own loop and its own queue.
private struct Reference {
  struct Waiting { var id: Int, bytes: Int, since: Instant }
  var queue: [Waiting] = []
  var dropped: [Int] = []
  var firstAbove = Instant.zero, dropNext = Instant.zero
  var count = 0, lastCount = 0
  var isDropping = false
  let parameters = CoDelParameters()

  private mutating func take(_ now: Instant) -> (id: Int?, mayDrop: Bool) {
    guard !queue.isEmpty else {
      firstAbove = .zero
      return (nil, false)
    }
    let first = queue.removeFirst()
    let bytes = queue.reduce(0) { $0 + $1.bytes }
    if now - first.since < parameters.target || bytes <= 1500 {
      firstAbove = .zero
    } else if firstAbove == .zero {
      firstAbove = now + parameters.interval
    } else if now >= firstAbove {
      return (first.id, true)
    }
    return (first.id, false)
  }
  private func law(_ time: Instant, _ count: Int) -> Instant {
    time.adding(
      nanoseconds: Int64((Double(parameters.interval.count) / Double(count).squareRoot()).rounded(.down)))
  }

  mutating func dequeue(_ now: Instant) -> Int? {
    var (packet, mayDrop) = take(now)
    if isDropping {
      if !mayDrop { isDropping = false }
      while now >= dropNext, isDropping {
        packet.map { dropped.append($0) }
        count += 1
        (packet, mayDrop) = take(now)
        if mayDrop { dropNext = law(dropNext, count) } else { isDropping = false }
      }
    } else if mayDrop {
      packet.map { dropped.append($0) }
      (packet, mayDrop) = take(now)
      isDropping = true
      let delta = count - lastCount
      count = delta > 1 && now - dropNext < parameters.interval * 16 ? delta : 1
      dropNext = law(now, count)
      lastCount = count
    }
    return packet
  }
}

/// The same by the type under test.
private struct Subject {
  var queue: [Reference.Waiting] = []
  var dropped: [Int] = []
  var codel = CoDel()

  mutating func dequeue(_ now: Instant) -> Int? {
    while true {
      guard !queue.isEmpty else {
        codel.foundEmpty()
        return nil
      }
      let first = queue.removeFirst()
      let verdict = codel.judge(
        sojourn: now - first.since, backlogBytes: queue.reduce(0) { $0 + $1.bytes }, packetLimit: 1500,
        now: now,
        CoDelParameters())
      switch verdict {
      case .send: return first.id
      case .drop: dropped.append(first.id)
      }
    }
  }
}

@Suite struct CoDelTests {
  /// Overload and silence in turn: the same packets leave, and the same are dropped, as by the RFC's own program.
  @Test(arguments: [1, 2, 3] as [UInt64])
  func followsTheReferenceProgram(seed: UInt64) {
    var random = seed &* 0x9E37_79B9_7F4A_7C15
    func next(_ bound: UInt64) -> Int {
      random ^= random << 13
      random ^= random >> 7
      random ^= random << 17
      return Int(random % bound)
    }
    var reference = Reference()
    var subject = Subject()
    var sent = 0
    for step in 0..<20_000 {
      let now = Instant(milliseconds: UInt64(step) + 1000)
      let isOverload = step / 1500 % 2 == 0
      for _ in 0..<next(isOverload ? 4 : 2) {
        let packet = Reference.Waiting(id: step * 8 + next(8), bytes: 64 + next(1437), since: now)
        reference.queue.append(packet)
        subject.queue.append(packet)
      }
      let (expected, found) = (reference.dequeue(now), subject.dequeue(now))
      #expect(expected == found, "at \(step)")
      if expected != found { return }
      if expected != nil { sent += 1 }
    }
    #expect(reference.dropped == subject.dropped)
    #expect(subject.dropped.count > 100 && sent > 10_000, "something was to be seen")
  }

  /// A burst that is gone within the interval is nobody's fault.
  @Test func aShortBurstIsLetThrough() {
    var subject = Subject()
    let start = Instant(milliseconds: 1000)
    for id in 0..<90 { subject.queue.append(Reference.Waiting(id: id, bytes: 1500, since: start)) }
    for step in 0..<90 { _ = subject.dequeue(start.adding(milliseconds: step + 1)) }
    #expect(subject.dropped.isEmpty)
  }
}
