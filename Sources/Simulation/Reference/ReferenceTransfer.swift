import Chance

/// One transfer by a reference sender through one link: segments, a queue, a line. The sender knows at once what a
/// selective acknowledgment can tell it, and repeats what three later segments have overtaken.
struct ReferenceTransfer {
  /// Seconds and bytes.
  private let sendingTime: Double
  private let roundTrip: Double
  private let handshakes: Int
  private let jitter: Double
  private let queueLimit: Double
  private let segments: Int
  private let payload: Int
  /// Segments that the receiver's window admits.
  private let windowLimit: Int
  private let loss: LossModel
  /// The share of segments that a checksum refuses.
  private let damage: Double
  private var isBad = false
  private var random: SeededGenerator
  private var control: ReferenceControl

  private struct Sent {
    /// When the acknowledgment arrives; nil: it was lost.
    var acknowledged: Double?
    var at: Double
    /// What had arrived when it was sent, and when the last of that had.
    var before: Int
    var since: Double
    var isDetected = false
  }

  /// `window` is the receiver's, in bytes; `access` what other links add to a round trip, in seconds; `handshakes` the
  /// round trips before data, with the one that finds the neighbour.
  init?(
    _ link: LinkParameters, bytes: Int, payload: Int, window: Int, access: Double, handshakes: Int,
    seed: UInt64,
    _ control: ReferenceControl
  ) {
    guard let rate = link.rate else { return nil }
    let wire = Double(link.mtu + FrameLayout.linkBytes)
    sendingTime = wire * 8 / Double(rate)
    roundTrip = Double(link.delay.count) * 2 / 1e9 + access
    self.handshakes = handshakes
    jitter = Double(link.jitter.count) / 1e9
    switch link.queueing {
    case .dropTail(let bytes): queueLimit = Double(bytes) / wire * sendingTime
    case .fqCodel: queueLimit = 0.1
    case .red(let early): queueLimit = Double(early.upper) / wire * sendingTime
    }
    self.payload = payload
    segments = (bytes + payload - 1) / payload
    windowLimit = max(2, window / 2 / payload)
    loss = link.loss
    damage = link.corruption
    random = SeededGenerator(seed: seed)
    self.control = control
  }

  /// Bits of payload per second, from the SYN to the arrival of the last segment.
  mutating func goodput() -> Double {
    let handshake = roundTrip * Double(handshakes)
    var (now, lineFree, lastArrival) = (handshake, 0.0, 0.0)
    var sent: [Sent] = []
    var (next, toRepeat, inFlight, delivered) = (0, 0, 0, 0)
    // The first entry whose fate the sender does not know, and up to where a loss is part of one event.
    var (fate, undetected, recovery) = (0, 0, 0)
    var (paceFree, lastDelivery) = (0.0, handshake)
    while delivered < segments {
      while inFlight < min(Int(control.window), windowLimit), toRepeat > 0 || next < segments {
        if let pace = control.pace {
          // What arrives before the next one may leave comes first.
          while fate < sent.count, sent[fate].acknowledged == nil { fate += 1 }
          if paceFree > now {
            if fate < sent.count, let arrival = sent[fate].acknowledged, arrival <= paceFree { break }
            now = paceFree
          }
          paceFree = max(paceFree, now) + 1 / max(pace, 0.001)
        }
        if toRepeat > 0 { toRepeat -= 1 } else { next += 1 }
        if inFlight == 0 { lastDelivery = now }
        inFlight += 1
        var entry = Sent(acknowledged: nil, at: now, before: delivered, since: lastDelivery)
        let start = max(now, lineFree)
        if start - now <= queueLimit {
          lineFree = start + sendingTime
          if !isLost() {
            let varied = jitter > 0 ? Double(random.below(1_000_000)) / 1e6 * 2 * jitter : 0
            lastArrival = max(lastArrival, lineFree + roundTrip + varied)
            entry.acknowledged = lastArrival
          }
        }
        sent.append(entry)
      }
      while fate < sent.count, sent[fate].acknowledged == nil { fate += 1 }
      guard fate < sent.count, let moment = sent[fate].acknowledged else {
        // Nothing is out whose acknowledgment could tell: the timer goes off.
        let lost = (undetected..<sent.count).filter { sent[$0].acknowledged == nil && !sent[$0].isDetected }
        now = (sent.last?.at ?? now) + roundTrip + 0.2
        toRepeat += lost.count
        inFlight -= lost.count
        for index in lost { sent[index].isDetected = true }
        undetected = sent.count
        recovery = sent.count
        control.timedOut()
        continue
      }
      now = moment
      delivered += 1
      inFlight -= 1
      lastDelivery = now
      control.arrived(
        now: now, sent: sent[fate].at, delivered: delivered, before: sent[fate].before,
        since: sent[fate].since, inFlight: inFlight)
      if fate >= recovery { control.acknowledged(now: now, roundTrip: now - sent[fate].at) }
      while undetected + 3 <= fate {
        if sent[undetected].acknowledged == nil, !sent[undetected].isDetected {
          sent[undetected].isDetected = true
          inFlight -= 1
          toRepeat += 1
          if undetected >= recovery {
            control.lost()
            recovery = sent.count
          }
        }
        undetected += 1
      }
      fate += 1
    }
    return Double(segments * payload) * 8 / (now - roundTrip / 2)
  }

  private mutating func isLost() -> Bool {
    if damage > 0, random.chance(damage) { return true }
    switch loss {
    case .none: return false
    case .random(let probability): return random.chance(probability)
    case .bursty(let worsening, let recovery, let good, let bad):
      if random.chance(isBad ? recovery : worsening) { isBad.toggle() }
      return random.chance(isBad ? bad : good)
    }
  }
}
