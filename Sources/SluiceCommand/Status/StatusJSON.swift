import Forwarding
import Glibc
import LinuxDevices
import Sluice
import Timing

extension Status {
  /// `/stats.json`. Names are for programs: they stay.
  var json: JSON {
    JSON.object { document in
      document["version"] = .text(Version.text)
      document["uptimeSeconds"] = .number(uptime)
      document["monotonicNanoseconds"] = .number(moment)
      document["softInterrupts"] = softInterrupts
      document["gates"] = gates
      document["wakeups"] = wakeups
      document["timers"] = timers
      document["pools"] = Self.object(statistics.pools, \.name, Self.json)
      document["memory"] = memory
      document["tables"] = Self.object(statistics.tables, \.name) { .number($0.count) }
      document["sockets"] = sockets
      document["tcp"] = Self.object(statistics.states, \.name) { .number($0.count) }
      document["drops"] = Self.object(statistics.drops, \.name) { .number($0.count) }
      document["interfaces"] = .array(zip(statistics.internet.interfaces, statistics.links).map(Self.json))
      document["protocols"] = .object { protocols in
        protocols["internet"] = Self.object(statistics.internet.events, \.name) { .number($0.count) }
        protocols["sockets"] = Self.object(statistics.sockets, \.name) { .number($0.count) }
      }
      document["services"] = serviceCounts
      document["streams"] = .array(streams.map(\.json))
      document["forwards"] = Self.json(forwards)
      document["outbound"] = Self.json(outbound)
      document["datagrams"] = Self.json(datagrams)
      document["inboundDatagrams"] = Self.json(inboundDatagrams)
      if let guests { document["switch"] = Self.json(guests) }
      if let addresses { document["dhcp"] = Self.json(addresses) }
      if let vhost { document["vhostUser"] = Self.json(vhost) }
      document["echoes"] = Self.json(echoes)
      document["process"] = .object {
        $0["descriptors"] = descriptors.map { .number($0) } ?? .null
        $0["id"] = .number(getpid())
        $0["command"] = .text(verb)
        $0["link"] = .text(link)
      }
    }
  }

  private static func object<Element>(
    _ elements: [Element], _ name: (Element) -> String, _ value: (Element) -> JSON
  ) -> JSON {
    .object(elements.map { (name($0), value($0)) })
  }

  private var softInterrupts: JSON {
    .object {
      $0["entries"] = .number(statistics.total(\.entries))
      $0["exits"] = .number(statistics.total(\.exits))
      $0["contexts"] = .array(
        statistics.contexts.enumerated().map { number, context in
          Self.json(context, processorTime: number < reports.count ? reports[number].processorTime : 0)
        })
    }
  }

  private static func json(_ context: StackStatistics.Context, processorTime: UInt64) -> JSON {
    .object {
      $0["processorNanoseconds"] = .number(processorTime)
      $0["entries"] = .number(context.entries)
      $0["exits"] = .number(context.exits)
      $0["sleeps"] = .number(context.sleeps)
      $0["kicks"] = .number(context.kicks)
      $0["framesReceived"] = .number(context.framesReceived)
      $0["netItems"] = .number(context.items.net)
      $0["serialItems"] = .number(context.items.serial)
      $0["bioItems"] = .number(context.items.bio)
      $0["generalItems"] = .number(context.items.general)
      $0["budgetExhausted"] = .number(context.budgetEnds.total)
      $0["budgetEnds"] = .object { levels in
        levels["clock"] = .number(context.budgetEnds.clock)
        levels["net"] = .number(context.budgetEnds.net)
        levels["serial"] = .number(context.budgetEnds.serial)
        levels["bio"] = .number(context.budgetEnds.bio)
        levels["general"] = .number(context.budgetEnds.general)
      }
      $0["steered"] = .number(context.steered)
      $0["steeringDrops"] = .number(context.steeringDrops)
      $0["wakeRoomEnds"] = .number(context.wakeRoomEnds)
      $0["longestPassNanoseconds"] = .number(context.longestPass)
      $0["timersArmed"] = .number(context.timersArmed)
      $0["timersFired"] = .number(context.timersFired)
      $0["graceStalls"] = .number(context.graceStalls)
      $0["straggler"] = context.straggler.map { .text($0) } ?? .null
      $0["slotsInLimbo"] = .number(context.slotsInLimbo)
      $0["guestEntries"] = .number(context.guestEntries)
      $0["borrows"] = .number(context.borrows)
      $0["polls"] = .number(context.polls)
      $0["rests"] = .number(context.rests)
      $0["spinsFound"] = .number(context.spinsFound)
      $0["spinsFailed"] = .number(context.spinsFailed)
    }
  }

