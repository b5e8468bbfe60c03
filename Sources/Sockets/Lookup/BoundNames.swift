import Exclusion
import SoftInterrupts
import TCP
import Wire

/// Sockets that are bound, and neither listen nor are connected. BSD finds them when a segment comes for their port, and
/// its reset has what they are set to: TTL, traffic class, signature. Linux does not look for them, so there are none of
/// these where a stack has its habits; nor is there one for a socket that is set to nothing of this.
///
/// Immutable: the control context replaces the whole. There are few: who binds most often goes on at once.
final class BoundNames: Sendable {
  /// One of them.
  struct Name: Sendable {
    /// Who has it, as its claim says.
    let owner: UInt
    let options: ListenerOptions
  }
  private let names: [BindingKey: Name]

  init(_ names: [BindingKey: Name] = [:]) { self.names = names }

  /// The most specific name for a destination.
  func options(_ key: BindingKey) -> ListenerOptions? {
    if names.isEmpty { return nil }
    return (names[key] ?? names[key.wildcard] ?? names[key.dual])?.options
  }

  /// The same with another answer for `owner`; nil: nothing changes.
  func with(_ options: StreamOptions?, _ key: BindingKey, owner: UInt) -> BoundNames? {
    var names = names
    if let options, options.marksResets {
      names[key] = Name(owner: owner, options: ListenerOptions(options))
    } else if names[key]?.owner == owner {
      names[key] = nil
    } else {
      return nil
    }
    return BoundNames(names)
  }
}

extension StreamOptions {
  /// A reset that is sent for a socket with these differs from anybody's.
  fileprivate var marksResets: Bool {
    hopLimit != nil || trafficClass != .bestEffort || !signatures.isEmpty
  }
}

extension SocketLayer {
  /// Resets are sent in the name of bound sockets.
  var answersForBound: Bool { configuration.tcp.personality == .bsd }

  /// A bound socket is set to `options`; nil: it is about to be something else. Any thread.
  func setAnswer(_ connection: ConnectionRef, _ options: StreamOptions?) {
    guard answersForBound else { return }
    connection.retain()
    contexts.perform(on: 0) { [self] _ in
      // One that is gone has given its claim back.
      if connection.status.contains(.claimed), let use = unsafe connection.shared.pointee.claim {
        bindings.setAnswer(options, use, contexts.grace)
      }
      connection.release()
    }
  }
}

extension SocketContextRef {
  /// A reset for a segment that nobody wants, as the socket has it that is bound to its port.
  func sendReset(_ reset: TCPOutgoing, _ key: FlowKey, _ cx: inout SoftInterrupt) {
    let binding = BindingKey(address: key.localAddress, port: key.localPort, protocol: .tcp)
    let options = withLayer { $0.answersForBound ? $0.bindings.answer(binding) : nil }
    guard let options = options?.value else { return send(reset, key, &cx) }
    let authentication = SegmentAuthentication(TCPAuthenticationSettings(), options.signatures, key)
    send(
      reset, key, marks: options.marks, as: authentication.outgoing(reset.sequence, reset.flags), &cx)
  }
}
