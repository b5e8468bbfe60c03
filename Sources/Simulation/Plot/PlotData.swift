import Wire

/// What a plot shows of one transfer, gathered while it ran. Times are in seconds from the run's beginning.
struct PlotData {
  struct Sample {
    var time: Double
    var window: Int
    var threshold: Int
    var outstanding: Int
    /// Smoothed, in milliseconds; 0 before the first.
    var roundTrip: Double
  }
  var samples: [Sample] = []
  /// Bytes that wait before the narrow link.
  var queue: [(time: Double, bytes: Int)] = []
  /// Segments sent: when, and where in the stream they begin and end.
  var sent: [(time: Double, from: Double, to: Double)] = []
  var resent: [(time: Double, from: Double, to: Double)] = []
  var lost: [(time: Double, at: Double)] = []
  var acknowledged: [(time: Double, at: Double)] = []
  /// Round trips as acknowledgments tell them, in milliseconds.
  var roundTrips: [(time: Double, milliseconds: Double)] = []
  var end = 0.0

  /// Reads a trace: the data of the connection to the first session's port, away from the sender by `outgoing`.
  mutating func read(_ trace: [TraceEntry], outgoing: Int, isUpload: Bool, began: UInt64) {
    var base: UInt32?
    var highest = 0.0
    /// When what ends here was sent, if it was sent once.
    var sentAt: [Double: Double] = [:]
    for entry in trace {
      guard let tcp = entry.tcp else { continue }
      let time = Double(entry.time - min(began, entry.time)) / 1e9
      let isData = (isUpload ? tcp.ports.destination : tcp.ports.source) == 1000
      if isData, base == nil, tcp.flags.contains(.syn) { base = tcp.sequence &+ 1 }
      guard let base else { continue }
      func place(_ number: UInt32) -> Double { Double(Int32(bitPattern: number &- base)) }
      if isData, tcp.payload > 0 {
        let (from, to) = (place(tcp.sequence), place(tcp.sequence) + Double(tcp.payload))
        switch entry.event {
        case .sent where entry.pipe == outgoing:
          if from < highest {
            resent.append((time, from, to))
            // What waits behind a hole is acknowledged late, which is no round trip.
            sentAt.removeAll(keepingCapacity: true)
          } else {
            sent.append((time, from, to))
            sentAt[to] = time
          }
          highest = max(highest, to)
        case .lost, .queueDrop, .linkDown, .tooLong, .damaged: lost.append((time, from))
        case .sent, .arrived, .duplicated, .heldBack, .mutated: break
        }
        end = max(end, time)
      } else if !isData, entry.event == .arrived, entry.pipe == outgoing ^ 1, tcp.flags.contains(.ack) {
        let at = place(tcp.acknowledgment)
        guard at >= acknowledged.last?.at ?? 0 else { continue }
        acknowledged.append((time, at))
        end = max(end, time)
        if let when = sentAt.removeValue(forKey: at) { roundTrips.append((time, (time - when) * 1000)) }
      }
    }
  }
}
