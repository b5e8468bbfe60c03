// The states of a neighbour (RFC 4861 section 7.3), for ARP as for neighbour discovery. All of it runs as
// owner of the cache's gate, on its home context.

import Buffers
import Exclusion
import SoftInterrupts
import Timing
import Wire

/// RFC 4861 section 10.
enum NeighborTiming {
  /// RETRANS_TIMER.
  static let retransmit: UInt64 = 1_000_000_000
  /// MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT.
  static let solicitations = 3
  /// DELAY_FIRST_PROBE_TIME.
  static let delay: UInt64 = 5_000_000_000
  /// REACHABLE_TIME, before it is spread by a factor of 0.5 to 1.5.
  static let reachable: UInt64 = 30_000_000_000
}

/// What an ARP or neighbour discovery message says about its sender.
struct NeighborNews {
  var address: IPAddress
  /// The station, if the message names one.
  var station: MACAddress?
  /// It answers a solicitation of ours: the way there works.
  var isSolicited: Bool
  /// It may replace a station that is already known.
  var overrides: Bool
  /// From an advertisement; nil from messages that do not say.
  var isRouter: Bool?
  /// Worth an entry even if nobody asked: somebody who asks for us will get packets from us.
  var createsEntry: Bool
}

extension InternetLayer {
  // MARK: Packets

  /// A packet for `packet.metadata.destination` that its sender could not address: it is sent, or waits, in
  /// the order in which it came (NB-PEND). `isCounted`: it is among the entry's pending ones already.
  func neighborResolve(
    _ packet: consuming Packet, isCounted: Bool, _ cache: NeighborCacheRef, _ cx: inout SoftInterrupt
  ) {
    let nextHop = packet.metadata.destination
    let neighbor: NeighborRef
    if let known = cache.find(nextHop) {
      neighbor = known
    } else {
      // A counted packet keeps its entry in the cache, so this one is a stranger.
      assert(!isCounted, "NB-PEND: an entry went away under a waiting packet")
      guard let made = cache.create(nextHop, requester: packet.metadata.source, &cx) else {
        cache.removeStranger()
        count(.neighborWaitOverflow, cx)
        return
      }
      neighbor = made
    }
    if !isCounted { neighbor.addPending() }
    if neighbor.state.isUsable {
      if neighbor.state == .stale { enterDelay(neighbor, &cx) }
      sendCounted(packet, neighbor, neighbor.loadWord().station, cache, &cx)
    } else {
      wait(packet, neighbor, cache, &cx)
    }
    if !isCounted { cache.removeStranger() }
  }

  private func wait(
    _ packet: consuming Packet, _ neighbor: NeighborRef, _ cache: NeighborCacheRef, _ cx: inout SoftInterrupt
  ) {
    count(.neighborWaits, cx)
    let source = packet.metadata.source
    if unsafe neighbor.entry.pointee.waiting.count >= cache.state.pointee.queueLimit {
      if let oldest = unsafe neighbor.entry.pointee.waiting.popFirst() {  // X4: the oldest gives way
        _ = consume oldest
        neighbor.removePending()
        count(.neighborWaitOverflow, cx)
      }
    }
    unsafe neighbor.entry.pointee.waiting.append(packet)
    guard unsafe neighbor.state == .failed || neighbor.entry.pointee.probes == 0 else { return }
    unsafe neighbor.entry.pointee.requester = source
    enter(.incomplete, neighbor, &cx)
    solicit(neighbor, cache, &cx)
  }

  /// Packets that waited leave in order, each by the queue of the context that sent it.
  private func releaseWaiting(
    _ neighbor: NeighborRef, _ station: MACAddress, _ cache: NeighborCacheRef, _ cx: inout SoftInterrupt
  ) {
    while let packet = unsafe neighbor.entry.pointee.waiting.popFirst() {
      sendCounted(packet, neighbor, station, cache, &cx)
    }
  }

  private func sendCounted(
    _ packet: consuming Packet, _ neighbor: NeighborRef, _ station: MACAddress, _ cache: NeighborCacheRef,
    _ cx: inout SoftInterrupt
  ) {
    #if Explore
      if Mutation.neighborPendingTakenOffFirst.isOn {
        neighbor.removePending()
        return sendToStation(packet, station, cache.interface, &cx)
      }
    #endif
    sendToStation(packet, station, cache.interface, &cx)
    neighbor.removePending()  // keeps NB-PEND: after the packet is with its transmit queue
  }

  /// Drops what waits, without telling anyone: the entry gives way to another.
  func dropWaiting(_ neighbor: NeighborRef, _ cache: NeighborCacheRef, _ cx: inout SoftInterrupt) {
    while let packet = unsafe neighbor.entry.pointee.waiting.popFirst() {
      _ = consume packet
      neighbor.removePending()
      count(.neighborUnreachableDrops, cx)
    }
  }

  // MARK: States

  private func enter(_ state: NeighborState, _ neighbor: NeighborRef, _ cx: inout SoftInterrupt) {
    neighbor.state = state
    unsafe neighbor.entry.pointee.since = cx.now
    unsafe neighbor.entry.pointee.probes = 0
    cx.cancel(neighbor.timer)
  }

  private func enterReachable(_ neighbor: NeighborRef, _ cache: NeighborCacheRef, _ cx: inout SoftInterrupt) {
    enter(.reachable, neighbor, &cx)
    // RFC 4861 section 6.3.4: so that neighbours do not all expire at once.
    let spread = NeighborTiming.reachable / 2 + cache.nextRandom() % NeighborTiming.reachable
    cx.arm(neighbor.timer, at: cx.now.adding(nanoseconds: spread))
  }

