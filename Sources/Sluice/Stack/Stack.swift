import Devices
internal import Exclusion
import Internet
import LinuxDevices
public import Sockets
internal import SoftInterrupts
import Timing
public import Wire

/// A TCP/IP stack in this process: contexts that run it, interfaces that it serves, and the sockets that are made
/// with it.
///
/// Assembled by ``init(_:)``, it runs from ``start()`` to ``shutdown()``. Every other call may come from any
/// thread and any task, also several at once.
///
/// ```swift
/// let stack = try Stack(StackConfiguration())
/// try stack.start()
/// let listener = try await stack.listen(on: SocketAddress("127.0.0.1:7")!)
/// for try await stream in listener.connections {
///   for try await chunk in stream.chunks() { try await stream.write(chunk) }
/// }
/// ```
public final class Stack: Sendable {
  /// How it was made.
  public let configuration: StackConfiguration
  package let contexts: ContextSet
  package let internet: InternetLayer
  package let layer: SocketLayer
  /// (c) All devices with the index of their interface, loopback first.
  let devices: [(index: UInt16, device: any Device)]
  let intake = Intake()
  let endpoints = Endpoints()
  private let running = AtomicWord(0)

  /// Assembles a stack, at rest. Throws ``StackError``.
  public init(_ configuration: StackConfiguration) throws(StackError) {
    self.configuration = configuration
    var set = ContextConfiguration(
      contexts: configuration.contexts, packetLimit: configuration.packetLimit,
      timeSource: configuration.time)
    set.budgets = configuration.budgets
    set.steering = configuration.steering
    set.spinLimit = UInt64(configuration.spin.clampedNanoseconds)
    switch configuration.sockets.entry {
    case .post, .drive: set.guests = 0
    case .enterIdle, .enterFree: set.guests = 1
    }
    if !configuration.isManual { set.makePoller = { _ in try EpollPoller() } }
    do {
      contexts = try ContextSet(set)
    } catch {
      throw .resourcesRefused(reason: "\(error)")
    }
    let seed = configuration.sockets.seed
    let internet = InternetLayer(
      contexts: contexts,
      configuration: seed.map { InternetConfiguration(seed: $0) } ?? InternetConfiguration())
    self.internet = internet
    layer = SocketLayer(contexts: contexts, internet: internet, configuration: configuration.sockets)
    PacketCapture.register(in: &contexts.handlers)

    let loopback = StackInterface(
      LoopbackDevice(
        queues: configuration.contexts, mtu: configuration.loopbackMTU,
        offloads: configuration.loopbackOffloads),
      addresses: [
        IPPrefix(IPAddress(IPv4Address.loopback), length: 8)!,
        IPPrefix(host: IPAddress(IPv6Address.loopback)),
      ])
    var devices: [(UInt16, any Device)] = []
    for (number, interface) in ([loopback] + configuration.interfaces).enumerated() {
      let device = interface.capture?.attach(interface.device, contexts) ?? interface.device
      devices.append((try Self.add(interface, device, isLoopback: number == 0, internet), device))
    }
    self.devices = devices
  }

  private static func add(
    _ interface: StackInterface, _ device: any Device, isLoopback: Bool, _ internet: InternetLayer
  ) throws(StackError) -> UInt16 {
    let index: UInt16
    do {
      index = try internet.addInterface(
        InterfaceDescription(
          device: device, isLoopback: isLoopback,
          acceptsForeignDestinations: interface.acceptsForeignDestinations, transmit: interface.transmit,
          isGuarded: interface.isGuarded, advertising: interface.advertising))
    } catch {
      throw .resourcesRefused(reason: "\(error)")
    }
    do throws(NetworkChangeError) {
      try internet.configure { tables throws(NetworkChangeError) in
        for address in interface.addresses {
          try tables.addAddress(InterfaceAddress(address, interface: index))
        }
        for route in interface.routes {
          try tables.addRoute(Route(to: route.destination, interface: index, gateway: route.gateway))
        }
      }
    } catch {
      throw .addressRefused(interface: device.name, reason: "\(error)")
    }
    return index
  }

