import Buffers
import Devices
internal import Exclusion
import Internet
internal import Sockets
internal import SoftInterrupts
import TCP
import Wire

extension Stack {
  /// What happened so far, and what there is. `connectionLimit` bounds the list of connections. Any thread;
  /// allocates, so not for every packet.
  public func statistics(connectionLimit: Int = 100) -> StackStatistics {
    let all = 0..<contexts.count
    let internet = internet.statistics()
    let (connections, states) = layer.inventory(limit: connectionLimit)
    let bindings = layer.bindingInventory()
    return StackStatistics(
      contexts: all.map(contextStatistics), gates: gateStatistics(), wakeups: wakeupStatistics(),
      pools: poolStatistics(), memory: layer.memoryStatistics(), tables: tableStatistics(internet),
      internet: internet,
      sockets: socketStatistics(), links: devices.map(linkStatistics), connections: connections,
      states: TCPState.allCases.map { (String(describing: $0), states[Int($0.rawValue)]) }, bindings: bindings
    )
  }

  /// Of the devices alone, loopback first: cheap, whatever there is of connections. Any thread.
  public func linkStatistics() -> [StackStatistics.Link] { devices.map(linkStatistics) }
  /// Connections that can be found. Any thread.
  public var connectionCount: Int { (0..<contexts.count).reduce(0) { $0 + layer.connectionsFindable($1) } }

  private func contextStatistics(_ index: Int) -> StackStatistics.Context {
    let counters = contexts.counters(index)
    // Ends are read before beginnings: a pass that ends meanwhile never shows as more ends than beginnings.
    let exits = counters.exits.value
    return StackStatistics.Context(
      entries: counters.entries.value, exits: exits, sleeps: counters.sleeps.value,
      kicks: contexts.port(index).kicks, items: Self.byLevel(counters.items),
      budgetEnds: Self.byLevel(counters.budgetEnds), wakeRoomEnds: counters.wakeRoomEnds.value,
      framesReceived: counters.framesReceived.value, steered: counters.steered.value,
      steeringDrops: counters.steeringDrops.value, timersFired: counters.timersFired.value,
      timersArmed: counters.timersArmed.value, worstTimerLateness: counters.worstTimerLateness.value,
      longestPass: counters.longestPass.value, graceStalls: counters.graceStalls.value,
      straggler: contexts.lastStraggler(index).map { "\($0)" }, slotsInLimbo: counters.slotsInLimbo.value,
      guestEntries: contexts.guestCounters(of: index)?.entries.value ?? 0,
      borrows: counters.borrows.value, polls: counters.polls.value, rests: counters.rests.value,
      spinsFound: counters.spinsFound.value,
      spinsFailed: counters.spinsFailed.value)
  }

  private static func byLevel(_ counters: borrowing LevelCounters) -> StackStatistics.ByLevel {
    StackStatistics.ByLevel(
      clock: counters.clock.value, net: counters.net.value, serial: counters.serial.value,
      bio: counters.bio.value, general: counters.general.value)
  }

  private func gateStatistics() -> StackStatistics.Gates {
    var sum = StackStatistics.Gates(
      entries: 0, posts: 0, handOvers: 0, closedFound: 0, dropped: 0,
      locksContended: LockContention.counter.value)
    for index in 0..<contexts.coreCount {
      let core = contexts.core(index)
      sum.entries &+= core.gates.entries.value
      sum.posts &+= core.gates.posts.value
      sum.handOvers &+= core.gates.handOvers.value
      sum.closedFound &+= core.gates.closedFound.value
      sum.dropped &+= core.gates.dropped.value
    }
    return sum
  }

  private func wakeupStatistics() -> StackStatistics.Wakeups {
    let account = layer.wakeAccount
    return StackStatistics.Wakeups(
      delivered: account.counters.delivered.value, wasted: account.counters.wasted.value,
      overflowed: (0..<contexts.coreCount).reduce(0) { $0 &+ contexts.core($1).wakes.overflowed.value },
      spinsFound: account.counters.spinsFound.value, spinsFailed: account.counters.spinsFailed.value)
  }

