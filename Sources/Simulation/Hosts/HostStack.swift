import Buffers
import Devices
import Exclusion
import Internet
import SoftInterrupts
import Sockets
import TCP
import Timing
import Wire

/// How the stacks of a run behave.
struct StackParameters {
  var mtu = 1500
  var limits = BufferLimits()
  var tcp = TCPConfiguration()
  /// Packets of the context's pool, at most.
  var packetLimit = 16384
  /// Segments go in UDP.
  var encapsulates = false
  /// Bytes of socket memory, at most; nil: what the pools hold.
  var memory: Int?
}

/// The stack that ships, one life of it: from a start to a crash or to the end of the run.
final class HostStack {
  let contexts: ContextSet
  let internet: InternetLayer
  let sockets: SocketLayer
  let card: NetworkCard
  private let scheduler: ManualScheduler

  /// Everything that is random in it comes from `seed`. Assembled in memory, it needs nothing of the system that
  /// could be refused.
  init(
    _ network: Network, addresses: [IPPrefix], gateway: [IPAddress], station: MACAddress, seed: UInt64,
    _ parameters: StackParameters
  ) {
    card = NetworkCard(network, station: station, mtu: parameters.mtu)
    do {
      contexts = try ContextSet(
        ContextConfiguration(
          contexts: 1, packetLimit: parameters.packetLimit, timeSource: network.clock))
      internet = InternetLayer(contexts: contexts, configuration: InternetConfiguration(seed: seed | 1))
      var configuration = SocketConfiguration()
      configuration.seed = seed
      configuration.connectionLimit = 4096
      configuration.synCacheLimit = 256
      configuration.tcp = parameters.tcp
      if parameters.encapsulates {
        configuration.encapsulation = TCPEncapsulation(port: FrameLayout.encapsulationPort)
      }
      configuration.memory = parameters.memory.map { MemoryLimits(hard: $0) }
      sockets = SocketLayer(contexts: contexts, internet: internet, configuration: configuration)
      let link = try internet.addInterface(InterfaceDescription(device: card))
      try internet.configure { tables throws(NetworkChangeError) in
        for prefix in addresses { try tables.addAddress(InterfaceAddress(prefix, interface: link)) }
        for router in gateway {
          let everything = router.isIPv4 ? IPAddress.anyIPv4 : IPAddress.anyIPv6
          guard let destination = IPPrefix(everything, length: 0) else { continue }
          try tables.addRoute(Route(to: destination, interface: link, gateway: router))
        }
      }
    } catch {
      preconditionFailure("a stack in memory needs nothing of the system: \(error)")
    }
    scheduler = ManualScheduler(clock: network.clock)
    scheduler.add(contexts)
  }

  var nextDeadline: Instant? { scheduler.nextDeadline }
  /// False: there was nothing to do.
  func settle() -> Bool { scheduler.settle() > 0 }

  // MARK: What it holds

  /// What is still in use of what the stack gives out; empty when all is back.
  var remains: [String] {
    var found: [String] = []
    func add(_ name: String, _ count: Int) { if count != 0 { found.append("\(count) \(name)") } }
    add("packets", contexts.pool(0).inUse)
    add("connections", sockets.connectionsInUse(0))
    add("findable connections", sockets.connectionsFindable(0))
    add("half-open connections", Int(sockets.withCounters(0) { $0.halfOpen.value }))
    add("names", sockets.bindingCount)
    add("chunks", sockets.buffers.chunks.inUse)
    add("application packets", sockets.buffers.packets.inUse)
    let memory = sockets.memoryStatistics()
    for (kind, used) in memory.used.enumerated() { add("bytes in the memory account, kind \(kind)", used) }
    add("bytes of difference in the memory account", memory.reserved - memory.total - memory.cached)
    add("timers", Int(contexts.counters(0).timersArmed.value))
    return found
  }
  /// Wake-ups after which nothing could be done (SB-EXACT).
  var wastedWakeups: UInt64 { sockets.wakeAccount.counters.wasted.value }
  /// Segments sent again.
  var retransmissions: Int { Int(sockets.withCounters(0) { $0.segmentsRetransmitted.value }) }
  /// Segments whose checksum was wrong.
  var checksumErrors: Int { Int(sockets.withCounters(0) { $0.checksumErrors.value }) }
  /// The most packets of the context's pool that were in use at once.
  var largestUse: Int { contexts.pool(0).counters.highWater }
}

extension HostStack {
  /// Everything is back; cheap to ask, again and again.
  var isAtRest: Bool {
    contexts.counters(0).timersArmed.value == 0 && contexts.pool(0).inUse == 0
      && sockets.connectionsInUse(0) == 0 && sockets.bindingCount == 0 && sockets.buffers.chunks.inUse == 0
  }
}
