import Buffers
import Timing
import Wire

/// A segment that arrived, without its payload, which travels beside it. Checksum and ports have been checked.
@frozen public struct TCPSegment: Sendable {
  /// SEG.SEQ.
  public var sequence: SequenceNumber
  /// SEG.ACK; means something only with the ACK flag.
  public var acknowledgment: SequenceNumber
  /// Flags as they came, unknown ones included.
  public var flags: TCPFlags
  /// The window field as it came, not scaled.
  public var window: UInt16
  /// The urgent pointer; tolerated, urgent data is delivered in line (RFC 6093).
  public var urgentPointer: UInt16
  /// Options.
  public var options: TCPOptions
  /// When it arrived at this host: round trips are measured with it.
  public var arrival: Instant
  /// The ECN field of the IP header (RFC 3168 section 5).
  public var notification: CongestionNotification
  /// It was joined from segments with so many bytes of payload, the last one fewer; 0: it is one as it was sent.
  public var segmentSize: UInt16 = 0
  /// The IP header carried Congestion Experienced.
  public var congestionExperienced: Bool { notification == .experienced }

  /// A segment from its fields.
  public init(
    sequence: SequenceNumber, acknowledgment: SequenceNumber = SequenceNumber(0), flags: TCPFlags,
    window: UInt16 = 0, urgentPointer: UInt16 = 0, options: TCPOptions = TCPOptions(),
    arrival: Instant = .zero, notification: CongestionNotification = .notCapable
  ) {
    self.sequence = sequence
    self.acknowledgment = acknowledgment
    self.flags = flags
    self.window = window
    self.urgentPointer = urgentPointer
    self.options = options
    self.arrival = arrival
    self.notification = notification
  }

  /// A segment from its parsed header.
  public init(
    _ header: TCPHeader, arrival: Instant, notification: CongestionNotification = .notCapable
  ) {
    self.init(
      sequence: header.sequence, acknowledgment: header.acknowledgment, flags: header.flags,
      window: header.window, urgentPointer: header.urgentPointer, options: header.options,
      arrival: arrival, notification: notification)
  }

  /// How many segments with `payload` bytes it stands for.
  func segments(payload: Int) -> Int {
    segmentSize == 0 || payload == 0 ? 1 : (payload + Int(segmentSize) - 1) / Int(segmentSize)
  }

  /// SEG.LEN: payload, SYN and FIN (RFC 9293 section 3.4).
  func length(payload: Int) -> Int {
    payload + (flags.contains(.syn) ? 1 : 0) + (flags.contains(.fin) ? 1 : 0)
  }
}

/// A segment to be sent, described: the environment adds ports, addresses, the payload and the checksum.
@frozen public struct TCPOutgoing: Sendable {
  /// SEG.SEQ.
  public var sequence: SequenceNumber
  /// SEG.ACK; zero without the ACK flag.
  public var acknowledgment: SequenceNumber
  /// Flags.
  public var flags: TCPFlags
  /// The window field, scaled already.
  public var window: UInt16
  /// Options.
  public var options: TCPOptions
  /// Where the payload begins, in bytes from the front of the send queue as it is during the call: what the call
  /// reports as acknowledged is dropped after it.
  public var payloadOffset: Int
  /// Bytes of payload.
  public var payloadCount: Int
  /// The payload is that of several segments in a row, so many bytes each but the last, which has the rest, and PSH and
  /// FIN if there are any; 0: it is one segment's.
  public var segmentSize: Int = 0
  /// Whether any of it has been sent before.
  public var isRetransmission: Bool
  /// The urgent pointer; means something with the URG flag.
  public var urgentPointer: UInt16 = 0
  /// The IP header says ECT(0): queues may mark the packet instead of losing it (RFC 3168 section 5).
  public var isCapable: Bool

  /// How many segments it stands for.
  public var segmentCount: Int {
    segmentSize > 0 ? max(1, (payloadCount + segmentSize - 1) / segmentSize) : 1
  }

  /// A segment without payload.
  public init(
    sequence: SequenceNumber, acknowledgment: SequenceNumber, flags: TCPFlags, window: UInt16,
    options: TCPOptions = TCPOptions(), payloadOffset: Int = 0, payloadCount: Int = 0,
    isRetransmission: Bool = false, isCapable: Bool = false
  ) {
    self.sequence = sequence
    self.acknowledgment = acknowledgment
    self.flags = flags
    self.window = window
    self.options = options
    self.payloadOffset = payloadOffset
    self.payloadCount = payloadCount
    self.isRetransmission = isRetransmission
    self.isCapable = isCapable
  }
}