  private var gates: JSON {
    .object {
      $0["entries"] = .number(statistics.gates.entries)
      $0["posts"] = .number(statistics.gates.posts)
      $0["handOvers"] = .number(statistics.gates.handOvers)
      $0["closedFound"] = .number(statistics.gates.closedFound)
      $0["dropped"] = .number(statistics.gates.dropped)
      $0["locksContended"] = .number(statistics.gates.locksContended)
    }
  }

  private var wakeups: JSON {
    .object {
      $0["delivered"] = .number(statistics.wakeups.delivered)
      $0["wasted"] = .number(statistics.wakeups.wasted)
      $0["overflowed"] = .number(statistics.wakeups.overflowed)
      $0["spinsFound"] = .number(statistics.wakeups.spinsFound)
      $0["spinsFailed"] = .number(statistics.wakeups.spinsFailed)
    }
  }

  private var timers: JSON {
    .object {
      $0["armed"] = .number(statistics.total(\.timersArmed))
      $0["fired"] = .number(statistics.total(\.timersFired))
      $0["worstLatenessNanoseconds"] = .number(statistics.contexts.map(\.worstTimerLateness).max() ?? 0)
    }
  }

  private static func json(_ pool: StackStatistics.Pool) -> JSON {
    .object {
      $0["inUse"] = .number(pool.inUse)
      $0["highWater"] = .number(pool.highWater)
      $0["capacity"] = .number(pool.capacity)
      $0["limit"] = .number(pool.limit)
      $0["failures"] = .number(pool.failures)
      $0["reserveLeft"] = .number(pool.reserveLeft)
      $0["reserveUses"] = .number(pool.reserveUses)
    }
  }

  private var memory: JSON {
    let memory = statistics.memory
    return .object { document in
      document["state"] = .text("\(memory.state)")
      document["used"] = .object { used in
        for kind in MemoryKind.allCases { used["\(kind)"] = .number(memory[kind]) }
      }
      document["reserved"] = .number(memory.reserved)
      document["low"] = .number(memory.limits.low)
      document["pressure"] = .number(memory.limits.pressure)
      document["hard"] = .number(memory.limits.hard)
      document["entries"] = .object { entries in
        for state in MemoryState.allCases {
          entries["\(state)"] = .number(memory.entries[Int(state.rawValue)])
        }
      }
      document["refusals"] = .number(memory.refusals)
    }
  }

  private var serviceCounts: JSON {
    .object {
      $0["open"] = .number(services.open)
      $0["peak"] = .number(services.peak)
      $0["limit"] = .number(services.limit)
      $0["served"] = .number(services.served)
      $0["refused"] = .number(services.refused)
      $0["timedOut"] = .number(timedOut)
    }
  }

  private static func json(_ forwards: ForwardStatistics) -> JSON {
    .object {
      $0["listeners"] = .number(forwards.listeners)
      $0["open"] = .number(forwards.open)
      $0["peak"] = .number(forwards.peak)
      $0["limit"] = .number(forwards.limit)
      $0["accepted"] = .number(forwards.accepted)
      $0["connected"] = .number(forwards.connected)
      $0["finished"] = .number(forwards.finished)
      $0["refusedAtLimit"] = .number(forwards.refusedAtLimit)
      $0["refusedByCommand"] = .number(forwards.refusedByGuest)
      $0["resetByCommand"] = .number(forwards.resetByGuest)
      $0["resetByHost"] = .number(forwards.resetByHost)
      $0["denied"] = .number(forwards.denied)
      $0["refusedByHost"] = .number(forwards.refusedByHost)
      $0["unreachable"] = .number(forwards.unreachable)
      $0["timedOut"] = .number(forwards.timedOut)
      $0["fastOpens"] = .number(forwards.fastOpens)
      $0["pauses"] = .number(forwards.pauses)
      $0["bytesToCommand"] = .number(forwards.bytesToGuest)
      $0["bytesToHost"] = .number(forwards.bytesToHost)
    }
  }

  private static func json(_ guests: SwitchStatistics) -> JSON {
    .object {
      $0["ports"] = .number(guests.ports)
      $0["limit"] = .number(guests.portLimit)
      $0["stations"] = .number(guests.stations)
      $0["plugged"] = .number(guests.plugged)
      $0["unplugged"] = .number(guests.unplugged)
      $0["refused"] = .number(guests.refused)
      $0["broken"] = .number(guests.broken)
      $0["fromGuests"] = .number(guests.framesFromGuests)
      $0["toGuests"] = .number(guests.framesToGuests)
      $0["flooded"] = .number(guests.flooded)
      $0["full"] = .number(guests.full)
      $0["forged"] = .number(guests.forged)
      $0["rogue"] = .number(guests.rogue)
      $0["malformed"] = .number(guests.malformed)
      $0["displaced"] = .number(guests.displaced)
    }
  }

