import Buffers
import Timing
public import Wire

/// What became of a frame at a pipe.
public enum FrameEvent: String, Sendable, Hashable {
  /// It was given to the link.
  case sent
  /// It came out at the far end.
  case arrived
  /// It found the queue full, or the discipline dropped it.
  case queueDrop = "dropped by the queue"
  /// It was lost on the line.
  case lost
  /// It was too long for the link.
  case tooLong = "too long for the link"
  /// The link was down.
  case linkDown = "lost: the link is down"
  /// It was damaged on the line.
  case damaged
  /// It was sent a second time by the line.
  case duplicated
  /// It was held back.
  case heldBack = "held back"
  /// A mutation was made of it.
  case mutated
}

/// One line of a trace.
public struct TraceEntry: Sendable {
  /// Nanoseconds of virtual time.
  public var time: UInt64
  /// What happened.
  public var event: FrameEvent
  /// The pipe's number; those of a link are 2n and 2n + 1.
  public var pipe: Int
  /// Bytes of the frame.
  public var bytes: Int
  /// The transport's number; nil for what is no IP packet.
  public var protocolNumber: IPProtocol?
  /// A segment in UDP.
  public var isEncapsulated = false
  /// TCP's: ports, numbers, flags, window as on the wire and bytes of payload.
  public var tcp: Segment?

  /// What a trace keeps of a TCP segment.
  public struct Segment: Sendable {
    /// Source and destination port.
    public var ports: (source: UInt16, destination: UInt16)
    /// The first byte's sequence number, and what is acknowledged.
    public var sequence: UInt32, acknowledgment: UInt32
    /// The flags.
    public var flags: TCPFlags
    /// The window field.
    public var window: UInt16
    /// Bytes of payload.
    public var payload: Int
  }

  init(_ event: FrameEvent, pipe: Int, _ packet: borrowing Packet, time: UInt64) {
    self.time = time
    self.event = event
    self.pipe = pipe
    bytes = packet.count
    let frame = packet.bytes
    guard let layout = FrameLayout(frame) else { return }
    protocolNumber = layout.protocolNumber
    isEncapsulated = layout.datagram != nil
    guard layout.isTCP(frame) else { return }
    let header = Int(frame.uint8(at: layout.transport + 12) >> 4) * 4
    tcp = Segment(
      ports: (frame.uint16(at: layout.transport), frame.uint16(at: layout.transport + 2)),
      sequence: frame.uint32(at: layout.transport + 4),
      acknowledgment: frame.uint32(at: layout.transport + 8),
      flags: TCPFlags(rawValue: frame.uint16(at: layout.transport + 12)),
      window: frame.uint16(at: layout.transport + 14), payload: layout.end - layout.transport - header)
  }

  /// One line for people.
  public var text: String {
    let micros = time / 1000
    let fraction = String(micros % 1_000_000 + 1_000_000).dropFirst()
    var line = "\(micros / 1_000_000).\(fraction) pipe \(pipe) \(event.rawValue), \(bytes) bytes"
    if let tcp {
      line += ": \(tcp.ports.source) > \(tcp.ports.destination) \(tcp.flags) seq \(tcp.sequence)"
      line += " ack \(tcp.acknowledgment) win \(tcp.window) len \(tcp.payload)"
      if isEncapsulated { line += " in UDP" }
    } else if let protocolNumber {
      line += ": protocol \(protocolNumber.rawValue)"
    } else {
      line += ": no IP packet"
    }
    return line
  }
}

/// The last events, or all of them.
struct Trace {
  private(set) var entries: [TraceEntry] = []
  private var next = 0
  /// Entries kept at most.
  let limit: Int

  init(limit: Int) { self.limit = limit }

  mutating func add(_ entry: TraceEntry) {
    if entries.count < limit {
      entries.append(entry)
    } else {
      entries[next] = entry
      next = (next + 1) % limit
    }
  }
  /// Oldest first.
  var inOrder: [TraceEntry] { Array(entries[next...] + entries[..<next]) }
}
