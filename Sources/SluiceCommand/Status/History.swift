import Sluice
import Sockets
import Timing

/// What happened lately, second by second, for the plots of the status page. Looked at once a second for all who watch,
/// only while somebody does and a minute longer: so a page that is loaded again goes on where it was, and a stack that
/// nobody watches does nothing for it.
actor History {
  static let contentType = "text/event-stream; charset=utf-8"
  /// Seconds that are kept.
  static let length = 300
  /// Who may watch at once.
  static let viewerLimit = 64
  /// Seconds that it goes on when nobody watches any more.
  static let patience = 60
  /// Connections of each context whose round trips and queues are looked at, of however many there are.
  private static let connectionLimit = 512

  private let stack: Stack
  private var samples: [HistorySample] = []
  private var number = 0
  private var latest = ""
  private var viewers = 0
  private var waiting: [CheckedContinuation<Void, Never>] = []
  private var isRunning = false
  private var hasEnded = false

  init(_ stack: Stack) { self.stack = stack }

  /// One more watches, until ``leave()``. False: there are too many, or the stack is shut down.
  func join() -> Bool {
    guard viewers < Self.viewerLimit, !hasEnded else { return false }
    viewers += 1
    if !isRunning {
      isRunning = true
      Task { await run() }
    }
    return true
  }
  func leave() { viewers -= 1 }

  /// All that is kept, as one event, and the number of the last of it.
  func all() -> (Int, String) {
    (number, "event: history\ndata: [\(samples.map(\.text).joined(separator: ","))]\n\n")
  }
  /// The newest, when there is one after `seen`; nil when there will be none.
  func next(after seen: Int) async -> (Int, String)? {
    if number <= seen, !hasEnded { await withCheckedContinuation { waiting.append($0) } }
    return hasEnded ? nil : (number, latest)
  }

  private func run() async {
    var last = await HistoryLook(stack, connections: Self.connectionLimit)
    var unwatched = 0
    while let before = last, unwatched < Self.patience {
      try? await Task.sleep(for: .seconds(1))
      last = await HistoryLook(stack, connections: Self.connectionLimit)
      if let last { add(HistorySample(from: before, to: last)) }
      unwatched = viewers > 0 ? 0 : unwatched + 1
    }
    isRunning = false
    guard last == nil else { return }
    hasEnded = true
    tell()
  }

  private func add(_ sample: HistorySample) {
    if samples.count == Self.length { samples.removeFirst() }
    samples.append(sample)
    number += 1
    latest = "id: \(number)\ndata: \(sample.text)\n\n"
    tell()
  }
  private func tell() {
    let told = waiting
    waiting = []
    for continuation in told { continuation.resume() }
  }
}

/// One look at the stack.
struct HistoryLook {
  /// Nanoseconds of the machine's clock.
  var moment: UInt64 = 0
  var bytesIn: UInt64 = 0
  var bytesOut: UInt64 = 0
  var connections = 0
  /// Nanoseconds of processors that the contexts' threads have used.
  var processorTimes: [UInt64] = []
  /// Of connections that were used in the last two seconds, in microseconds, smallest first.
  var roundTrips: [Int] = []
  /// Bytes that wait for links, or are in them.
  var waiting = 0
  /// Bytes that were written and are not acknowledged, and those that arrived and are not read.
  var unacknowledged = 0
  var unread = 0

  init() {}

  /// Nil: the stack is shut down.
  init?(_ stack: Stack, connections limit: Int) async {
    guard let reports = try? await stack.contextReports(limit: limit) else { return nil }
    moment = stack.layer.now.nanoseconds
    // The loopback interface is the first.
    for link in stack.linkStatistics().dropFirst() {
      bytesIn &+= link.bytesReceived
      bytesOut &+= link.bytesSent
      waiting += Int(clamping: link.queueing.backlogBytes) + Int(clamping: link.queueing.bytesInFlight)
    }
    connections = stack.connectionCount
    processorTimes = reports.map(\.processorTime)
    for report in reports.flatMap(\.connections) {
      unacknowledged += report.summary.unacknowledged
      unread += report.summary.unread
      guard let info = report.info, info.smoothedRoundTrip > .zero,
        min(info.sinceAcknowledgment, info.sinceTextReceived) < .seconds(2)
      else { continue }
      roundTrips.append(Int(info.smoothedRoundTrip.count / 1000))
    }
    roundTrips.sort()
  }
}

/// What is drawn of one second.
struct HistorySample: Sendable {
  /// Milliseconds of the machine's clock.
  let moment: UInt64
  /// Bits a second.
  let bitsIn: UInt64
  let bitsOut: UInt64
  /// Microseconds; nil: no connection was used.
  let roundTrip: Int?
  let worstRoundTrip: Int?
  /// Bytes.
  let waiting: Int
  let unacknowledged: Int
  let unread: Int
  let connections: Int
  /// Thousandths of a processor, of the busiest context.
  let load: Int

  init(from before: HistoryLook, to now: HistoryLook) {
    let nanoseconds = max(1, now.moment &- before.moment)
    func rate(_ earlier: UInt64, _ later: UInt64, _ unit: Double) -> Double {
      Double(later &- earlier) * unit / Double(nanoseconds)
    }
    moment = now.moment / 1_000_000
    bitsIn = UInt64(rate(before.bytesIn, now.bytesIn, 8e9))
    bitsOut = UInt64(rate(before.bytesOut, now.bytesOut, 8e9))
    roundTrip = now.roundTrips.isEmpty ? nil : now.roundTrips[now.roundTrips.count / 2]
    worstRoundTrip = now.roundTrips.last
    waiting = now.waiting
    unacknowledged = now.unacknowledged
    unread = now.unread
    connections = now.connections
    load = zip(before.processorTimes, now.processorTimes).map { Int(rate($0, max($0, $1), 1000)) }.max() ?? 0
  }

  /// As the page's script takes it: an array.
  var text: String {
    func number(_ value: Int?) -> String { value.map { "\($0)" } ?? "null" }
    let numbers = [waiting, unacknowledged, unread, connections, load].map { "\($0)" }
    return "[\(moment),\(bitsIn),\(bitsOut),\(number(roundTrip)),\(number(worstRoundTrip)),"
      + numbers.joined(separator: ",") + "]"
  }
}
