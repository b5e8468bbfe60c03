import CLinux
import Exclusion
import Glibc
public import Sluice
public import Sockets

/// Carries connections that come to sockets of this host on to a guest, by connections of a stack's own; and those that
/// the guest makes to the outside on to the world, by sockets of this host.
///
/// One thread serves all of them, one of its own or a context's (``Driver``): the host's sockets rouse it by epoll, and an
/// event queue of the stack does. Bytes go from the memory of one side's socket to the other's, and nothing is buffered
/// between: a side that takes nothing is not read for, so that a window closes. Half closes, resets and refusals are
/// carried both ways: the host's peer of a connection that the guest refuses is reset, and what the world refuses to the
/// guest is refused by the stack: a handshake is complete on one side when it is on the other. A client that opened its
/// connection fast (RFC 7413) has its data carried on with the SYN, if the stack knows the guest's cookie.
public final class Forwarder: Sendable {
  /// The ports that the first forwards got, socket by socket.
  private let ports: [UInt16]
  private let bell: Bell
  private let driving: Driving
  private let counters: ForwardCounters
  private let outboundCounters: ForwardCounters
  private let datagramCounters: DatagramCounters
  private let inboundCounters: DatagramCounters
  /// Where it is told what else to forward.
  private let control: ForwardControl?
  private let echoCounters: EchoCounters
  private let outboundLimit: Int
  private let datagramLimit: Int
  private let echoLimit: Int
  private let limit: Int
  private let account: WakeAccount
  private let isStopped = AtomicWord(0)

  /// Who carries.
  public enum Driver: Hashable, Sendable {
    /// A thread of its own, for stacks of several contexts: it works while they do.
    case thread
    /// The thread of context 0, between its passes; of a stack that has not started yet. Nobody else is roused by what
    /// passes, which takes the least of a processor's time. While it carries, at most about a megabyte at a time, the
    /// context does nothing else.
    case context
  }
  private enum Driving {
    case thread(WorkerThread)
    case resident(LoopResident)
  }

  /// What a carried connection may buffer on our side.
  public static let buffers = BufferLimits(send: 256 << 10, upTo: 1 << 20, receive: 256 << 10, upTo: 1 << 20)

  /// Listens, and serves from now on.
  ///
  /// - Parameters:
  ///   - forwards: which ports; all of them are there, or none.
  ///   - guest: whom they lead to, on a link of the stack's.
  ///   - stack: is shut down after ``stop()``. For a driver that is a context it starts after this, for a thread when it
  ///     may.
  ///   - limit: connections carried in at once, and as many flows of datagrams, 1...60,000; connections beyond are reset,
  ///     flows beyond make the oldest give way, and both are counted.
  ///   - outbound: what the guest may reach outside, if the stack's sockets are transparent; nil: nothing, and no datagrams
  ///     are carried in either.
  ///   - control: where more forwards are asked for, and fewer, while it runs.
  ///   - driver: who carries.
  /// - Throws: `.listenRefused`, `.tooMany`, `.resourcesRefused`.
  public convenience init(
    _ forwards: [PortForward], to guest: ForwardGuest, on stack: Stack, limit: Int = 1024,
    outbound: OutboundPolicy? = nil, control: ForwardControl? = nil, driver: Driver = .thread
  ) throws(PortForwardError) {
    let sockets = try ForwardSockets(forwards, to: guest)
    try self.init(
      taking: sockets, on: stack, limit: limit, outbound: outbound, control: control, driver: driver)
  }

