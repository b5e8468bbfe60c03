// Fast Open at a listener (RFC 7413 section 4.2.2): a SYN whose cookie is good makes the child at once.

import Buffers
import Exclusion
import SoftInterrupts
import TCP
import Timing
import Wire

extension Handshake {
  /// What a SYN gets of Fast Open.
  enum FastOpenAnswer {
    /// Nothing: it did not ask, or the listener does not offer it.
    case no
    /// A cookie in the SYN-ACK, in the form in which it asked.
    case cookie(TCPFastOpenForm)
    /// The child is made; the SYN-ACK has this option, if any.
    case yes(TCPFastOpenAttempt?)
  }

  /// Looks at a SYN's option and text. The home context of the flow.
  static func fastOpen(
    _ arrived: HandshakeSegment, _ listener: ListenerRef, _ configuration: TCPConfiguration,
    _ cx: inout SoftInterrupt
  ) -> FastOpenAnswer {
    let settings = configuration.fastOpen
    let option = arrived.segment.options.fastOpenCookie
    let limit = unsafe listener.state.pointee.fastOpenLimit.load()
    guard settings.contains(.server), limit > 0, option != nil || arrived.payloadCount > 0 else { return .no }
    if settings.contains(.serverWithoutCookie) { return .yes(nil) }
    guard let cookie = option else { return .no }
    let form = arrived.segment.options.fastOpenIsExperimental ? TCPFastOpenForm.experimental : .standard
    guard cookie.count > 0 else { return .cookie(form) }
    let sockets = SocketContextRef(cx)
    let cookies = sockets.withLayer { $0.fastOpenKeys.cookies }
    let (local, remote) = (arrived.key.localAddress, arrived.key.remoteAddress)
    switch cookies.examine(cookie, local: local, remote: remote) {
    case .good: return .yes(nil)
    case .old:
      sockets.counters.fastOpenOldCookies.increment()
      return .yes(TCPFastOpenAttempt(cookie: cookies.cookie(local: local, remote: remote), form: form))
    case .wrong:
      sockets.counters.fastOpenCookiesRefused.increment()
      return .cookie(form)
    }
  }

  /// Makes the child of a SYN that may bring text. False: there is no place, and the SYN opens in the ordinary way. The
  /// child needs no entry in the SYN cache: nothing of the peer's but the same SYN can come before the table has it, and
  /// then the table has one of the two.
  static func openFast(
    _ packet: consuming Packet, _ arrived: HandshakeSegment, _ answer: TCPFastOpenAttempt?,
    _ configuration: TCPConfiguration, _ listener: ListenerRef, _ cx: inout SoftInterrupt
  ) -> Bool {
    let sockets = SocketContextRef(cx)
    guard listener.takeFastOpenPlace(now: cx.now) else {
      sockets.counters.fastOpenOverflows.increment()
      return false
    }
    guard listener.takePlace() else {
      listener.leaveFastOpenPlace()
      sockets.counters.acceptQueueFull.increment()
      return false
    }
    let now = cx.now
    let (iss, offset) = sockets.numbers(arrived.key, now: now)
    let made = makeChild(arrived, listener, &cx) {
      TCPConnection.passive(
        syn: arrived.segment, iss: iss, timestampOffset: offset, configuration: configuration, now: now)
    }
    guard let child = made else {
      listener.leavePlace()
      listener.leaveFastOpenPlace()
      return false
    }
    // One reference for each of the two places.
    listener.retain()
    listener.retain()
    unsafe child.shared.pointee.listener.store(listener.address)
    unsafe child.owned.pointee.fastOpenListener = listener
    unsafe child.owned.pointee.fastOpenAnswer = answer
    unsafe child.owned.pointee.early.append(packet.intoItem())
    sockets.counters.fastOpenPassive.increment()
    sockets.insert(child, &cx)
    return true
  }
}
