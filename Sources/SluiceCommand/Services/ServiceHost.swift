import CLinux
import Forwarding
import LinuxDevices
import Sluice

/// The services of `sluice run`, and those of `sluice serve` that need not be fast, on the stack's own sockets through
/// its async interface.
final class ServiceHost: Sendable {
  let stack: Stack
  let limit: ConnectionLimit
  let watchdog = Watchdog()
  let link: String
  /// What carries connections of the host's to the command, if something does.
  let forwarder: Forwarder?
  /// What serves other TCP ports, if something does.
  let streams: StreamServices?
  /// Where guests plug in, if they do.
  let virtualSwitch: VirtualSwitch?
  /// Who gives guests their addresses, if somebody does.
  let addresses: AddressServer?
  /// The link, if it is a guest's memory.
  let vhost: VhostDevice?
  let servesStatus: Bool
  let began = ContinuousClock.now

  init(
    stack: Stack, limit: Int, link: String, forwarder: Forwarder? = nil, streams: StreamServices? = nil,
    virtualSwitch: VirtualSwitch? = nil, vhost: VhostDevice? = nil, addresses: AddressServer? = nil,
    servesStatus: Bool = true
  ) {
    self.addresses = addresses
    self.virtualSwitch = virtualSwitch
    self.vhost = vhost
    self.streams = streams
    self.stack = stack
    self.limit = ConnectionLimit(limit)
    self.link = link
    self.forwarder = forwarder
    self.servesStatus = servesStatus
    trimNowAndThen()
  }

  /// Binds all ports, then serves until the stack shuts down. Where there are stream services, the TCP ports of the
  /// simple ones are theirs.
  func start() throws(SocketError) {
    let page = StatusPage(host: self)
    if streams == nil {
      try serve(7, EchoService.run)
      try serve(9, DiscardService.run)
      try serve(19, ChargenService.run)
    }
    if servesStatus, streams?.ports.contains(where: { $0.port == 80 }) != true { try servePage(page) }
    try answer(7, EchoService.reply)
    try answer(9, DiscardService.reply)
    try answer(19, ChargenService.reply)
  }

  /// A busy time leaves memory behind. It goes back to the system when it was not wanted for a while.
  private func trimNowAndThen() {
    Task { [weak stack] in
      while (try? await Task.sleep(for: .seconds(15))) != nil {
        guard let stack, stack.trim() else { return }
        sluice_trim_heap()
      }
    }
  }

  private func servePage(_ page: StatusPage) throws(SocketError) {
    try serve(80) { [watchdog] stream in await HTTPConnection(stream, page, watchdog).run() }
  }

  /// What a connection may buffer.
  static let buffers = BufferLimits(send: 256 << 10, receive: 128 << 10)
  /// Packets that the stack needs if `limit` connections hold all that they may, each packet half a KiB at least.
  static func packetLimit(connections limit: Int) -> Int { 16_384 + limit * buffers.receive / 512 }

  /// Every address of this host, both families.
  private static func anywhere(_ port: UInt16) -> SocketAddress { SocketAddress(.anyIPv6, port: port) }

  private func serve(
    _ port: UInt16, _ service: @escaping @Sendable (TCPStream) async throws -> Void
  ) throws(SocketError) {
    let listener = try stack.blocking.listen(on: Self.anywhere(port), backlog: 512, limits: Self.buffers)
    // Whatever is asked of them twice they answer twice: that is what they are for.
    listener.setFastOpen(limit: 256)
    let limit = limit
    Task {
      await withDiscardingTaskGroup { group in
        while let stream = try? await listener.accept() {
          guard await limit.enter() else {
            stream.abort()
            continue
          }
          group.addTask {
            // The peer went away in the middle: its affair.
            try? await service(stream)
            stream.close()
            await limit.leave()
          }
        }
      }
    }
  }

  private func answer(
    _ port: UInt16, _ reply: @escaping @Sendable ([UInt8]) -> [UInt8]?
  ) throws(SocketError) {
    let socket = try stack.blocking.bind(to: Self.anywhere(port))
    Task {
      while true {
        do throws(SocketError) {
          let datagram = try await socket.receive()
          // Two such services that answer each other would never stop.
          guard !Self.simpleServices.contains(datagram.source.port) else { continue }
          guard let bytes = reply(datagram.bytes) else { continue }
          try? await socket.send(bytes, to: datagram.source, from: datagram.destination)
        } catch .closed {
          return
        } catch {
          continue
        }
      }
    }
  }

  private static let simpleServices: Set<UInt16> = [7, 9, 19]
}

/// How many connections the services have, and may have. Those beyond are reset at once: whoever waits for a
/// place that idle clients hold would wait for ever.
actor ConnectionLimit {
  /// What it counted.
  struct Counts: Sendable {
    var limit: Int
    var open = 0
    var peak = 0
    var served = 0
    var refused = 0
  }
  private(set) var counts: Counts

  init(_ limit: Int) { counts = Counts(limit: limit) }

  /// Takes a place. False: there is none, and the refusal is counted.
  func enter() -> Bool {
    guard counts.open < counts.limit else {
      counts.refused += 1
      return false
    }
    counts.open += 1
    counts.peak = max(counts.peak, counts.open)
    counts.served += 1
    return true
  }
  /// Gives the place back.
  func leave() { counts.open -= 1 }
}
