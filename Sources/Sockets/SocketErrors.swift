// Failures that the network or a neighbour reports, on their way to a socket: as state and a wake-up, never
// as a nested call (L7).

import Exclusion
import Internet
import TCP
import Wire

/// What is left of an ICMP error while it waits at a connection's gate, in one word.
struct ReportedError {
  enum Kind: UInt64 { case none, host, network, port, `protocol`, tooBig, prohibited, timeExceeded, other }
  let kind: Kind
  let mtu: UInt16
  let sequence: SequenceNumber

  init(_ failure: DeliveryFailure) {
    var (kind, mtu) = (Kind.other, 0)
    switch failure.reason {
    case .hostUnreachable: kind = .host
    case .timeExceeded: kind = .timeExceeded
    case .networkUnreachable: kind = .network
    case .portUnreachable: kind = .port
    case .protocolUnreachable: kind = .protocol
    case .packetTooBig(let size): (kind, mtu) = (.tooBig, size)
    case .prohibited: kind = .prohibited
    case .parameterProblem: kind = .other
    }
    self.kind = kind
    self.mtu = UInt16(clamping: mtu)
    sequence = failure.sequence ?? SequenceNumber(0)
  }
  init(word: UInt64) {
    kind = Kind(rawValue: word & 0xFF) ?? .none
    mtu = UInt16(truncatingIfNeeded: word >> 16)
    sequence = SequenceNumber(UInt32(truncatingIfNeeded: word >> 32))
  }
  var word: UInt64 { kind.rawValue | UInt64(mtu) << 16 | UInt64(sequence.rawValue) << 32 }

  /// What a packet too big leaves for a segment, in bytes before options; nil: it makes no sense. Over IPv6 every link
  /// takes 1280 bytes (RFC 8201 section 4). Over IPv4 less than 552 bytes, or no number, as from a router before RFC
  /// 1191, counts as that (Linux's net.ipv4.route.min_pmtu): no attacker makes us send a few bytes at a time.
  func segment(isIPv4: Bool) -> Int? {
    if isIPv4 { return max(Int(mtu), 552) - 40 }
    return mtu < 1280 ? nil : Int(mtu) - 60
  }

  var networkError: TCPNetworkError {
    switch kind {
    case .host: .hostUnreachable
    case .network: .networkUnreachable
    case .port: .portUnreachable
    case .protocol: .protocolUnreachable
    case .prohibited: .prohibited
    case .timeExceeded: .timeExceeded
    case .none, .tooBig, .other: .other
    }
  }
}

/// Errors that wait at a connection's gate. The newest of each weight stays: a path that is too narrow is not
/// forgotten over a host that is away, nor a refusal over either.
struct ReportedErrors: ~Copyable {
  private let hard = AtomicWord(0)
  private let soft = AtomicWord(0)
  private let size = AtomicWord(0)

  /// Any context; the owner is told afterwards.
  func store(_ report: ReportedError) {
    switch report.kind {
    case .port, .protocol: hard.store(report.word)
    case .none, .host, .network, .prohibited, .timeExceeded, .other: soft.store(report.word)
    case .tooBig: size.store(report.word)
    }
  }
  /// The owner: the next one, each once.
  func take() -> ReportedError? {
    var word = hard.exchange(0)
    if word == 0 { word = soft.exchange(0) }
    if word == 0 { word = size.exchange(0) }
    return word == 0 ? nil : ReportedError(word: word)
  }
}

enum SocketErrors {
  static func tcp(_ failure: DeliveryFailure, _ cx: inout SoftInterrupt) {
    let key = FlowKey(
      localAddress: failure.local.address, localPort: failure.local.port,
      remoteAddress: failure.remote.address, remotePort: failure.remote.port)
    report(failure, key, &cx)
  }

  /// A segment in UDP did not arrive: whose it was stands in what it quotes of the datagram, if that is enough.
  private static func encapsulated(_ failure: DeliveryFailure, _ cx: inout SoftInterrupt) {
    guard let segment = failure.carried else { return }
    let key = FlowKey(
      localAddress: failure.local.address, localPort: segment.sourcePort,
      remoteAddress: failure.remote.address, remotePort: segment.destinationPort,
      encapsulation: failure.remote.port)
    var failure = failure
    failure.sequence = segment.sequence
    report(failure, key, &cx)
  }

  /// For the connection of `key`, if its segments travel as the one did that did not arrive.
  private static func report(_ failure: DeliveryFailure, _ key: FlowKey, _ cx: inout SoftInterrupt) {
    let sockets = SocketContextRef(cx)
    let hash = key.hash(sockets.hashKey)
    // Without the segment's sequence number anyone could have sent it (RFC 5927).
    guard failure.sequence != nil else { return }
    let home = sockets.home(hash: hash)
    guard let connection = sockets.shard(home).find(hash: hash, key) else {
      // A half-open connection is known at home only; elsewhere it is left to its timer.
      if home == cx.index { sockets.reportHalfOpen(failure, key, hash: hash, &cx) }
      return
    }
    guard unsafe connection.shared.pointee.key.encapsulation == key.encapsulation else { return }
    #if Explore
      if Mutation.networkErrorStoredAfterPosting.isOn {
        _ = connection.gate.submit(events: .reported, &cx)
        return unsafe connection.shared.pointee.reports.store(ReportedError(failure))
      }
    #endif
    unsafe connection.shared.pointee.reports.store(ReportedError(failure))
    #if Explore
      if Mutation.networkErrorRunsInPlace.isOn { return connection.errorReported(&cx) }
    #endif
    _ = connection.gate.submit(events: .reported, &cx)
  }

  static func udp(_ failure: DeliveryFailure, _ cx: inout SoftInterrupt) {
    let sockets = SocketContextRef(cx)
    if sockets.withLayer({ $0.encapsulationWord.isPort(failure.local.port) }), failure.remote.port != 0 {
      return encapsulated(failure, &cx)
    }
    let key = BindingKey(address: failure.local.address, port: failure.local.port, protocol: .udp)
    guard let datagram = sockets.datagram(key, from: failure.remote) else { return }
    datagram.report(failure, &cx)
  }
}

extension SocketError {
  init(_ error: TCPError) {
    self =
      switch error {
      case .refused: .connectionRefused
      case .reset: .connectionReset
      case .timedOut: .timedOut
      case .hostUnreachable: .hostUnreachable
      case .networkUnreachable: .networkUnreachable
      case .aborted: .connectionAborted
      case .sendClosed: .brokenPipe
      }
  }
}

#if Explore
  extension Mutation {
    /// An error from the network runs in the connection of whoever brings it, owned or not.
    static let networkErrorRunsInPlace = Mutation("networkErrorRunsInPlace")
    /// An error from the network is stored when its owner may have looked for it already.
    static let networkErrorStoredAfterPosting = Mutation("networkErrorStoredAfterPosting")
  }
#endif