  deinit {
    // A program that ends without a shutdown still ends what lives on without its handles, as connections in TIME-WAIT
    // do, and joins its threads, before their memory goes. What it let go of after them ends here: nobody else refers to
    // the stack any more.
    _ = quiesce()
    stopContexts()
    settle()
    finishCaptures()
  }

  /// Starts the contexts; from now on the interfaces are served. Once. Throws ``StackError``.
  public func start() throws(StackError) {
    precondition(!configuration.isManual, "a stack that is stepped by hand is not started")
    precondition(running.exchange(1) == 0, "a stack starts once")
    do {
      try contexts.start()
    } catch {
      throw .resourcesRefused(reason: "\(error)")
    }
  }

  /// Whether the contexts run on threads now.
  var isRunning: Bool { running.load() != 0 }
  /// Stops the contexts' threads, if they run.
  func stopContexts() {
    if running.exchange(0) != 0 { contexts.stop() }
  }
  /// Runs what was posted to contexts that have no thread any more, on this thread, until nothing is left.
  func settle() {
    let scheduler = ManualScheduler(clock: VirtualClock())
    scheduler.add(contexts)
    scheduler.settle()
  }

  // MARK: Making sockets

  /// Copies `bytes`, not empty, once, to be written any number of times on any number of streams without a copy: see
  /// ``TCPStream/write(_:)-(SharedBytes)``. Any thread. Let go of them before the shutdown. Throws `.noBufferSpace`,
  /// `.networkDown` after a shutdown.
  public func share(_ bytes: [UInt8]) throws(SocketError) -> SharedBytes {
    try enter()
    defer { intake.leave() }
    let shared = unsafe bytes.withUnsafeBytes { bytes in
      Result { () throws(SocketError) in try unsafe layer.share(bytes) }
    }
    return try shared.get()
  }

  /// Listens for TCP connections. On `[::]` IPv4 is taken as well, unless `options` has `.isIPv6Only`.
  ///
  /// - Parameters:
  ///   - address: one of this host's, or the unspecified one for all of a family. Port 0 takes a free port.
  ///   - backlog: connections that may wait to be accepted, 1...65535. Beyond that SYNs and last ACKs are
  ///     dropped; the peer will send them again. As many, or 128, may be half open; beyond that the
  ///     configuration's `synOverflow` says what becomes of a SYN.
  ///   - limits: buffers of the accepted connections; nil: those of the configuration.
  ///   - options: beside whom it may listen. As servers want it: beside connections of an earlier listener.
  /// - Throws: `.addressInUse`, `.addressNotAvailable`, `.invalidAddress`, `.networkDown` after a shutdown.
  public nonisolated(nonsending) func listen(
    on address: SocketAddress, backlog: Int = 128, limits: BufferLimits? = nil,
    options: BindOptions = .reuseAddress
  ) async throws(SocketError) -> TCPListener {
    try enter(address, .stream)
    defer { intake.leave() }
    var answer = TakeAnswer(
      answer: layer.listen(
        on: address, backlog: backlog, limits: limits ?? configuration.buffers, options: options))
    return made(try await suspend(&answer))
  }

  /// Connects. Waits for the peer's answer; a cancelled task gives up with a reset.
  ///
  /// - Parameters:
  ///   - remote: whom to connect to.
  ///   - local: the address, the port, or both to connect from; nil for the usual choice.
  ///   - limits: buffers of the connection; nil: those of the configuration.
  ///   - encapsulationPort: the peer's port of UDP, and segments go in UDP, from the port that the stack has for it
  ///     (`SocketConfiguration.encapsulation`); 0: they go in IP. Without such a port it throws `.protocolNotSupported`.
  /// - Throws: `.connectionRefused`, `.timedOut`, `.hostUnreachable`, `.networkUnreachable`, `.invalidAddress`,
  ///   `.addressNotAvailable`, `.addressInUse`, `.noBufferSpace`, `.cancelled`, `.networkDown` after a shutdown.
  public nonisolated(nonsending) func connect(
    to remote: SocketAddress, from local: SocketAddress? = nil, limits: BufferLimits? = nil,
    encapsulationPort: UInt16 = 0
  ) async throws(SocketError) -> TCPStream {
    let socket = try await begin(to: remote, from: local, limits, encapsulationPort)
    do {
      var handshake = FinishConnecting(socket: socket)
      try await suspend(&handshake)
    } catch {
      socket.abort()
      throw error
    }
    return TCPStream(socket, self)
  }

