// Fragments on their way in: put together where they are at home, and received again as the packet that they are
// (RFC 791 section 3.2, RFC 815, RFC 8200 section 4.5, RFC 5722, RFC 6946).

import Buffers
import Exclusion
import SoftInterrupts
import Timing
import Wire

/// How long what is missing is waited for.
private enum Patience {
  /// RFC 1122 section 3.3.2 wants 60 to 120 seconds; Linux and this stack wait for less, as memory is bounded.
  static let ipv4 = Nanoseconds.seconds(30)
  /// RFC 8200 section 4.5.
  static let ipv6 = Nanoseconds.seconds(60)
}

extension InternetLayer {
  /// A piece of an IPv4 packet for us, with its header of `headerCount` bytes.
  func receiveFragment(
    _ packet: consuming Packet, _ header: IPv4Header, _ cx: inout SoftInterrupt
  ) {
    count(.ipv4Fragment, cx)
    packet.trimFront(header.byteCount)
    let note = FragmentNote(
      offset: Int(header.fragmentOffset), hasMore: header.moreFragments, number: header.protocol,
      identification: UInt32(header.identification))
    guard isPossible(note, packet.totalCount, beside: header.byteCount) else {
      return drop(packet, .fragmentMalformed, &cx)
    }
    bringHome(packet, note, &cx)
  }

  /// A piece of an IPv6 packet for us, from its IPv6 header on; `at`: where its fragment header is.
  func receiveFragment(
    _ packet: consuming Packet, _ fragment: IPv6Fragment, at offset: Int, _ cx: inout SoftInterrupt
  ) {
    count(.ipv6Fragment, cx)
    let note = FragmentNote(
      offset: Int(fragment.offset), hasMore: fragment.moreFragments, number: fragment.nextHeader,
      identification: fragment.identification)
    packet.trimFront(offset + IPv6Fragment.byteCount)
    guard isPossible(note, packet.totalCount, beside: 0) else {
      // RFC 8200 section 4.5: a length that is no multiple of 8 is the payload length's fault, one beyond the largest
      // packet the offset's.
      let isLength = note.hasMore && packet.totalCount & 7 != 0
      count(.fragmentMalformed, cx)
      return reject(
        packet,
        .parameterProblem(code: ICMPv6Message.Problem.headerField, pointer: isLength ? 4 : offset + 2), &cx)
    }
    bringHome(packet, note, &cx)
  }

  private func isPossible(_ note: FragmentNote, _ count: Int, beside header: Int) -> Bool {
    count > 0 && (!note.hasMore || count & 7 == 0) && note.offset + count + header <= 65_535
  }

  /// All fragments of a packet meet in one context.
  private func bringHome(_ packet: consuming Packet, _ note: FragmentNote, _ cx: inout SoftInterrupt) {
    note.store(in: &packet)
    let home = FragmentName(packet, note).home(of: contexts.count)
    if home == cx.index { return takeFragment(packet, &cx) }
    let item = packet.intoItem()
    item.kind = InternetKind.fragment
    contexts.port(home).post(item)
  }

  /// At home.
  func takeFragment(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    let note = FragmentNote(of: packet)
    let name = FragmentName(packet, note)
    let bytes = packet.occupiedBytes
    let known = withFragments(cx) { $0.find(name) }
    while withFragments(cx, { !$0.hasRoom(for: bytes, isNew: known == nil) }) {
      // Of its own packet nothing is given up for it.
      guard let oldest = withFragments(cx, { $0.count > 0 && $0.find(name) != 0 ? 0 : nil }) else {
        return drop(packet, .fragmentOverflow, &cx)
      }
      count(.fragmentOverflow, cx)
      _ = withFragments(cx) { $0.remove(oldest) }
    }
    let patience = name.destination.isIPv4 ? Patience.ipv4 : Patience.ipv6
    let now = cx.now
    var fresh: Packet? = consume packet
    let (index, outcome) = withFragments(cx) { table -> (Int, PartialPacket.Outcome) in
      let index = table.find(name) ?? table.begin(name, deadline: now + patience)
      guard let packet = fresh.take() else { return (index, .kept) }
      return (index, table.add(packet, at: index))
    }
    switch outcome {
    case .kept: break
    case .repeated: count(.fragmentRepeated, cx)
    case .contradicts:
      count(.fragmentOverlap, cx)
      _ = withFragments(cx) { $0.remove(index) }
    case .complete:
      let whole = withFragments(cx) { $0.remove(index) }
      join(whole, &cx)
    }
    armFragmentTimer(&cx)
  }

  /// The packet that the fragments are, received as if it had come so.
  private func join(_ whole: consuming PartialPacket, _ cx: inout SoftInterrupt) {
    var pieces = PacketQueue()
    let isMarked = whole.isMarked
    let byteCount = whole.byteCount
    pieces.append(contentsOf: whole.takePieces())
    let first = pieces.withFirst { (metadata: $0.metadata, note: FragmentNote(of: $0)) }
    guard let first, let interface = interface(first.metadata.interface) else { return }
    guard var packet = cx.pool.gather(byteCount, &pieces) else { return count(.poolExhausted, cx) }
    packet.metadata = first.metadata
    packet.metadata.flags.remove(.checksumVerified)
    packet.metadata.flags.insert(.joined)
    packet.metadata.offload = PacketOffload()
    packet.metadata.sequence = 0
    packet.metadata.flowHash = 0
    if isMarked { packet.metadata.trafficClass |= CongestionNotification.experienced.rawValue }
    // What was in front of the first fragment was looked at when that came: the whole has a plain header.
    buildHeader(
      &packet, packet.metadata.source, packet.metadata.destination, first.note.number, identification: 0)
    count(.fragmentsJoined, cx)
    if packet.metadata.destination.isIPv4 {
      packet.trimFront(IPv4Header.fixedByteCount)
      deliverIPv4(packet, first.note.number, &cx)
    } else {
      deliverIPv6(packet, interface, &cx)
    }
  }

  // MARK: What does not come

  private func armFragmentTimer(_ cx: inout SoftInterrupt) {
    let timer = fragmentTimer(cx)
    guard let deadline = withFragments(cx, { $0.nextDeadline }) else { return cx.cancel(timer) }
    if !timer.isArmed || timer.deadline > deadline { cx.arm(timer, at: deadline) }
  }

  func fragmentTimerFired(_ cx: inout SoftInterrupt) {
    let now = cx.now
    while let index = withFragments(cx, { $0.expired(now) }) {
      var partial = withFragments(cx) { $0.remove(index) }
      count(.fragmentTimedOut, cx)
      // Told only if the first fragment came, which has what the sender is to see (RFC 792, RFC 4443 section 3.3).
      guard partial.hasStart() else { continue }
      var pieces = partial.takePieces()
      if let first = pieces.popFirst() { reject(first, .reassemblyTimeExceeded, &cx) }
    }
    armFragmentTimer(&cx)
  }

  /// Drops what is not whole: the last part of a shutdown. At home.
  func forgetFragments(_ cx: inout SoftInterrupt) {
    while withFragments(cx, { $0.count > 0 }) { _ = withFragments(cx) { $0.remove(0) } }
    armFragmentTimer(&cx)
  }
}
