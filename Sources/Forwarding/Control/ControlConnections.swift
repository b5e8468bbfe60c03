import CLinux
import Glibc

/// The connections to a ``ForwardControl``. The forwarder's thread only.
final class ControlConnections {
  private struct Connection {
    let descriptor: Int32
    /// In which order they came.
    let number: UInt64
    var request: [UInt8] = []
    /// What is left of the answer, once there is one.
    var answer: ArraySlice<UInt8>?
  }
  private let control: ForwardControl
  private let epoll: Int32
  private let firstToken: UInt32
  private var connections: [Connection?] = Array(repeating: nil, count: ForwardControl.connectionLimit)
  private var taken: UInt64 = 0

  /// `firstToken`: of the listener at `epoll`; connections have those behind it. Nil: the system has no room.
  init?(_ control: ForwardControl, epoll: Int32, firstToken: UInt32) {
    self.control = control
    self.epoll = epoll
    self.firstToken = firstToken
    guard sluice_epoll_add(epoll, control.descriptor, firstToken, 0) == 0 else { return nil }
  }

  func hear(token: UInt32, _ desk: any ForwardDesk) {
    if token == firstToken { return accept() }
    let slot = Int(token - firstToken) - 1
    guard connections.indices.contains(slot), connections[slot] != nil else { return }
    read(slot, desk)
    write(slot)
  }

  private func accept() {
    for _ in 0..<ForwardControl.connectionLimit {
      let made = sluice_control_accept(control.descriptor)
      guard made >= 0 else { return }
      let slot =
        connections.firstIndex { $0 == nil }
        ?? connections.indices.min { connections[$0]!.number < connections[$1]!.number }!
      close(slot)
      taken += 1
      connections[slot] = Connection(descriptor: made, number: taken)
      if sluice_epoll_add_edges(epoll, made, firstToken + 1 + UInt32(slot)) != 0 { close(slot) }
    }
  }

  private func read(_ slot: Int, _ desk: any ForwardDesk) {
    guard var connection = connections[slot], connection.answer == nil else { return }
    var piece = [UInt8](repeating: 0, count: ForwardControl.requestLimit)
    while connection.answer == nil {
      let room = ForwardControl.requestLimit - connection.request.count
      let count = unsafe piece.withUnsafeMutableBytes {
        unsafe sluice_tcp_receive(connection.descriptor, $0.baseAddress, room)
      }
      if count == -Int(EAGAIN) { break }
      guard count >= 0 else { return close(slot) }
      connection.request += piece[..<count]
      let isEnd = count == 0 || connection.request.count == ForwardControl.requestLimit
      if let answer = control.answer(connection.request, isEnd, desk) {
        connection.answer = answer[...]
      } else if isEnd {
        connection.answer = []
      }
    }
    connections[slot] = connection
  }

  private func write(_ slot: Int) {
    guard var connection = connections[slot], let answer = connection.answer else { return }
    var left = answer
    while !left.isEmpty {
      let count = unsafe left.withUnsafeBytes {
        unsafe sluice_tcp_send(connection.descriptor, $0.baseAddress, $0.count)
      }
      if count == -Int(EAGAIN) {
        connection.answer = left
        connections[slot] = connection
        return
      }
      guard count >= 0 else { break }
      left = left.dropFirst(count)
    }
    close(slot)
  }

  private func close(_ slot: Int) {
    if let connection = connections[slot] { sluice_tcp_close(connection.descriptor) }
    connections[slot] = nil
  }

  func end() {
    for slot in connections.indices { close(slot) }
    _ = sluice_epoll_remove(epoll, control.descriptor)
  }
}
