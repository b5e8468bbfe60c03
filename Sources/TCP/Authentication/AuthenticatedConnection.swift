public import Wire

/// What became of segments and errors by their authentication.
@frozen public struct TCPAuthenticationCounters: Hashable, Sendable {
  /// Segments with the right code.
  public var good: UInt64 = 0
  /// Dropped: the code is wrong, or has another length than the key's.
  public var bad: UInt64 = 0
  /// Dropped: no key has the segment's KeyID.
  public var keyNotFound: UInt64 = 0
  /// Dropped: there is no code.
  public var required: UInt64 = 0
  /// ICMP messages that were not believed (RFC 5925 section 7.8).
  public var ignoredErrors: UInt64 = 0
}

/// How a connection's authentication stands (RFC 5925 section 7.1).
public struct TCPAuthenticationInfo: Sendable {
  /// The keys.
  public var keys: [TCPAuthenticationKey] = []
  /// SendID of the key that is sent with: KeyID of our segments.
  public var current: UInt8 = 0
  /// RecvID of the key that the peer is asked for: RNextKeyID of our segments.
  public var next: UInt8 = 0
  /// KeyID and RNextKeyID of the last authentic segment; nil: there was none.
  public var received: (keyID: UInt8, nextKeyID: UInt8)?
  /// What became of the connection's segments.
  public var counters = TCPAuthenticationCounters()

  /// Nothing is known.
  public init() {}
}

/// What is changed of a connection's keys while it lives.
public enum TCPAuthenticationChange: Sendable {
  /// Another key can be used from now on.
  case add(TCPAuthenticationKey)
  /// A key is forgotten. If it is sent with, or asked for, another one takes its place in the same step.
  case remove(sendID: UInt8, receiveID: UInt8, current: UInt8?, next: UInt8?)
  /// The key that is sent with, by its SendID, and the one that the peer is asked for, by its RecvID; nil: as before.
  case choose(current: UInt8?, next: UInt8?)
  /// Whether ICMP is believed.
  case acceptNetworkErrors(Bool)
}

/// A segment's look-up in a connection's keys.
public enum TCPReceivedCode {
  /// The code to compare with.
  case code(TCPSegmentCode)
  /// Nothing has its KeyID.
  case keyNotFound
  /// Its length is not the key's.
  case wrongLength
}

/// What a connection knows of its authentication: keys, which of them are in use, and its numbers in 64 bits. Made when
/// the flow of a connection is known and keys cover it; its owner alone uses it.
public final class TCPAuthenticatedConnection {
  private struct Installed {
    let key: TCPAuthenticationKey
    /// Keys for all but SYNs, made when they are first used.
    var send: KeptTrafficKey?
    var receive: KeptTrafficKey?

    /// The code of one direction, by its traffic key, which is made when it is first wanted.
    static func code(
      _ kept: inout KeptTrafficKey?, _ key: TCPAuthenticationKey, _ context: @autoclosure () -> TCPKeyContext
    ) -> KeyedCode {
      if let kept { return kept.code }
      let made = KeptTrafficKey(key.keyed(context()))
      kept = made
      return made.code
    }
  }

  private var installed: [Installed]
  /// Places of the two keys.
  private var current: Int
  private var next: Int
  /// The application has chosen them: the handshake does not.
  private let isCurrentChosen: Bool, isNextChosen: Bool
  private let local: SocketAddress
  private let remote: SocketAddress
  /// Initial sequence numbers; the peer's is nil until its SYN has come.
  private var localInitial: SequenceNumber?
  private var remoteInitial: SequenceNumber?
  private var sent = SequenceExtension(initial: SequenceNumber(0))
  private var arrived = SequenceExtension(initial: SequenceNumber(0))
  private var received: (keyID: UInt8, nextKeyID: UInt8)?
  /// ICMP is believed.
  public private(set) var acceptsNetworkErrors: Bool
  /// What became of the connection's segments. The environment counts.
  public var counters = TCPAuthenticationCounters()

