import Forwarding
import Sluice
import Timing

/// A table as both pages show it.
struct StatusTable {
  var title: String
  var columns: [String]
  var rows: [[String]]
  /// Columns with numbers are set flush right.
  var numbers: Set<Int>
}

extension Status {
  /// One line about the stack.
  var summary: String {
    "Sluice \(Version.text), a TCP/IP stack in user space, up \(Self.time(uptime)) over a \(link) link."
  }

  var tables: [StatusTable] {
    [
      interfaceTable, queueTable, serviceTable, forwardTable, connectionTable, protocolTable, contextTable,
      exclusionTable,
      poolTable,
      dropTable,
    ].filter { !$0.rows.isEmpty }
  }

  private var interfaceTable: StatusTable {
    StatusTable(
      title: "Interfaces",
      columns: ["name", "addresses", "mtu", "packets in", "bytes in", "packets out", "bytes out"],
      rows: statistics.internet.interfaces.map {
        [
          $0.name, $0.addresses.map { "\($0)" }.joined(separator: " "), "\($0.mtu)", "\($0.packetsReceived)",
          "\($0.bytesReceived)", "\($0.packetsSent)", "\($0.bytesSent)",
        ]
      }, numbers: [2, 3, 4, 5, 6])
  }

  private var queueTable: StatusTable {
    StatusTable(
      title: "Queues",
      columns: [
        "name", "discipline", "sent", "over limit", "dropped", "marked", "waiting", "stops", "timeouts",
      ],
      rows: statistics.links.map { link in
        let queueing = link.queueing
        let numbers = [
          queueing.sent, queueing.overLimit, queueing.dropped, queueing.marked, queueing.backlogPackets,
          queueing.stops, queueing.timeouts,
        ]
        return [link.name, queueing.discipline] + numbers.map { "\($0)" }
      }, numbers: [2, 3, 4, 5, 6, 7, 8])
  }

  private var serviceTable: StatusTable {
    StatusTable(
      title: "Services", columns: ["open", "most", "limit", "served", "refused", "timed out"],
      rows: [
        [
          "\(services.open)", "\(services.peak)", "\(services.limit)", "\(services.served)",
          "\(services.refused)", "\(timedOut)",
        ]
      ], numbers: [0, 1, 2, 3, 4, 5])
  }

  private var forwardTable: StatusTable {
    let numbers = [
      forwards.open, forwards.peak, UInt64(forwards.limit), forwards.connected, forwards.refusedByGuest,
      forwards.refusedAtLimit, forwards.bytesToGuest, forwards.bytesToHost,
    ]
    return StatusTable(
      title: "Forwards",
      columns: ["open", "most", "limit", "carried", "refused", "too many", "bytes in", "bytes out"],
      rows: forwards.listeners > 0 ? [numbers.map { "\($0)" }] : [], numbers: Set(0..<8))
  }

  private var connectionTable: StatusTable {
    let connections = reports.flatMap(\.connections).prefix(40).map { report in
      let connection = report.summary
      return [
        "tcp", "\(connection.local)", "\(connection.remote)", "\(connection.state)", "\(connection.unread)",
        "\(connection.unacknowledged)", report.info.map { Self.roundTrip($0.smoothedRoundTrip.count) } ?? "",
        report.info.map { "\($0.congestionWindow)" } ?? "",
      ]
    }
    let bindings = statistics.bindings.map { binding in
      let isTCP = binding.protocolNumber == .tcp
      return [isTCP ? "tcp" : "udp", "\(binding.address)", "", isTCP ? "listen" : "bound", "", "", "", ""]
    }
    return StatusTable(
      title: "Sockets",
      columns: ["", "local", "remote", "state", "unread", "unacknowledged", "round trip", "window"],
      rows: connections + bindings.sorted { ($0[0], $0[1].count, $0[1]) < ($1[0], $1[1].count, $1[1]) },
      numbers: [4, 5, 6, 7])
  }

  /// Of nanoseconds; nothing before the first measurement.
  private static func roundTrip(_ nanoseconds: Int64) -> String {
    switch nanoseconds {
    case ..<1: ""
    case ..<10_000_000: "\(nanoseconds / 1000) µs"
    default: "\(nanoseconds / 1_000_000) ms"
    }
  }

  private var protocolTable: StatusTable {
    let sockets = Dictionary(uniqueKeysWithValues: statistics.sockets.map { ($0.name, $0.count) })
    func socket(_ name: String) -> String { "\(sockets[name] ?? 0)" }
    let internet = statistics.internet
    return StatusTable(
      title: "Protocols", columns: ["", "received", "sent"],
      rows: [
        ["IPv4", "\(internet[.ipv4Received])", "\(internet[.ipv4Sent])"],
        ["IPv6", "\(internet[.ipv6Received])", "\(internet[.ipv6Sent])"],
        ["ICMP", "\(internet[.icmpReceived])", "\(internet[.icmpEchoReplies] + internet[.icmpErrorsSent])"],
        ["TCP", socket("segmentsReceived"), socket("segmentsSent")],
        ["UDP", socket("datagramsReceived"), socket("datagramsSent")],
      ], numbers: [1, 2])
  }

  private var contextTable: StatusTable {
    StatusTable(
      title: "Contexts",
      columns: ["", "entries", "exits", "sleeps", "frames", "timers armed", "timers fired", "budget ends"],
      rows: statistics.contexts.enumerated().map { number, context in
        [
          "\(number)", "\(context.entries)", "\(context.exits)", "\(context.sleeps)",
          "\(context.framesReceived)", "\(context.timersArmed)", "\(context.timersFired)",
          "\(context.budgetEnds.total)",
        ]
      }, numbers: [1, 2, 3, 4, 5, 6, 7])
  }

  private var exclusionTable: StatusTable {
    let gates = statistics.gates
    let wakeups = statistics.wakeups
    return StatusTable(
      title: "Gates and wake-ups",
      columns: ["entries", "posts", "hand-overs", "dropped", "wake-ups delivered", "wasted"],
      rows: [
        [
          "\(gates.entries)", "\(gates.posts)", "\(gates.handOvers)", "\(gates.dropped)",
          "\(wakeups.delivered)", "\(wakeups.wasted)",
        ]
      ], numbers: [0, 1, 2, 3, 4, 5])
  }

  private var poolTable: StatusTable {
    StatusTable(
      title: "Pools", columns: ["", "in use", "most", "made", "limit", "failures"],
      rows: statistics.pools.map {
        [$0.name, "\($0.inUse)", "\($0.highWater)", "\($0.capacity)", "\($0.limit)", "\($0.failures)"]
      }, numbers: [1, 2, 3, 4, 5])
  }

  private var dropTable: StatusTable {
    StatusTable(
      title: "Drops", columns: ["reason", "count"],
      rows: statistics.drops.filter { $0.count > 0 }.map { [$0.name, "\($0.count)"] }, numbers: [1])
  }

  private static func time(_ seconds: Int) -> String {
    switch seconds {
    case ..<60: "\(seconds) s"
    case ..<3600: "\(seconds / 60) min"
    case ..<86_400: "\(seconds / 3600) h \(seconds / 60 % 60) min"
    default: "\(seconds / 86_400) d \(seconds / 3600 % 24) h"
    }
  }
}
