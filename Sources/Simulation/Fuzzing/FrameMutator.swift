import Buffers
import Wire

/// Changes frames of running connections as an attacker on the path might: field by field, checksums repaired, so that
/// what is behind the checksums is reached.
struct FrameMutator {
  private var random: Decisions
  /// The share of frames that is changed, 0...1.
  var share: Double
  /// Frames changed so far.
  private(set) var count = 0
  /// Frames seen before, to be replayed.
  private var remembered: [[UInt8]] = []
  private static var memory: Int { 32 }

  private let mutations: [Mutation]

  /// What is done to a frame.
  enum Mutation: CaseIterable {
    case bit, sequence, acknowledgment, window, flags, optionByte, optionLength, headerLength, urgent, ports
    case payload, truncate, extend, replay, duplicate, delay, drop, swapEnds
  }

  /// Changes `share` of the frames, in the ways named.
  init(seed: UInt64, share: Double, only mutations: [Mutation] = Mutation.allCases) {
    random = Decisions(seed: seed)
    self.share = share
    self.mutations = mutations
  }
  /// Does what `script` says, a byte or some for each decision, until it ends.
  init(script: [UInt8]) {
    random = Decisions(script: script)
    share = 1
    mutations = Mutation.allCases
  }

  /// Looks at a frame that leaves the line of `pipe`.
  mutating func work(on packet: inout Packet, of pipe: Pipe) {
    guard let layout = FrameLayout(packet.bytes), layout.isTCP(packet.bytes) else { return }
    remember(packet)
    guard share > 0, !random.isExhausted, random.chance(share) else { return }
    count += 1
    // Several at once, now and then.
    repeat { mutate(&packet, pipe) } while random.chance(percent: 20)
    packet.repairChecksums()
    pipe.network.note(.mutated, pipe, packet)
  }

  private mutating func mutate(_ packet: inout Packet, _ pipe: Pipe) {
    guard let layout = FrameLayout(packet.bytes), layout.isTCP(packet.bytes) else { return }
    let start = layout.transport
    let header = Int(packet.bytes.uint8(at: start + 12) >> 4) * 4
    let mutation = mutations[random.below(mutations.count)]
    switch mutation {
    case .bit: flip(&packet, start..<layout.end)
    case .sequence: shift(&packet, at: start + 4)
    case .acknowledgment: shift(&packet, at: start + 8)
    case .window: set(&packet, [0, 1, 0xFFFF, UInt16(random.below(65536))][random.below(4)], at: start + 14)
    case .flags:
      set(&packet, packet.bytes.uint16(at: start + 12) ^ UInt16(1 << random.below(9)), at: start + 12)
    case .optionByte: if header > 20 { flip(&packet, start + 20..<start + header) }
    case .optionLength:
      if header > 21 { set(&packet, UInt8(random.below(256)), at: start + 21 + random.below(header - 21)) }
    case .headerLength:
      set(&packet, UInt8(random.below(16)) << 4 | packet.bytes.uint8(at: start + 12) & 15, at: start + 12)
    case .urgent: set(&packet, UInt16(random.below(65536)), at: start + 18)
    case .ports:
      // Of a segment in UDP those of UDP lie in front.
      let first = layout.datagram ?? start
      let place = layout.datagram == nil ? random.below(2) : [0, 1, 4, 5][random.below(4)]
      set(&packet, UInt16(random.below(65536)), at: first + 2 * place)
    case .payload: if layout.end > start + header { flip(&packet, start + header..<layout.end) }
    case .truncate:
      if layout.end > start + header {
        resize(&packet, layout, by: -1 - random.below(layout.end - start - header))
      }
    case .extend: resize(&packet, layout, by: 1 + random.below(64))
    case .replay: replay(pipe)
    case .duplicate:
      if let copy = pipe.network.copy(packet) { pipe.travel(copy, after: UInt64(random.below(30_000_000))) }
    case .delay:
      if let copy = pipe.network.copy(packet) { pipe.travel(copy, after: UInt64(random.below(200_000_000))) }
      packet.truncate(to: FrameLayout.linkBytes)
    case .drop: packet.truncate(to: FrameLayout.linkBytes)
    case .swapEnds: swapEnds(&packet, layout)
    }
  }

  // MARK: Fields