  /// Nil: no key covers the flow.
  public init?(_ settings: TCPAuthenticationSettings, local: SocketAddress, remote: SocketAddress) {
    let keys = settings.keys.matching(remote: remote, localPort: local.port)
    guard !keys.isEmpty else { return nil }
    installed = keys.map { Installed(key: $0) }
    current = settings.current.flatMap { id in keys.firstIndex { $0.sendID == id } } ?? 0
    next = settings.next.flatMap { id in keys.firstIndex { $0.receiveID == id } } ?? current
    isCurrentChosen = settings.current != nil
    isNextChosen = settings.next != nil
    self.local = local
    self.remote = remote
    acceptsNetworkErrors = settings.acceptsNetworkErrors
  }

  /// The handshake went on before there was a connection, under the IDs of the peer's segments: what it sent with is
  /// asked for, and what it asked for is sent with, if it is there (RFC 5925 sections 6.1, 7.5).
  public func resume(
    local: SequenceNumber, remote: SequenceNumber, keyID: UInt8, nextKeyID: UInt8
  ) {
    localInitial = local
    sent = SequenceExtension(initial: local)
    settle(remote)
    if let place = place(receiveID: keyID) {
      if !isCurrentChosen { current = place }
      if !isNextChosen { next = place }
    }
    if let place = place(sendID: nextKeyID) { current = place }
  }

  private func settle(_ initial: SequenceNumber) {
    guard remoteInitial != initial else { return }
    remoteInitial = initial
    arrived = SequenceExtension(initial: initial)
    for index in installed.indices { (installed[index].send, installed[index].receive) = (nil, nil) }
  }

  private func place(sendID: UInt8) -> Int? { installed.firstIndex { $0.key.sendID == sendID } }
  private func place(receiveID: UInt8) -> Int? { installed.firstIndex { $0.key.receiveID == receiveID } }

  /// Bytes of the option, padding included.
  public var optionByteCount: UInt8 { installed[current].key.optionByteCount }

  // MARK: Segments

  /// What makes the code of a segment that leaves (RFC 5925 section 7.4).
  public func outgoing(_ sequence: SequenceNumber, _ flags: TCPFlags) -> TCPSegmentCode {
    let key = installed[current].key
    let code: KeyedCode
    var high: UInt32 = 0
    if flags.contains(.syn), !flags.contains(.ack) {
      if localInitial != sequence {
        localInitial = sequence
        sent = SequenceExtension(initial: sequence)
      }
      code = key.keyed(TCPKeyContext(from: local, sequence, to: remote, SequenceNumber(0)))
    } else {
      if flags.contains([.syn, .ack]), localInitial == nil {
        localInitial = sequence
        sent = SequenceExtension(initial: sequence)
      }
      high = sent.value(of: sequence)
      sent.take(sequence)
      code = Installed.code(
        &installed[current].send, key,
        TCPKeyContext(
          from: local, localInitial ?? SequenceNumber(0), to: remote, remoteInitial ?? SequenceNumber(0)))
    }
    return TCPSegmentCode(
      key, code, keyID: key.sendID, nextKeyID: installed[next].key.receiveID, sequenceExtension: high)
  }

  /// What the code of a segment that arrived has to be (RFC 5925 section 7.5).
  ///
  /// - Parameters:
  ///   - segment: without its text.
  ///   - option: its option.
  ///   - isOpening: in SYN-SENT; the peer's initial number is what its SYN, or reset, says.
  public func incoming(_ segment: TCPSegment, _ option: TCPAuthentication, isOpening: Bool) -> TCPReceivedCode
  {
    guard let place = place(receiveID: option.keyIdentifier) else { return .keyNotFound }
    let key = installed[place].key
    guard option.code.count == key.algorithm.codeByteCount else { return .wrongLength }
    let isSyn = segment.flags.contains(.syn)
    let code: KeyedCode
    var high: UInt32 = 0
    if isSyn, !segment.flags.contains(.ack) {
      code = key.keyed(TCPKeyContext(from: remote, segment.sequence, to: local, SequenceNumber(0)))
    } else if isOpening {
      let initial = isSyn || segment.flags.contains(.rst) ? segment.sequence : SequenceNumber(0)
      code = key.keyed(TCPKeyContext(from: remote, initial, to: local, localInitial ?? SequenceNumber(0)))
    } else {
      high = arrived.value(of: segment.sequence)
      code = Installed.code(
        &installed[place].receive, key,
        TCPKeyContext(
          from: remote, remoteInitial ?? SequenceNumber(0), to: local, localInitial ?? SequenceNumber(0)))
    }
    return .code(
      TCPSegmentCode(
        key, code, keyID: option.keyIdentifier, nextKeyID: option.nextKeyIdentifier, sequenceExtension: high))
  }

