import Timing
import Wire

// How large segments may be: what the peer takes, what the route and its routers say, and what the search has found.
extension TCPConnection {
  /// The size in use follows from the bounds. Not below `minimumSegment`, whatever anybody says.
  mutating func settleSegment() {
    var size = min(send.segmentLimit, send.pathSegment)
    if let range = search.range { size = min(size, range.low) }
    send.segment = max(size, configuration.minimumSegment)
  }

  /// The path takes segments of at most `segment` bytes of payload before options (its MTU less the headers of
  /// IP and TCP), a router says. What is out and was larger is sent again at once, without a change of the congestion
  /// window: the loss was not congestion (RFC 1191 section 6.5).
  ///
  /// Whoever is not on the path could say so too. So the message must quote a segment that is out, and one that was too
  /// large by its word (RFC 5927 section 7, RFC 8201 section 4).
  ///
  /// - Parameters:
  ///   - segment: bytes; less than `minimumSegment` counts as that. More than the path is known to take is ignored.
  ///   - sequence: the sequence number of the quoted segment; nil if the path was learned otherwise.
  ///   - now: the time.
  ///   - sink: where segments go.
  public mutating func pathSegment(
    _ segment: Int, sequence: SequenceNumber?, now: Instant, sink: inout some TCPSink & ~Copyable
  ) -> TCPEffects {
    let size = UInt16(clamping: max(segment, Int(configuration.minimumSegment)))
    if let sequence {
      guard send.unacknowledged <= sequence, sequence < send.maximum else {
        counters.errorsOutOfWindow &+= 1
        return TCPEffects()
      }
      let index = outstanding.index(of: sequence)
      // 40: what options take at most. What was cut since is not what is complained of.
      if index < outstanding.count, outstanding[index].length + 40 <= Int(size) { return TCPEffects() }
    }
    guard size < send.pathSegment else { return TCPEffects() }
    send.pathSegment = size
    if var range = search.range {
      range.high = min(range.high, size)
      range.low = min(range.low, range.high)
      if range.probe > size {
        pathProbeFailed(&range, below: size)
      }
      search.set(range)
    } else if configuration.pathProbing != .never {
      // It takes no more now. In a while a probe shall tell whether that has changed (RFC 8201 section 5.3).
      search.set(PathSearch.Range(low: size, high: size, since: now))
    }
    let before = Int(send.segment)
    settleSegment()
    // BSD counts its window in bytes: the same text is out in more segments.
    if configuration.personality == .bsd, send.segment < before {
      window.set(window.segments * before / Int(send.segment))
    }
    if state == .synSent { narrowSyn(to: size, now: now, sink: &sink) }
    guard state.maySendText, !outstanding.isEmpty, giveUpLarge() else { return TCPEffects() }
    retransmitLost(now: now, sink: &sink)
    armSendTimers(now: now)
    return TCPEffects()
  }

  /// TCP_MAXSEG of a connection that is open, FreeBSD's way: from here on segments are no larger, and cannot be made larger
  /// again. With Linux's habits it changes nothing.
  ///
  /// - Parameter segment: bytes before options; less than `minimumSegment` counts as that.
  public mutating func lowerSegment(to segment: UInt16) {
    guard configuration.personality == .bsd, state.isSynchronized, segment < send.segmentLimit else { return }
    send.segmentLimit = max(segment, configuration.minimumSegment)
    if var range = search.range {
      range.high = min(range.high, send.segmentLimit)
      range.low = min(range.low, range.high)
      search.set(range)
    }
    settleSegment()
  }

  /// Bytes of payload before options that the path is thought to take.
  public var pathSegment: Int { Int(send.pathSegment) }

  /// What is known of the path before anything was sent on it: routers have told connections before this one. A larger size
  /// than the route's says nothing.
  ///
  /// - Parameter segment: bytes of payload before options; less than `minimumSegment` counts as that.
  public mutating func pathKnown(segment: Int) {
    let size = UInt16(clamping: max(segment, Int(configuration.minimumSegment)))
    guard size < send.pathSegment else { return }
    send.pathSegment = size
    if var range = search.range {
      range.high = min(range.high, size)
      range.low = min(range.low, range.high)
      search.set(range)
    }
    settleSegment()
  }

  /// The route takes segments of at most `segment` bytes of payload before options now: it has changed, or its MTU has.
  /// What routers had said of the old one is forgotten. What is out stays out.
  ///
  /// - Parameter segment: bytes; less than `minimumSegment` counts as that.
  public mutating func routeChanged(segment: Int) {
    let size = UInt16(clamping: max(segment, Int(configuration.minimumSegment)))
    guard size != send.routeSegment else { return }
    send.routeSegment = size
    send.pathSegment = size
    guard var range = search.range else { return settleSegment() }
    range.high = send.segmentLimit
    range.low = min(range.low, size)
    search.set(range)
    // What is in use is known to arrive; more than that is for the search to say.
    send.segment = max(min(send.segment, size), configuration.minimumSegment)
  }

  /// Everything that is out and larger than a segment may be now is lost, and no congestion (Linux's
  /// tcp_simple_retransmit). What is lost is cut anew from its head on: cut one by one, each of the old segments would leave
  /// a short one behind, now and whenever it is lost again. False: there is nothing like that.
  mutating func giveUpLarge() -> Bool {
    var isAnyLarge = false
    for index in 0..<outstanding.count where outstanding[index].length > fullSegment {
      markLost(index)
      isAnyLarge = true
    }
    if isAnyLarge {
      let (queue, records) = (send.queueEnd, marks)
      outstanding.recut(to: fullTextSegment, finEnd: send.finQueued ? queue + 1 : nil) {
        records?.recordEnd(after: $0)
      }
    }
    guard outstanding.lost > 0 else { return false }
    if recovery.phase != .loss {
      window.threshold = window.knownThreshold
      recovery.priorThreshold = nil
      recovery.undoMarker = nil
      recovery.enter(.loss, until: send.next)
    }
    return true
  }
}