/// Why memory of text that the engine held came free before the text was delivered.
@frozen public enum TCPRelease: Hashable, Sendable {
  /// Its bytes lie in a packet with others now.
  case collapsed
  /// It was thrown away to make room; the peer sends it again (RFC 2018 section 8).
  case pruned
}

/// Why text that arrived is not taken, though its segment was nobody else's.
@frozen public enum TCPRefusal: Hashable, Sendable {
  /// It reaches beyond the window, or begins there.
  case beyondWindow
  /// The window is closed.
  case closedWindow
  /// It is in the window, and the receive buffer is full all the same, as memory is counted
  /// (``TCPConfiguration/countsMemory``).
  case noRoom
}

/// What the engine sends and delivers through. It never calls back into the engine.
public protocol TCPSink: ~Copyable {
  /// Whether another segment with text may go: false while as much as may be is still on its way out of this host.
  /// The environment then calls ``TCPConnection/resumeOutput(now:sink:)`` when there is room again. Segments
  /// without text always go.
  mutating func mayTransmitText() -> Bool
  /// The same for one that is to join `segments` others, which were not sent yet. Zero: it begins anew.
  mutating func mayTransmitText(beside segments: Int) -> Bool
  /// Of `number` that are to join them one after the other, how many may.
  mutating func mayTransmitText(_ number: Int, beside segments: Int) -> Int
  /// Bytes of text that it takes as one super-segment (``TCPOutgoing/segmentSize``); 0: segments one by one.
  var joinedTextLimit: Int { get }
  /// Sends a segment. What cannot be sent now is lost, as on a network: the engine will repeat it.
  mutating func send(_ segment: borrowing TCPOutgoing)
  /// Sends a segment that has no other options than time stamps, and whose IP header says nothing of congestion. As
  /// ``send(_:)``, which it is for an environment that knows no shorter way; payload as there.
  mutating func sendPlain(_ header: TCPGlance, payloadOffset: Int, payloadCount: Int)
  /// Takes the next bytes of the stream, in order, without gap or overlap. `payload` is never empty.
  mutating func deliver(_ payload: consuming Packet)
  /// Whether there is memory for text that is new and in the window, which is asked before it is acknowledged. False:
  /// the text is lost, as on a network. `isAhead`: it would wait behind a hole.
  mutating func admit(_ text: borrowing Packet, isAhead: Bool) -> Bool
  /// Whether an application has the connection, of one that a peer has opened: else nobody may ever read.
  var isTaken: Bool { get }
  /// Packets that had been admitted and not delivered came free, with so many bytes of memory.
  mutating func released(_ packets: Int, bytes: Int, _ reason: TCPRelease)
  /// Text of one segment was not taken.
  mutating func refused(_ reason: TCPRefusal)
}

extension TCPSink where Self: ~Copyable {
  /// Somebody has it.
  public var isTaken: Bool { true }
  /// There always is.
  public mutating func admit(_ text: borrowing Packet, isAhead: Bool) -> Bool { true }
  /// Nobody counts.
  public mutating func released(_ packets: Int, bytes: Int, _ reason: TCPRelease) {}
  /// Nobody counts.
  public mutating func refused(_ reason: TCPRefusal) {}
}

extension TCPSink where Self: ~Copyable {
  /// Always.
  public mutating func mayTransmitText() -> Bool { true }
  /// What has begun goes whole.
  public mutating func mayTransmitText(beside segments: Int) -> Bool { segments > 0 || mayTransmitText() }
  /// Each is asked for.
  public mutating func mayTransmitText(_ number: Int, beside segments: Int) -> Int {
    var allowed = 0
    while allowed < number, mayTransmitText(beside: segments + allowed) { allowed += 1 }
    return allowed
  }
  /// One by one.
  public var joinedTextLimit: Int { 0 }
  /// As any other.
  public mutating func sendPlain(_ header: TCPGlance, payloadOffset: Int, payloadCount: Int) {
    var options = TCPOptions()
    if header.hasTimestamps { options.timestamps = header.timestamps }
    send(
      TCPOutgoing(
        sequence: header.sequence, acknowledgment: header.acknowledgment, flags: header.flags,
        window: header.window, options: options, payloadOffset: payloadOffset, payloadCount: payloadCount))
  }
}
