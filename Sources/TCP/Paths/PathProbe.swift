import Timing
import Wire

/// What has become of the wish to probe.
enum PathProbeOutcome {
  /// There is nothing to probe, or too little to do it with: other segments go as usual.
  case none
  /// It could be done as soon as more has been acknowledged: nothing else goes until then.
  case waits
  /// A probe has left.
  case sent
}

// Packetization-layer path MTU discovery, RFC 4821 with what RFC 8899 has made clearer: a segment of data that is larger
// than others is sent once. Arrives it, so will more of its size; if not, nothing but the probe is sent again. When and
// how large is Linux's (tcp_mtu_probe).
extension TCPConnection {
  /// Segments of window that a probe wants: its loss must be found without a timeout.
  private static var probeWindow: Int { 11 }

  /// The search begins with what was agreed on, if it is to go on always. Who opens a connection begins with the base,
  /// who is asked for one with what the route takes (Linux's way).
  mutating func beginSearch(now: Instant) {
    guard configuration.pathProbing == .always else { return }
    widenSearch(now: now)
    if !isPassive { settleSegment() }
  }

  /// From the base up to what the peer takes; how much of that the route takes shows when it matters.
  private mutating func widenSearch(now: Instant) {
    let base = max(Int(configuration.probeBase) + fixedOptions, Int(configuration.minimumSegment))
    let low = min(UInt16(clamping: base), send.segmentLimit, send.pathSegment)
    search.set(PathSearch.Range(low: low, high: send.segmentLimit, since: now))
  }

  /// Sends a segment of a size that has not been tried, RFC 4821 section 7.4, if there is one to try, and enough else to
  /// send behind it that its loss shows by that.
  mutating func probePath(now: Instant, sink: inout some TCPSink & ~Copyable) -> PathProbeOutcome {
    guard configuration.blackHoleSegment == 0, var range = search.range, range.probe == 0,
      recovery.phase == .open,
      window.segments >= Self.probeWindow, selective.isEmpty
    else { return .none }
    if range.middle > send.pathSegment { range.high = max(send.pathSegment, range.low) }
    guard Int(range.high) - Int(range.low) >= Int(configuration.probeThreshold) else {
      searchAgain(range, now: now)
      return .none
    }
    let size = range.middle
    // What is in use is no probe: its acknowledgment tells as much.
    guard size > send.segment else { return .none }
    let text = Int(size) - fixedOptions
    let needed = text + (recovery.reordering + 1) * fullSegment
    guard send.queueEnd - send.next >= needed, Int(send.window) >= needed else { return .none }
    // No segment goes on beyond the end of a record.
    if let end = marks?.recordEnd(after: send.next), end - send.next < needed { return .none }
    if send.room < needed { return .waits }
    if outstanding.inFlight + 2 > window.segments { return outstanding.inFlight == 0 ? .none : .waits }
    guard !outstanding.isFull, pacer.mayLeave(now), sink.mayTransmitText() else { return .none }
    range.probe = size
    range.probeStart = send.next
    range.probeEnd = send.next + text
    search.set(range)
    // It takes the place of two.
    window.segments -= 1
    counters.pathProbes &+= 1
    pathNews.insert(.probe)
    sendNew(Piece(text: text, fin: false), isPushed: false, now: now, sink: &sink)
    return .sent
  }

  /// Nothing is left to try. Paths change: after a while all of it is tried again, from what is in use up (RFC 4821
  /// section 7.7; Linux's tcp_mtu_check_reprobe), whatever a router had said (RFC 8201 section 5.3).
  private mutating func searchAgain(_ range: PathSearch.Range, now: Instant) {
    guard now - range.since >= configuration.probeInterval else { return }
    send.pathSegment = send.routeSegment
    let high = min(send.segmentLimit, send.pathSegment)
    search.set(PathSearch.Range(low: min(send.segment, high), high: high, since: now))
  }

  /// A segment was acknowledged that was sent once, or the probe was.
  mutating func pathTook(_ segment: SentSegment) {
    guard var range = search.range else { return }
    if range.probe > 0, segment.end == range.probeEnd, segment.start == range.probeStart {
      pathProbeArrived(&range)
    } else {
      let size = segment.length + fixedOptions
      guard size > Int(range.low), size <= Int(send.segment) else { return }
      range.low = UInt16(size)
      range.high = max(range.high, range.low)
    }
    search.set(range)
    settleSegment()
  }

  /// RFC 4821 section 7.6.1: segments are as large from now on, and as many fewer go in a round trip.
  private mutating func pathProbeArrived(_ range: inout PathSearch.Range) {
    counters.pathProbesDelivered &+= 1
    pathNews.insert(.probeDelivered)
    recovery.priorThreshold = window.knownThreshold
    window.threshold = window.knownThreshold
    window.set(window.segments * (Int(send.segment) + 40) / (Int(range.probe) + 40))
    window.forgetCredit()
    range.low = range.probe
    range.probe = 0
  }

  /// The probe was found lost, and nothing beside it: section 7.6.2. True: so it was, and it is no congestion.
  mutating func takesProbeLoss() -> Bool {
    guard var range = search.range, range.probe > 0, recovery.phase == .open || recovery.phase == .disorder,
      send.unacknowledged == range.probeStart, outstanding.lost == 1, outstanding[0].marks.contains(.lost)
    else { return false }
    pathProbeFailed(&range, below: range.probe - 1)
    search.set(range)
    return giveUpLarge()
  }

  /// Nothing of the probe's size arrives.
  mutating func pathProbeFailed(_ range: inout PathSearch.Range, below size: UInt16) {
    counters.pathProbesLost &+= 1
    pathNews.insert(.probeLost)
    range.high = max(min(range.high, size), range.low)
    range.probe = 0
    // What the probe took of the window.
    window.set(window.segments + 1)
  }

  /// Something is sent again: whether the probe arrives says nothing any more (section 7.6.3).
  mutating func pathProbeIsInconclusive() {
    guard var range = search.range, range.probe > 0 else { return }
    range.probe = 0
    search.set(range)
  }

  /// Nothing was acknowledged for so long, though it was sent again and again: perhaps segments of this size vanish
  /// somewhere (RFC 4821 section 7.6.4, RFC 2923 section 2.1; Linux's tcp_mtu_probing). The first time they become as
  /// small as the base, then half as large each time.
  mutating func suspectBlackHole(now: Instant) {
    guard configuration.pathProbing != .never, configuration.blackHoleSegment == 0, attempts > 0,
      let first = recovery.firstRetransmission,
      Int32(bitPattern: timestamps.clock(now) &- first) >= Self.blackHoleMilliseconds
    else { return }
    let before = send.segment
    if var range = search.range {
      let half = min(configuration.probeBase, (range.low - UInt16(min(fixedOptions, Int(range.low)))) / 2)
      let size = max(half, configuration.probeFloor, configuration.minimumSegment)
      range.low = min(UInt16(clamping: Int(size) + fixedOptions), range.low)
      range.high = max(range.high, range.low)
      range.probe = 0
      search.set(range)
    } else {
      widenSearch(now: now)
    }
    settleSegment()
    guard send.segment < before else { return }
    counters.blackHoles &+= 1
    pathNews.insert(.blackHole)
  }

  /// The time that tcp_retries1 attempts take, three of them, with the shortest timeout.
  private static var blackHoleMilliseconds: Int32 { 3000 }
}