  /// Serves sockets that were opened before, while this process might still do so.
  public init(
    taking sockets: ForwardSockets, on stack: Stack, limit: Int = 1024, outbound: OutboundPolicy? = nil,
    control: ForwardControl? = nil, driver: Driver = .thread
  ) throws(PortForwardError) {
    self.limit = min(max(limit, 1), 60_000)
    self.control = control
    let (table, guest) = (sockets.table, sockets.guest)
    if outbound == nil || stack.layer.requestPoint == nil, let forward = sockets.firstOfDatagrams {
      sockets.close()
      throw .listenRefused(forward, errno: EPROTONOSUPPORT)
    }
    let epoll = sluice_epoll_create()
    guard epoll >= 0 else {
      sockets.close()
      throw .resourcesRefused(call: "epoll descriptor", errno: -epoll)
    }
    let resident = driver == .context ? LoopResident(on: 0, of: stack.contexts) : nil
    do throws(SystemFailure) {
      bell = try Bell(resident?.resident)
    } catch {
      sluice_tcp_close(epoll)
      sockets.close()
      throw .resourcesRefused(call: "event descriptor", errno: error.code)
    }
    ports = table.sockets.map { $0?.port ?? 0 }
    counters = ForwardCounters()
    counters.listeners.set(UInt64(table.count))
    outboundCounters = ForwardCounters()
    datagramCounters = DatagramCounters()
    inboundCounters = DatagramCounters()
    echoCounters = EchoCounters()
    let outbound = outbound.map { wanted in
      var policy = wanted
      policy.limit = min(max(wanted.limit, 1), 60_000)
      policy.datagramLimit = min(max(wanted.datagramLimit, 1), 60_000)
      policy.echoLimit = min(max(wanted.echoLimit, 1), 1000)
      return policy
    }
    outboundLimit = outbound?.limit ?? 0
    datagramLimit = outbound?.datagramLimit ?? 0
    echoLimit = outbound?.echoLimit ?? 0
    do throws(PortForwardError) {
      try Self.watch(bell.descriptor, ForwardLoop.bellToken, epoll)
      for case (let slot, let socket?) in table.sockets.enumerated() {
        try Self.check(socket.watch(epoll, slot: slot))
      }
    } catch {
      sluice_tcp_close(epoll)
      sockets.close()
      throw error
    }
    let (bell, opened, limit, layer) = (bell, table, self.limit, stack.layer)
    let (counters, outboundCounters, policy) = (counters, outboundCounters, outbound)
    let (datagramCounters, inboundCounters, echoCounters) = (datagramCounters, inboundCounters, echoCounters)
    account = layer.wakeAccount
    let make = { @Sendable (timer: Int32) in
      ForwardLoop(
        epoll: epoll, timer: timer, bell: bell, table: opened, guest: guest, layer: layer, limit: limit,
        counters: counters, outbound: policy, outboundCounters, datagramCounters, inbound: inboundCounters,
        echoCounters, control: control)
    }
    guard let resident else {
      do throws(SystemFailure) {
        driving = .thread(try WorkerThread(name: "forwards") { make(-1).run() })
      } catch {
        sluice_tcp_close(epoll)
        sockets.close()
        throw .resourcesRefused(call: "thread", errno: error.code)
      }
      return
    }
    driving = .resident(resident)
    let timer = sluice_timer_create()
    let loop = make(timer)
    do {
      guard timer >= 0 else { throw PortForwardError.resourcesRefused(call: "timer", errno: -timer) }
      try Self.watch(timer, ForwardLoop.timerToken, epoll)
      loop.begin()
      try resident.drive(loop)
    } catch {
      loop.end()
      throw error as? PortForwardError
        ?? .resourcesRefused(call: "place in a context's poller", errno: ENOMEM)
    }
  }

  deinit { stop() }

  private static func watch(_ descriptor: Int32, _ token: UInt32, _ epoll: Int32) throws(PortForwardError) {
    try check(sluice_epoll_add(epoll, descriptor, token, 0))
  }
  private static func check(_ result: Int32) throws(PortForwardError) {
    if result != 0 { throw .resourcesRefused(call: "place in an epoll descriptor", errno: -result) }
  }

  /// Stops listening and resets what is carried. Blocks until that is done. Again it does nothing.
  public func stop() {
    guard isStopped.exchange(1) == 0 else { return }
    switch driving {
    case .thread(let thread):
      bell.ring(.stop)
      thread.join()
    case .resident(let resident): resident.stop(account)
    }
    control?.close()
  }

  /// What was carried out. Any thread.
  public var outboundStatistics: ForwardStatistics {
    ForwardStatistics(outboundCounters, limit: outboundLimit, listeners: 0)
  }
  /// What was carried of datagrams. Any thread.
  public var datagramStatistics: DatagramStatistics {
    DatagramStatistics(datagramCounters, limit: datagramLimit)
  }
  /// What was carried in of datagrams. Any thread.
  public var inboundDatagramStatistics: DatagramStatistics {
    DatagramStatistics(inboundCounters, limit: limit)
  }
  /// What was carried of echo requests. Any thread.
  public var echoStatistics: EchoStatistics { EchoStatistics(echoCounters, limit: echoLimit) }
  /// What was carried in. Any thread.
  public var statistics: ForwardStatistics {
    ForwardStatistics(counters, limit: limit, listeners: Int(counters.listeners.value))
  }

  /// The port that the listener at `index` got, in the order of the first forwards. Any thread.
  package func port(_ index: Int) -> UInt16 { ports[index] }
}