  private func poolStatistics() -> [StackStatistics.Pool] {
    var pools = (0..<contexts.coreCount).map { index in
      let name = index < contexts.count ? "packets\(index)" : "guestPackets\(index - contexts.count)"
      return StackStatistics.Pool(name, contexts.pool(index).counters)
    }
    pools.append(StackStatistics.Pool("applicationPackets", layer.buffers.packets))
    pools.append(StackStatistics.Pool("applicationChunks", layer.buffers.chunks))
    pools.append(StackStatistics.Pool("applicationViews", layer.buffers.views))
    for index in 0..<contexts.count {
      let inUse = layer.connectionsInUse(index)
      pools.append(
        StackStatistics.Pool(
          name: "connections\(index)", inUse: inUse, highWater: inUse, capacity: inUse,
          limit: configuration.sockets.connectionLimit,
          failures: layer.withCounters(index) { $0.connectionsRefused.value }))
      let atWork = layer.connectionsAtWork(index)
      pools.append(
        StackStatistics.Pool(
          name: "connectionsAtWork\(index)", inUse: atWork, highWater: atWork, capacity: atWork,
          limit: configuration.sockets.connectionLimit * contexts.count, failures: 0))
    }
    return pools
  }

  private func tableStatistics(_ internet: InternetStatistics) -> [StackStatistics.Table] {
    [
      .init(name: "connections", count: connectionCount),
      .init(name: "bindings", count: layer.bindingCount),
      .init(name: "registrations", count: layer.eventCounters.registrations),
      .init(name: "neighbors", count: internet.interfaces.reduce(0) { $0 + $1.neighbors.count }),
      .init(name: "routes", count: internet.routes.count),
    ]
  }

  private func socketStatistics() -> [(name: String, count: UInt64)] {
    var sums = layer.withCounters(0) { $0.all }.map { (name: camelCase($0.name), count: $0.value) }
    for index in 1..<max(1, contexts.coreCount) {
      for (place, counter) in layer.withCounters(index, { $0.all }).enumerated() {
        sums[place].count &+= counter.value
      }
    }
    return sums + layer.eventCounters.all.map { (camelCase($0.name), $0.value) }
  }

  private func linkStatistics(_ index: UInt16, _ device: any Device) -> StackStatistics.Link {
    var link = StackStatistics.Link(
      name: device.name, framesReceived: 0, bytesReceived: 0, receiveDrops: 0, receiveOutOfBuffers: 0,
      receiveCalls: 0, framesSent: 0, bytesSent: 0, transmitDrops: 0, transmitCalls: 0)
    for queue in 0..<device.queueCount {
      let counters = device.counters(queue: queue)
      link.framesReceived &+= counters.framesReceived.value
      link.bytesReceived &+= counters.bytesReceived.value
      link.receiveDrops &+= counters.receiveDrops.value
      link.receiveOutOfBuffers &+= counters.receiveOutOfBuffers.value
      link.receiveCalls &+= counters.receiveCalls.value
      link.framesSent &+= counters.framesSent.value
      link.bytesSent &+= counters.bytesSent.value
      link.transmitDrops &+= counters.transmitDrops.value
      link.transmitCalls &+= counters.transmitCalls.value
    }
    for queue in contexts.transmitQueues(of: Int(index)) { link.queueing.add(queue) }
    return link
  }
}

extension StackStatistics.Queueing {
  fileprivate mutating func add(_ queue: TransmitQueueRef) {
    discipline = queue.discipline
    sent &+= queue.sent
    overLimit &+= queue.counters.discipline.overLimit.value
    dropped &+= queue.counters.discipline.dropped.value
    marked &+= queue.counters.discipline.marked.value
    requeued &+= queue.counters.givenBack.value &+ queue.counters.lockTaken.value
    newFlows &+= queue.counters.discipline.newFlows.value
    backlogPackets &+= queue.counters.discipline.backlogPackets.value
    backlogBytes &+= queue.counters.discipline.backlogBytes.value
    stops &+= queue.counters.stops.value
    byteLimitStops &+= queue.counters.byteLimitStops.value
    byteLimit &+= queue.counters.byteLimit.value
    bytesInFlight &+= queue.counters.bytesInFlight.value
    timeouts &+= queue.counters.timeouts.value
    softwareSegmented &+= queue.counters.softwareSegmented.value
    offloadDrops &+= queue.counters.offloadDrops.value
    busyWhileRunning &+= queue.counters.busyWhileRunning.value
  }
}