  private static func json(_ addresses: AddressStatistics) -> JSON {
    .object {
      $0["pool"] = .number(addresses.pool)
      $0["taken"] = .number(addresses.taken)
      $0["received"] = .number(addresses.received)
      $0["malformed"] = .number(addresses.malformed)
      $0["ignored"] = .number(addresses.ignored)
      $0["discovers"] = .number(addresses.discovers)
      $0["offers"] = .number(addresses.offers)
      $0["requests"] = .number(addresses.requests)
      $0["acknowledgments"] = .number(addresses.acknowledgments)
      $0["refusals"] = .number(addresses.refusals)
      $0["releases"] = .number(addresses.releases)
      $0["declines"] = .number(addresses.declines)
      $0["informs"] = .number(addresses.informs)
      $0["exhausted"] = .number(addresses.exhausted)
    }
  }

  private static func json(_ vhost: VhostStatistics) -> JSON {
    .object {
      $0["connected"] = .number(vhost.isConnected ? 1 : 0)
      $0["frontEnds"] = .number(vhost.frontEnds)
      $0["refused"] = .number(vhost.refused)
      $0["left"] = .number(vhost.left)
      $0["broken"] = .number(vhost.broken)
      if let error = vhost.lastError { $0["lastError"] = .text("\(error)") }
      $0["brokenRings"] = .number(vhost.brokenRings)
      $0["malformed"] = .number(vhost.malformedFrames)
      $0["discarded"] = .number(vhost.discarded)
      $0["calls"] = .number(vhost.calls)
      $0["wakes"] = .number(vhost.wakes)
      $0["stops"] = .number(vhost.stops)
    }
  }

  private static func json(_ echoes: EchoStatistics) -> JSON {
    .object {
      $0["open"] = .number(echoes.open)
      $0["limit"] = .number(echoes.limit)
      $0["toHost"] = .number(echoes.toHost)
      $0["toCommand"] = .number(echoes.toGuest)
      $0["denied"] = .number(echoes.denied)
      $0["unavailable"] = .number(echoes.unavailable)
      $0["refused"] = .number(echoes.refused)
      $0["evicted"] = .number(echoes.evicted)
      $0["dropped"] = .number(echoes.dropped)
    }
  }

  private static func json(_ datagrams: DatagramStatistics) -> JSON {
    .object {
      $0["flows"] = .number(datagrams.open)
      $0["limit"] = .number(datagrams.limit)
      $0["opened"] = .number(datagrams.flowsOpened)
      $0["expired"] = .number(datagrams.flowsExpired)
      $0["evicted"] = .number(datagrams.flowsEvicted)
      $0["denied"] = .number(datagrams.denied)
      $0["unreachable"] = .number(datagrams.unreachable)
      $0["toHost"] = .number(datagrams.toHost)
      $0["toCommand"] = .number(datagrams.toGuest)
      $0["droppedToHost"] = .number(datagrams.droppedToHost)
      $0["tooLarge"] = .number(datagrams.tooLarge)
      $0["droppedToCommand"] = .number(datagrams.droppedToGuest)
      $0["sendCalls"] = .number(datagrams.sendCalls)
      $0["receiveCalls"] = .number(datagrams.receiveCalls)
      $0["namesAnswered"] = .number(datagrams.namesAnswered)
      $0["resolverChanges"] = .number(datagrams.resolverChanges)
    }
  }

  private var sockets: JSON {
    .object {
      $0["connections"] = .number(statistics.states.reduce(0) { $0 + $1.count })
      $0["listeners"] = .number(statistics.bindings.count { $0.protocolNumber == .tcp })
      $0["datagrams"] = .number(statistics.bindings.count { $0.protocolNumber == .udp })
      $0["list"] = .array(
        reports.flatMap(\.connections).map(Self.json) + statistics.bindings.map(Self.json))
    }
  }

  private static func json(_ report: ConnectionReport) -> JSON {
    .object {
      let connection = report.summary
      $0["protocol"] = .text("tcp")
      $0["local"] = .text("\(connection.local)")
      $0["remote"] = .text("\(connection.remote)")
      $0["state"] = .text("\(connection.state)")
      $0["context"] = .number(connection.home)
      $0["unread"] = .number(connection.unread)
      $0["unacknowledged"] = .number(connection.unacknowledged)
      $0["memory"] = .number(connection.memory.total)
      if let info = report.info { add(info, to: &$0) }
    }
  }

  private static func microseconds(_ span: Nanoseconds) -> JSON {
    JSON.number(Int(span.count / 1000))
  }

