import Exclusion
import Timing
import Wire

/// What a DHCP server says (RFC 2131 sections 4.3 and 4.4): a message in, a message out. One thread at a time.
struct AddressDesk: ~Copyable {
  /// An answer, and where it goes.
  struct Answer: Equatable {
    var message: DHCPMessage
    /// Nil: everybody on the link, for the guest has no address yet that it answers for.
    var destination: IPv4Address?
  }
  private let configuration: AddressServerConfiguration
  private var pool: AddressPool
  private let counters: AddressCounters

  init(_ configuration: AddressServerConfiguration, _ counters: AddressCounters) {
    self.configuration = configuration
    self.counters = counters
    pool = AddressPool(configuration.pool, reserved: configuration.reserved)
    counters.pool.set(UInt64(pool.range.count))
  }

  mutating func answer(_ message: DHCPMessage, _ now: Instant) -> Answer? {
    // There are no relays on a link of ours; and what another server says is not for us.
    guard !message.isReply, message.relay.isUnspecified, message.hardware.isUnicast,
      message.hardware != .zero
    else {
      counters.ignored.increment()
      return nil
    }
    let answer: Answer?
    switch message.kind {
    case .discover: answer = offer(message, now)
    case .request: answer = request(message, now)
    case .inform: answer = inform(message)
    case .release:
      counters.releases.increment()
      if !pool.release(message.clientAddress, message.hardware) { counters.ignored.increment() }
      answer = nil
    case .decline:
      counters.declines.increment()
      if let address = message.requestedAddress { _ = pool.decline(address, message.hardware, now) }
      answer = nil
    case .offer, .acknowledge, .refuse:
      counters.ignored.increment()
      answer = nil
    }
    counters.taken.set(UInt64(pool.taken(now)))
    return answer
  }

  private mutating func offer(_ message: DHCPMessage, _ now: Instant) -> Answer? {
    counters.discovers.increment()
    guard let address = pool.offer(message.hardware, wish: message.requestedAddress, now) else {
      counters.exhausted.increment()
      return nil
    }
    counters.offers.increment()
    return reply(.offer, to: message, address, lease(now))
  }

  private mutating func request(_ message: DHCPMessage, _ now: Instant) -> Answer? {
    counters.requests.increment()
    // It took another server's.
    if let server = message.server, server != configuration.server { return nil }
    // What is renewed is in use; what is selected, or remembered, is asked for.
    let isInUse = !message.clientAddress.isUnspecified
    guard let wanted = isInUse ? message.clientAddress : message.requestedAddress else {
      counters.ignored.increment()
      return nil
    }
    let seconds = lease(now)
    let until = now + Nanoseconds.seconds(Int64(seconds))
    guard configuration.isOnLink(wanted) || configuration.reserved[message.hardware] == wanted,
      pool.take(wanted, message.hardware, until: until, now)
    else {
      counters.refusals.increment()
      return reply(.refuse, to: message, nil)
    }
    counters.acknowledgments.increment()
    return reply(.acknowledge, to: message, wanted, seconds)
  }

  private func inform(_ message: DHCPMessage) -> Answer? {
    counters.informs.increment()
    guard !message.clientAddress.isUnspecified, configuration.isOnLink(message.clientAddress) else {
      counters.ignored.increment()
      return nil
    }
    return reply(.acknowledge, to: message, nil)
  }

  private func lease(_ now: Instant) -> UInt32 {
    let most = pool.isScarce(now) ? configuration.scarceLeaseSeconds : UInt32.max
    return max(120, min(configuration.leaseSeconds, most))
  }

  /// `address`: what the guest gets, and for how many seconds; nil: none.
  private func reply(
    _ kind: DHCPMessage.Kind, to message: DHCPMessage, _ address: IPv4Address?, _ lease: UInt32 = 0
  ) -> Answer {
    var reply = DHCPMessage(
      kind, isReply: true, transaction: message.transaction, hardware: message.hardware,
      options: [.server(configuration.server)])
    reply.wantsBroadcast = message.wantsBroadcast
    if kind != .refuse {
      reply.clientAddress = kind == .acknowledge ? message.clientAddress : IPv4Address(0)
      if let address {
        reply.yourAddress = address
        reply.options += [
          .leaseSeconds(lease), .renewalSeconds(lease / 2), .rebindingSeconds(lease / 8 * 7),
        ]
      }
      reply.options += configuration.options
    }
    // A refusal is for everybody to hear (section 4.3.2); so is what a guest without an address gets.
    let isKnown = kind != .refuse && !message.clientAddress.isUnspecified
    return Answer(message: reply, destination: isKnown ? message.clientAddress : nil)
  }
}

extension DHCPMessage {
  var requestedAddress: IPv4Address? {
    for option in options { if case .requestedAddress(let address) = option { return address } }
    return nil
  }
  var server: IPv4Address? {
    for option in options { if case .server(let address) = option { return address } }
    return nil
  }
}