  private nonisolated(nonsending) func begin(
    to remote: SocketAddress, from local: SocketAddress?, _ limits: BufferLimits?, _ encapsulation: UInt16
  ) async throws(SocketError) -> StreamSocket {
    try enter(remote, .stream)
    defer { intake.leave() }
    var answer = TakeAnswer(
      answer: layer.connect(
        to: remote, from: local, limits: limits ?? configuration.buffers, encapsulationPort: encapsulation))
    return try await suspend(&answer)
  }

  /// Another port of UDP for segments in UDP from here on, or none: a change of `SocketConfiguration.encapsulation`.
  /// Connections in UDP go on from the new port; without one nothing of theirs leaves or comes any more.
  ///
  /// - Throws: `.addressInUse` if a UDP socket has the port, and nothing changes; `.networkDown` after a shutdown.
  public nonisolated(nonsending) func setEncapsulation(
    _ encapsulation: TCPEncapsulation?
  ) async throws(SocketError) {
    try enter()
    defer { intake.leave() }
    var answer = TakeAnswer(answer: layer.setEncapsulation(encapsulation))
    try await suspend(&answer)
  }

  /// Binds a UDP socket.
  ///
  /// - Parameters:
  ///   - address: one of this host's, or the unspecified one for all of a family. Port 0 takes a free port.
  ///   - peer: with a peer the socket hears only from there, sends there, and is told of its errors.
  ///   - options: beside whom it may be bound.
  /// - Throws: `.addressInUse`, `.addressNotAvailable`, `.invalidAddress`, `.networkDown` after a shutdown.
  public nonisolated(nonsending) func bind(
    to address: SocketAddress, peer: SocketAddress? = nil, options: BindOptions = []
  ) async throws(SocketError) -> UDPSocket {
    try enter(address, .datagram)
    defer { intake.leave() }
    var answer = TakeAnswer(answer: layer.bindDatagram(to: address, peer: peer, options: options))
    return made(try await suspend(&answer))
  }

  /// Makes a TCP socket that is neither connected nor listening yet.
  ///
  /// - Parameter family: `.inet` for IPv4 alone, `.inet6` for both.
  /// - Throws: `.familyNotSupported`, `.noBufferSpace`, `.networkDown` after a shutdown.
  public nonisolated(nonsending) func makeTCPSocket(
    _ family: AddressFamily = .inet6
  ) async throws(SocketError) -> TCPSocket {
    let socket = try await makeSocket(family, .stream, protocol: IPProtocol.tcp.rawValue)
    guard let unconnected = socket as? UnconnectedStream else { throw .protocolNotSupported }
    return TCPSocket(unconnected, self)
  }

  /// Makes a socket of any domain that is registered with the stack, by its numbers; protocol 0 is the usual one
  /// of the type. What it can do its own type says.
  ///
  /// - Throws: `.familyNotSupported`, `.typeNotSupported`, `.protocolNotSupported`, `.protocolWrongType`, what
  ///   the domain throws, `.networkDown` after a shutdown.
  public nonisolated(nonsending) func makeSocket(
    _ family: AddressFamily, _ type: SocketType, protocol number: UInt8 = 0
  ) async throws(SocketError) -> any AnySocket {
    try enter()
    defer { intake.leave() }
    var answer = TakeAnswer(answer: try layer.protocols.makeSocket(family, type, protocol: number))
    let socket = try await suspend(&answer)
    endpoints.add(socket)
    return socket
  }

  func enter() throws(SocketError) {
    guard !isForkedChild(), intake.enter() else { throw .networkDown }
  }
  /// For a socket of the address's domain, which must be there.
  func enter(_ address: SocketAddress, _ type: SocketType) throws(SocketError) {
    _ = try layer.protocols.find(address.address.isIPv4 ? .inet : .inet6, type)
    try enter()
  }
  func made(_ socket: ListeningSocket) -> TCPListener {
    endpoints.add(socket)
    return TCPListener(socket, self)
  }
  func made(_ socket: DatagramSocket) -> UDPSocket {
    endpoints.add(socket)
    return UDPSocket(socket, self)
  }
}
