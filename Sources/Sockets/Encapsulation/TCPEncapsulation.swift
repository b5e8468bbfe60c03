import Exclusion

/// TCP in UDP: segments, header and all, as what UDP datagrams carry, for paths that let nothing else pass. As FreeBSD has it
/// (tcp(4), TCP over UDP): the form of draft-cheshire-tcp-over-udp in which nothing of the segment is moved or left out.
///
/// A stack has one port of UDP for all of its connections. What comes there is TCP, whoever asks, and what goes from there
/// goes to the peer's port of UDP, which each connection has of its own: who connects says which, who listens is told by the
/// SYN. Connections without such a port are as ever.
public struct TCPEncapsulation: Sendable, Hashable {
  /// This host's port of UDP, 1...65535.
  public let port: UInt16
  /// Bytes that a packet carries less of a segment: UDP's header, and what else the way adds, 8...1024.
  public let overhead: UInt16

  /// The bounds of ``overhead``.
  public static var overheads: ClosedRange<UInt16> { 8...1024 }

  /// Nil: the port is 0, or the overhead is out of bounds.
  public init?(port: UInt16, overhead: UInt16 = 8) {
    guard port != 0, Self.overheads.contains(overhead) else { return nil }
    self.port = port
    self.overhead = overhead
  }

  /// In one word, so that it is whole whenever it is read; 0: there is none.
  init?(word: UInt64) {
    self.init(port: UInt16(truncatingIfNeeded: word), overhead: UInt16(truncatingIfNeeded: word >> 16))
  }
  var word: UInt64 { UInt64(port) | UInt64(overhead) << 16 }
}

/// The encapsulation of a stack now. The control context writes, contexts and application threads read.
struct EncapsulationWord: ~Copyable, Sendable {
  private let word: AtomicWord

  init(_ encapsulation: TCPEncapsulation?) { word = AtomicWord(encapsulation?.word ?? 0) }

  var value: TCPEncapsulation? { TCPEncapsulation(word: word.loadRelaxed()) }
  /// Whether datagrams to this port, which is not 0, carry segments. For each datagram that comes.
  @inline(__always) func isPort(_ port: UInt16) -> Bool {
    UInt16(truncatingIfNeeded: word.loadRelaxed()) == port
  }
  func store(_ encapsulation: TCPEncapsulation?) { word.storeRelaxed(encapsulation?.word ?? 0) }
}

extension SocketLayer {
  /// The encapsulation now; nil: no segments go in UDP. Any thread.
  public var encapsulation: TCPEncapsulation? { encapsulationWord.value }

  /// Another encapsulation from here on, or none: a change of ``SocketConfiguration/encapsulation``. Connections in UDP go on
  /// from the new port; without one nothing of theirs leaves or comes, which is counted. Control work: the answer is
  /// `.addressInUse` if a UDP socket has the port, and nothing changes.
  public func setEncapsulation(_ encapsulation: TCPEncapsulation?) -> Answer<Result<Void, SocketError>> {
    let answer = Answer<Result<Void, SocketError>>(wakeAccount)
    contexts.perform(on: 0) { [self] cx in answer.complete(change(encapsulation), &cx) }
    return answer
  }

  /// Control context.
  private func change(_ encapsulation: TCPEncapsulation?) -> Result<Void, SocketError> {
    let old = encapsulationWord.value
    if encapsulation?.port != old?.port {
      if let encapsulation, !bindings.mayClaim(encapsulationUse(encapsulation)) {
        return .failure(.addressInUse)
      }
      if let old { bindings.disclaim(encapsulationUse(old).key, owner: encapsulationOwner) }
      if let encapsulation { bindings.claim(encapsulationUse(encapsulation)) }
    }
    encapsulationWord.store(encapsulation)
    return .success(())
  }

  /// Before the contexts start: the port is ours, and no socket can have it.
  func claimEncapsulation() {
    if let encapsulation { bindings.claim(encapsulationUse(encapsulation)) }
  }

  /// The claim on the port, at every address of both families.
  private func encapsulationUse(_ encapsulation: TCPEncapsulation) -> PortUse {
    let key = BindingKey(address: .anyIPv6, port: encapsulation.port, protocol: .udp, isDual: true)
    return PortUse(owner: encapsulationOwner, key: key, options: [], isListening: false)
  }
  private var encapsulationOwner: UInt { UInt(bitPattern: ObjectIdentifier(self)) }
}