extension StackStatistics.Pool {
  fileprivate init(_ name: String, _ counters: PoolCounters) {
    self.init(
      name: name, inUse: counters.inUse, highWater: counters.highWater, capacity: counters.capacity,
      limit: counters.limit, failures: counters.failures, reserveLeft: counters.reserveLeft,
      reserveUses: counters.reserveUses)
  }
}

/// Which counters of the layers say that something was thrown away.
enum DropReasons {
  private static let events: [InternetEvent] = [
    .frameTooShort, .frameNotForUs, .groupNotJoined, .frameFromGroup, .unknownVLAN, .unknownEtherType,
    .ipv4Malformed, .ipv4BadChecksum, .ipv4SourceRoute, .ipv4MartianSource, .ipv4MartianDestination,
    .ipv4NotForUs, .ipv4UnknownProtocol, .ipv6Malformed, .ipv6BadExtension, .ipv6MartianSource,
    .ipv6MartianDestination, .ipv6NotForUs, .ipv6UnknownProtocol, .ipv6NoNextHeader,
    .ingressForgedSource, .ingressForgedNeighbor, .ingressRogueServer, .ingressRogueRouter,
    .fragmentMalformed, .fragmentRepeated, .fragmentOverlap, .fragmentOverflow, .fragmentTimedOut,
    .icmpMalformed, .icmpBadChecksum, .icmpEchoIgnored, .icmpErrorsIgnored, .icmpUnknownType, .arpMalformed,
    .addressConflict, .ndInvalid, .ndIgnored, .neighborWaitOverflow, .neighborUnreachableDrops, .sendNoRoute,
    .sendTooBig, .sendBadSource, .sendNoHeadroom, .poolExhausted,
  ]
  /// By the names that ``StackStatistics/sockets`` has.
  static let socketCounters: Set<String> = [
    "checksumErrors", "segmentsMalformed", "segmentsWithoutSocket", "segmentsWithoutBuffer",
    "segmentsUnroutable", "errorsOutOfWindow", "signaturesMissing", "signaturesUnexpected", "signaturesWrong",
    "encapsulatedDropped", "encapsulationMismatches",
    "authenticationBad", "authenticationKeyNotFound", "authenticationRequired",
    "gateQueueFull", "steeringQueueFull", "receiveQueueFull", "listenOverflows", "acceptQueueFull",
    "segmentsBeyondWindow", "segmentsAtClosedWindow", "synCacheFull", "synCacheEvictions", "duplicateSyns",
    "segmentsWithoutMemory", "slotsPruned", "connectionsWithoutMemory", "datagramsWithoutMemory",
    "connectionsRefused", "datagramsMalformed", "datagramsWithoutSocket", "datagramQueueFull",
    "datagramsUnroutable", "transparentForged", "transparentOverflows", "transparentEchoesIgnored",
    "transparentHopsExceeded",
  ]

  static func counted(in statistics: StackStatistics) -> [(name: String, count: UInt64)] {
    var found = events.map { (name: String(describing: $0), count: statistics.internet[$0]) }
    found += statistics.sockets.filter { socketCounters.contains($0.name) }
    for link in statistics.links {
      found.append(("\(link.name) receive", link.receiveDrops))
      found.append(("\(link.name) transmit", link.transmitDrops))
      found.append(("\(link.name) queue", link.queueing.overLimit &+ link.queueing.dropped))
      found.append(("\(link.name) offload", link.queueing.offloadDrops))
    }
    return found
  }
}

/// `a_name` as `aName`: one way of writing for all layers.
private func camelCase(_ name: String) -> String {
  let words = name.split(separator: "_")
  return words.dropFirst().reduce(String(words.first ?? "")) {
    $0 + $1.prefix(1).uppercased() + $1.dropFirst()
  }
}
