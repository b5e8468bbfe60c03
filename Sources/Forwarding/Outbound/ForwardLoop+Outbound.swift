import CLinux
import Exclusion
import Glibc
import Sockets
import Wire

// How connections that the guest asks for are opened by the host, and then to the guest.

extension ForwardLoop {
  /// Connections that are begun in a row.
  private static let requestBatch = 64

  /// Begins what the guest has asked for. Not while a publication is out: what it would take is what the wake-up is for.
  func takeRequests() {
    guard isOutbound, requestTicket == nil, wasAsked || !requests.isEmpty || layer.hasRequests else {
      return
    }
    if wasAsked, requests.isEmpty, !layer.hasRequests { layer.wakeAccount.counters.wasted.increment() }
    wasAsked = false
    guard let outbound else { return }
    for _ in 0..<Self.requestBatch {
      guard let request = layer.takeRequest(&requests) else { return }
      dial(request, outbound)
    }
  }

  /// Says that requests are waited for. False: there are some.
  func waitForRequests() -> Bool {
    guard isOutbound, requestTicket == nil, let point = layer.requestPoint else { return true }
    let published = point.waiter.publish(need: 1, bell.requestTarget())
    // Looked at again after the publication (SB-ATOMIC).
    if layer.hasRequests, point.waiter.retract(published) {
      bell.forgetTarget()
      return false
    }
    requestTicket = published
    return true
  }

  /// The wake-up came.
  func hearRequest() {
    guard let published = requestTicket, let point = layer.requestPoint else { return }
    point.waiter.finish(published)
    point.account.counters.delivered.increment()
    requestTicket = nil
    wasAsked = true
  }

  /// What was asked for is refused, from now on as well.
  func endRequests() {
    if let requestTicket, let point = layer.requestPoint, point.waiter.retract(requestTicket) {
      bell.forgetTarget()
    }
    layer.closeRequests(&requests)
  }

  private func dial(_ request: consuming ConnectionRequest, _ outbound: OutboundPolicy) {
    let counters = outboundCounters
    counters.accepted.increment()
    let target: SocketAddress
    switch outbound.decide(request.destination) {
    case .carry(let address): target = address
    case .refuse(let verdict):
      counters.denied.increment()
      return request.refuse(verdict)
    }
    guard openOutbound < outbound.limit else {
      counters.refusedAtLimit.increment()
      return request.refuse(.reset)
    }
    let descriptor = unsafe target.address.withNetworkOrder { bytes in
      unsafe outbound.source(for: target).withNetworkOrder { source in
        unsafe sluice_tcp_connect(bytes.baseAddress, Int32(bytes.count), target.port, source)
      }
    }
    switch descriptor {
    case 0...: break
    case -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM:
      counters.refusedAtLimit.increment()
      return request.refuse(.reset)
    default:
      counters.count(refusal: -descriptor)
      return request.refuse(ConnectionVerdict(errno: -descriptor))
    }
    guard let (slot, token) = watch(descriptor) else {
      counters.refusedAtLimit.increment()
      sluice_tcp_close(descriptor)
      return request.refuse(.reset)
    }
    let connection = CarriedConnection(token: token, descriptor: descriptor, target: target, request)
    carried[slot] = connection
    countOpen(1, connection)
  }

  /// The host's peer has taken the connection: so may the guest.
  func admit(_ slot: Int, _ connection: CarriedConnection) {
    guard let request = connection.request.take() else { return }
    var options = layer.options(limits: Forwarder.buffers)
    options.tcp.noDelay = true
    let answer = request.accept(options)
    opening.append(slot)
    let published = answer.point.waiter.publish(need: 1, bell.answerTarget())
    connection.phase = .admitting(answer, published)
    // Looked at again after the publication (SB-ATOMIC). A wake-up that is under way comes, and is taken.
    if answer.isReady, answer.point.waiter.retract(published) {
      bell.forgetTarget()
      connection.phase = .admitting(answer, nil)
      takeAnswers()
    }
  }
}