  /// What an engine says. Times are in microseconds, windows in bytes but for the congestion window, in segments.
  private static func add(_ info: TCPInfo, to members: inout JSON.Members) {
    members["roundTrip"] = microseconds(info.smoothedRoundTrip)
    members["roundTripVariation"] = microseconds(info.roundTripVariation)
    members["minimumRoundTrip"] = microseconds(info.minimumRoundTrip)
    members["retransmissionTimeout"] = microseconds(info.retransmissionTimeout)
    members["congestionControl"] = .text("\(info.congestionControl)")
    members["congestionWindow"] = .number(info.congestionWindow)
    members["slowStartThreshold"] =
      info.slowStartThreshold == .max ? .null : .number(info.slowStartThreshold)
    members["recovery"] = .text("\(info.phase)")
    members["segment"] = .number(info.sendSegment)
    members["sendWindow"] = .number(info.sendWindow)
    members["receiveWindow"] = .number(info.receiveWindow)
    members["receiveBuffer"] = .number(info.receiveBuffer)
    members["outstanding"] = .number(info.outstandingBytes)
    members["queued"] = .number(info.queuedBytes)
    members["outOfOrder"] = .number(info.outOfOrderBytes)
    members["pacingRate"] = info.pacingRate.map { .number($0) } ?? .null
    members["deliveryRate"] = info.deliveryRate.map { .number($0) } ?? .null
    members["bytesSent"] = .number(info.counters.bytesSent)
    members["bytesAcknowledged"] = .number(info.counters.bytesAcknowledged)
    members["bytesReceived"] = .number(info.counters.bytesReceived)
    members["bytesRetransmitted"] = .number(info.counters.bytesRetransmitted)
    members["segmentsSent"] = .number(info.counters.segmentsSent)
    members["segmentsReceived"] = .number(info.counters.segmentsReceived)
    members["retransmissions"] = .number(info.counters.retransmissions)
    members["timeouts"] = .number(info.counters.timeouts)
    members["sinceSent"] = microseconds(info.sinceTextSent)
    members["sinceReceived"] = microseconds(info.sinceTextReceived)
  }

  private static func json(_ binding: BindingSummary) -> JSON {
    .object {
      $0["protocol"] = .text(binding.protocolNumber == .tcp ? "tcp" : "udp")
      $0["local"] = .text("\(binding.address)")
      $0["state"] = .text(binding.protocolNumber == .tcp ? "listen" : "bound")
    }
  }

  private static func json(_ interface: InterfaceStatistics, _ link: StackStatistics.Link) -> JSON {
    .object {
      $0["name"] = .text(interface.name)
      $0["index"] = .number(interface.index)
      $0["mtu"] = .number(interface.mtu)
      $0["station"] = interface.station.map { .text("\($0)") } ?? .null
      $0["addresses"] = .array(interface.addresses.map { .text("\($0)") })
      $0["packetsReceived"] = .number(interface.packetsReceived)
      $0["bytesReceived"] = .number(interface.bytesReceived)
      $0["packetsSent"] = .number(interface.packetsSent)
      $0["bytesSent"] = .number(interface.bytesSent)
      $0["packetsDropped"] = .number(interface.packetsDropped)
      $0["receiveDrops"] = .number(link.receiveDrops)
      $0["receiveOutOfBuffers"] = .number(link.receiveOutOfBuffers)
      $0["receiveCalls"] = .number(link.receiveCalls)
      $0["transmitDrops"] = .number(link.transmitDrops)
      $0["transmitCalls"] = .number(link.transmitCalls)
      $0["queueing"] = json(link.queueing)
      $0["neighbors"] = .array(interface.neighbors.map(json))
    }
  }

  private static func json(_ queueing: StackStatistics.Queueing) -> JSON {
    .object {
      $0["discipline"] = .text(queueing.discipline)
      $0["sent"] = .number(queueing.sent)
      $0["overLimit"] = .number(queueing.overLimit)
      $0["dropped"] = .number(queueing.dropped)
      $0["marked"] = .number(queueing.marked)
      $0["requeued"] = .number(queueing.requeued)
      $0["newFlows"] = .number(queueing.newFlows)
      $0["backlogPackets"] = .number(queueing.backlogPackets)
      $0["backlogBytes"] = .number(queueing.backlogBytes)
      $0["stops"] = .number(queueing.stops)
      $0["byteLimitStops"] = .number(queueing.byteLimitStops)
      $0["byteLimit"] = .number(queueing.byteLimit)
      $0["bytesInFlight"] = .number(queueing.bytesInFlight)
      $0["timeouts"] = .number(queueing.timeouts)
      $0["busyWhileRunning"] = .number(queueing.busyWhileRunning)
      $0["softwareSegmented"] = .number(queueing.softwareSegmented)
      $0["offloadDrops"] = .number(queueing.offloadDrops)
    }
  }

  private static func json(_ neighbor: NeighborStatistics) -> JSON {
    .object {
      $0["address"] = .text("\(neighbor.address)")
      $0["station"] = neighbor.station.map { .text("\($0)") } ?? .null
      $0["pending"] = .number(neighbor.pending)
    }
  }
}
