public import TCP
public import Wire

import Exclusion

/// One connection, as a status page shows it.
public struct ConnectionSummary: Sendable, Hashable {
  /// This host's end.
  public let local: SocketAddress
  /// The peer's end.
  public let remote: SocketAddress
  /// As of the last thing that happened to it.
  public let state: TCPState
  /// The context that it belongs to.
  public let home: Int
  /// Bytes received that the application has not read.
  public let unread: Int
  /// Bytes written that the peer has not acknowledged.
  public let unacknowledged: Int
  /// What it occupies.
  public let memory: SocketMemory
}

/// What waits on a port.
public struct BindingSummary: Sendable, Hashable {
  /// Address and port.
  public let address: SocketAddress
  /// TCP for a listener, UDP for a datagram socket.
  public let protocolNumber: IPProtocol
}

extension SocketLayer {
  /// The connections that can be found now: at most `limit` of them one by one, and how many in each state,
  /// indexed by `TCPState.rawValue`. Application context; allocates.
  public func inventory(limit: Int) -> (connections: [ConnectionSummary], states: [Int]) {
    var connections: [ConnectionSummary] = []
    var states = [Int](repeating: 0, count: TCPState.allCases.count)
    contexts.grace.withPin {
      for index in 0..<contexts.count {
        shard(index).forEach { connection in
          let summary = connection.summary
          states[Int(summary.state.rawValue)] += 1
          if connections.count < limit { connections.append(summary) }
        }
      }
    }
    return (connections, states)
  }

  /// Bound listeners and datagram sockets. Application context; allocates.
  public func bindingInventory() -> [BindingSummary] {
    var found: [BindingSummary] = []
    contexts.grace.withPin {
      bindings.forEach { bound in
        let key = unsafe bound.key.pointee
        found.append(
          BindingSummary(address: SocketAddress(key.address, port: key.port), protocolNumber: key.protocol))
      }
    }
    return found
  }
}

extension ConnectionShardRef {
  /// Any thread inside a grace section.
  func forEach(_ body: (ConnectionRef) -> Void) {
    unsafe state.pointee.forEach { body(unsafe ConnectionRef($0.raw)) }
  }
}

extension ConnectionRef {
  var summary: ConnectionSummary {
    let shared = unsafe shared
    let key = unsafe shared.pointee.key
    return unsafe ConnectionSummary(
      local: key.local, remote: key.remote,
      state: TCPState(rawValue: UInt8(truncatingIfNeeded: shared.pointee.publishedState.load())) ?? .closed,
      home: home, unread: available,
      unacknowledged: Int(shared.pointee.sendLimit.load()) - sendRoom,
      memory: memory)
  }
}