  private mutating func flip(_ packet: inout Packet, _ range: Range<Int>) {
    let place = range.lowerBound + random.below(range.count)
    set(&packet, packet.bytes.uint8(at: place) ^ UInt8(1 << random.below(8)), at: place)
  }
  /// A number that is a little off, a window off, or anything.
  private mutating func shift(_ packet: inout Packet, at offset: Int) {
    let before = packet.bytes.uint32(at: offset)
    let distances: [UInt32] = [
      1, 0 &- 1, 1448, 0 &- 1448, 65536, 0 &- 65536, 1 << 20, 1 << 31,
      UInt32(truncatingIfNeeded: random.next()),
    ]
    set(&packet, before &+ distances[random.below(distances.count)], at: offset)
  }
  private func set<Value: FixedWidthInteger & BitwiseCopyable>(
    _ packet: inout Packet, _ value: Value, at offset: Int
  ) {
    var bytes = packet.mutableBytes
    bytes.set(value, at: offset)
  }

  /// A shorter or longer IP packet, whose length says so.
  private func resize(_ packet: inout Packet, _ layout: FrameLayout, by change: Int) {
    if change < 0 {
      packet.truncate(to: layout.end + change)
    } else {
      packet.truncate(to: layout.end)
      let more = min(change, packet.tailroom, 1514 - layout.end)
      guard more > 0 else { return }
      packet.append(more)
    }
    packet.writeLength(layout)
  }

  /// Source and destination change places: the packet comes back to who sent it, as if from the other.
  private func swapEnds(_ packet: inout Packet, _ layout: FrameLayout) {
    let (source, destination) = (
      packet.bytes.uint16(at: layout.transport), packet.bytes.uint16(at: layout.transport + 2)
    )
    set(&packet, destination, at: layout.transport)
    set(&packet, source, at: layout.transport + 2)
  }

  // MARK: Replays

  private mutating func remember(_ packet: borrowing Packet) {
    guard random.chance(percent: 10) else { return }
    let count = packet.count
    let bytes = (0..<count).map { packet.bytes.uint8(at: $0) }
    if remembered.count < Self.memory {
      remembered.append(bytes)
    } else {
      remembered[random.below(Self.memory)] = bytes
    }
  }

  private mutating func replay(_ pipe: Pipe) {
    guard !remembered.isEmpty, var copy = pipe.network.makePacket() else { return }
    let bytes = remembered[random.below(remembered.count)]
    copy.append(bytes.count)
    var span = copy.mutableBytes
    for (offset, byte) in bytes.enumerated() { span.set(byte, at: offset) }
    pipe.travel(copy, after: UInt64(random.below(50_000_000)))
  }
}

extension Packet {
  /// The IP length as the frame's end has it.
  fileprivate mutating func writeLength(_ layout: FrameLayout) {
    let start = FrameLayout.linkBytes
    let whole = count
    var bytes = mutableBytes
    switch layout.family {
    case .ipv4: bytes.set(UInt16(clamping: whole - start), at: start + 2)
    case .ipv6: bytes.set(UInt16(clamping: whole - start - 40), at: start + 4)
    }
    if let datagram = layout.datagram { bytes.set(UInt16(clamping: whole - datagram), at: datagram + 4) }
  }

  /// Makes the checksums of IPv4 and TCP right, or of UDP where the segment is in that, whatever the packet says.
  mutating func repairChecksums() {
    let start = FrameLayout.linkBytes
    guard let layout = FrameLayout(bytes), layout.protocolNumber == .tcp else { return }
    let (source, destination) = (layout.source(bytes), layout.destination(bytes))
    var span = mutableBytes
    if layout.family == .ipv4 {
      span.set(0 as UInt16, at: start + 10)
      span.set(InternetChecksum.of(span.bytes.extracting(start..<layout.transport)), at: start + 10)
    }
    if let datagram = layout.datagram {
      span.set(0 as UInt16, at: datagram + 6)
      let checksum = InternetChecksum.of(
        span.bytes.extracting(datagram..<layout.end), source: source, destination: destination,
        protocol: .udp)
      return span.set(checksum == 0 ? 0xFFFF : checksum, at: datagram + 6)
    }
    guard layout.end - layout.transport >= 20 else { return }
    span.set(0 as UInt16, at: layout.transport + 16)
    let checksum = InternetChecksum.of(
      span.bytes.extracting(layout.transport..<layout.end), source: source, destination: destination,
      protocol: .tcp)
    span.set(checksum, at: layout.transport + 16)
  }
}