  /// A segment was authentic: what it tells of numbers and keys. The peer is sent what it asks for from now on, if that
  /// is there (section 7.5).
  public func accept(_ segment: TCPSegment, _ option: TCPAuthentication, isOpening: Bool) {
    counters.good += 1
    received = (option.keyIdentifier, option.nextKeyIdentifier)
    let isSyn = segment.flags.contains(.syn)
    if isOpening, isSyn {
      settle(segment.sequence)
    } else if !isSyn || segment.flags.contains(.ack) {
      arrived.take(segment.sequence)
    }
    if installed[current].key.sendID != option.nextKeyIdentifier,
      let place = place(sendID: option.nextKeyIdentifier)
    {
      current = place
    }
  }

  // MARK: The application

  /// How it stands.
  public var info: TCPAuthenticationInfo {
    var info = TCPAuthenticationInfo()
    info.keys = installed.map(\.key)
    info.current = installed[current].key.sendID
    info.next = installed[next].key.receiveID
    info.received = received
    info.counters = counters
    return info
  }

  /// Changes what the connection has. What throws has changed nothing.
  ///
  /// - Throws: `.duplicate`, `.tooMany`, `.mismatch` for a key that is not the flow's; `.notFound`; `.inUse`.
  public func change(_ change: TCPAuthenticationChange) throws(TCPAuthenticationError) {
    switch change {
    case .add(let key): try add(key)
    case .remove(let sendID, let receiveID, let current, let next):
      try remove(sendID: sendID, receiveID: receiveID, current: current, next: next)
    case .choose(let current, let next):
      let (sending, asking) = try (places(current, next))
      (self.current, self.next) = (sending, asking)
    case .acceptNetworkErrors(let isOn): acceptsNetworkErrors = isOn
    }
  }

  private func places(
    _ sendID: UInt8?, _ receiveID: UInt8?
  ) throws(TCPAuthenticationError) -> (current: Int, next: Int) {
    var places = (current: current, next: next)
    if let sendID {
      guard let place = place(sendID: sendID) else { throw .notFound }
      places.current = place
    }
    if let receiveID {
      guard let place = place(receiveID: receiveID) else { throw .notFound }
      places.next = place
    }
    return places
  }

  private func add(_ key: TCPAuthenticationKey) throws(TCPAuthenticationError) {
    guard key.prefixLength <= (key.network.isIPv4 ? 32 : 128),
      key.covers(remote: remote, localPort: local.port)
    else { throw .mismatch }
    guard place(sendID: key.sendID) == nil, place(receiveID: key.receiveID) == nil else { throw .duplicate }
    guard installed.count < TCPAuthenticationKeys.limit else { throw .tooMany }
    installed.append(Installed(key: key))
  }

  private func remove(
    sendID: UInt8, receiveID: UInt8, current: UInt8?, next: UInt8?
  ) throws(TCPAuthenticationError) {
    guard let place = place(sendID: sendID), installed[place].key.receiveID == receiveID else {
      throw .notFound
    }
    let chosen = try places(current, next)
    guard chosen.current != place, chosen.next != place else { throw .inUse }
    installed.remove(at: place)
    self.current = chosen.current - (chosen.current > place ? 1 : 0)
    self.next = chosen.next - (chosen.next > place ? 1 : 0)
  }
}