  private func enterDelay(_ neighbor: NeighborRef, _ cx: inout SoftInterrupt) {
    enter(.delay, neighbor, &cx)
    neighbor.setWord(station: neighbor.loadWord().station, usable: true, tell: false)
    cx.arm(neighbor.timer, at: cx.now.adding(nanoseconds: NeighborTiming.delay))
  }

  /// A sender met the entry stale, and used it.
  func neighborWasUsed(_ neighbor: NeighborRef, _ cache: NeighborCacheRef, _ cx: inout SoftInterrupt) {
    neighbor.clearUseNotice()
    if neighbor.state == .stale { enterDelay(neighbor, &cx) }
  }

  /// Asks for the neighbour, and for its timer to fire if there is no answer.
  private func solicit(_ neighbor: NeighborRef, _ cache: NeighborCacheRef, _ cx: inout SoftInterrupt) {
    unsafe neighbor.entry.pointee.probes += 1
    cx.arm(neighbor.timer, at: cx.now.adding(nanoseconds: NeighborTiming.retransmit))
    let known = neighbor.state == .probe ? neighbor.loadWord().station : nil
    sendSolicitation(
      for: neighbor.address, from: unsafe neighbor.entry.pointee.requester, to: known, cache.interface, &cx)
  }

  /// The entry's timer fired.
  func neighborExpired(_ neighbor: NeighborRef, _ cache: NeighborCacheRef, _ cx: inout SoftInterrupt) {
    guard !neighbor.timer.isArmed else { return }  // armed again meanwhile: that was the old one (TM-STALE)
    let confirmed = unsafe Instant(nanoseconds: neighbor.entry.pointee.confirmed.loadRelaxed())
    let isConfirmed = unsafe confirmed > neighbor.entry.pointee.since
    switch neighbor.state {
    case .incomplete, .probe:
      if neighbor.state == .probe, isConfirmed {
        enterReachable(neighbor, cache, &cx)
      } else if unsafe neighbor.entry.pointee.probes < NeighborTiming.solicitations {
        solicit(neighbor, cache, &cx)
      } else {
        fail(neighbor, cache, &cx)
      }
    case .reachable:
      let until = confirmed.adding(nanoseconds: NeighborTiming.reachable)
      if isConfirmed, until > cx.now {
        cx.arm(neighbor.timer, at: until)
      } else {
        enter(.stale, neighbor, &cx)
        neighbor.setWord(station: neighbor.loadWord().station, usable: true, tell: true)
      }
    case .delay:
      if isConfirmed {
        enterReachable(neighbor, cache, &cx)
      } else {
        enter(.probe, neighbor, &cx)
        solicit(neighbor, cache, &cx)
      }
    case .stale, .failed:
      break
    }
  }

  /// Nobody answered: what waited is reported to its transports, and the entry goes.
  private func fail(_ neighbor: NeighborRef, _ cache: NeighborCacheRef, _ cx: inout SoftInterrupt) {
    enter(.failed, neighbor, &cx)
    neighbor.setWord(station: .zero, usable: false, tell: false)
    count(.neighborsFailed, cx)
    var dropped = unsafe neighbor.entry.pointee.waiting.takeAll()
    for _ in 0..<dropped.count { neighbor.removePending() }
    // If a packet is on its way here the entry stays, and that packet asks again.
    _ = cache.remove(neighbor, &cx)
    while let packet = dropped.popFirst() {
      count(.neighborUnreachableDrops, cx)
      reportUnreachable(packet, &cx)
    }
  }

  // MARK: News

  /// RFC 4861 sections 7.2.3 and 7.2.5, RFC 826.
  func neighborLearned(_ news: NeighborNews, _ cache: NeighborCacheRef, _ cx: inout SoftInterrupt) {
    guard let neighbor = cache.find(news.address) else {
      guard news.createsEntry, let station = news.station,
        let made = cache.create(news.address, requester: .anyIPv6, &cx)
      else { return }
      enter(.stale, made, &cx)
      made.setWord(station: station, usable: true, tell: true)
      return
    }
    if let isRouter = news.isRouter { unsafe neighbor.entry.pointee.isRouter = isRouter }
    if !neighbor.state.isUsable {
      guard let station = news.station else { return }
      if news.isSolicited { enterReachable(neighbor, cache, &cx) } else { enter(.stale, neighbor, &cx) }
      // First those that wait, then the word: whoever sees it usable comes after them.
      releaseWaiting(neighbor, station, cache, &cx)
      neighbor.setWord(station: station, usable: true, tell: !news.isSolicited)
      return
    }
    let known = neighbor.loadWord().station
    let station = news.station ?? known
    // On a guarded link who has an address keeps it while it answers for it.
    let isGuarded = interface(cache.interface)?.isGuarded ?? false
    if station != known, isGuarded { count(.neighborClaimsRefused, cx) }
    if station != known, !news.overrides || isGuarded {
      if neighbor.state == .reachable {
        enter(.stale, neighbor, &cx)
        neighbor.setWord(station: known, usable: true, tell: true)
      }
      return
    }
    if news.isSolicited {
      enterReachable(neighbor, cache, &cx)
      neighbor.setWord(station: station, usable: true, tell: false)
    } else if station != known {
      enter(.stale, neighbor, &cx)
      neighbor.setWord(station: station, usable: true, tell: true)
    }
  }
}
