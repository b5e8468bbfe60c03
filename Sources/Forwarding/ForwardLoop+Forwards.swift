import CLinux
import Glibc

/// Forwards that come and go while the forwarder runs. Its thread only.
public protocol ForwardDesk {
  /// Those that are there, oldest first.
  var forwards: [ForwardEntry] { get }
  /// Listens from now on; the name of the forward.
  func add(_ forward: PortForward) throws(PortForwardError) -> Int
  /// Listens no longer. Connections that were taken go on; flows of datagrams end. False: there is no such forward.
  func remove(_ identifier: Int) -> Bool
}

extension ForwardLoop: ForwardDesk {
  var forwards: [ForwardEntry] { table.entries }

  func add(_ forward: PortForward) throws(PortForwardError) -> Int {
    if forward.transport == .udp, datagrams == nil { throw .listenRefused(forward, errno: EPROTONOSUPPORT) }
    guard table.count + 2 <= ForwardTable.limit else { throw .tooMany(limit: ForwardTable.limit) }
    return try begin(forward, try HostSocket.open(forward, guest))
  }

  /// Takes over what was opened for a forward.
  private func begin(_ forward: PortForward, _ sockets: [HostSocket]) throws(PortForwardError) -> Int {
    let (identifier, slots) = table.add(forward, sockets)
    counters.listeners.set(UInt64(table.count))
    for (slot, socket) in zip(slots, sockets) where socket.transport == .udp || isAccepting {
      let result = socket.watch(epoll, slot: slot)
      guard result == 0 else {
        _ = remove(identifier)
        throw .resourcesRefused(call: "place in an epoll descriptor", errno: -result)
      }
    }
    return identifier
  }

  func remove(_ identifier: Int) -> Bool {
    guard let removed = table.remove(identifier) else { return false }
    for (slot, socket) in removed {
      if socket.transport == .udp { datagrams?.inbound.forget(slot: slot) }
      socket.close()  // it leaves the poller
    }
    counters.listeners.set(UInt64(table.count))
    return true
  }

  /// Watches the sockets that take connections, or no longer: what comes then waits with the kernel.
  func setAccepting(_ isOn: Bool) {
    guard isOn != isAccepting else { return }
    isAccepting = isOn
    for case (let slot, let socket?) in table.sockets.enumerated() where socket.transport == .tcp {
      if isOn {
        _ = sluice_epoll_add(epoll, socket.descriptor, UInt32(slot) + 1, 0)
      } else {
        _ = sluice_epoll_remove(epoll, socket.descriptor)
      }
    }
  }

  /// A socket that takes connections or datagrams has some.
  func hear(listener slot: Int) {
    // It may have been removed earlier in this batch.
    guard let socket = table[slot] else { return }
    switch socket.transport {
    case .tcp: accept(socket)
    case .udp: datagrams?.inbound.hear(socket, slot: slot)
    }
  }
}
