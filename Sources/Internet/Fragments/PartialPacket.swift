import Buffers
import Timing
import Wire

/// A packet of which some fragments have come. Private to the context that puts it together.
struct PartialPacket: ~Copyable {
  /// What became of a fragment.
  enum Outcome: Equatable {
    case kept
    /// It was there already.
    case repeated
    /// It says of some bytes what another said already, or the length contradicts others: nothing of the packet is to be
    /// believed (RFC 5722).
    case contradicts
    /// With it the packet is whole.
    case complete
  }

  let name: FragmentName
  /// When what is missing is not waited for any more.
  let deadline: Instant
  /// By offset, none over another.
  private(set) var pieces = PacketQueue()
  /// Where the last of them ends.
  private var end = 0
  private var received = 0
  private var total: Int?
  /// Memory that they occupy, in bytes.
  private(set) var occupied = 0
  /// A router marked one of them (RFC 3168 section 5.3).
  private(set) var isMarked = false

  init(_ name: FragmentName, deadline: Instant) {
    self.name = name
    self.deadline = deadline
  }

  /// Bytes of payload, once it is complete.
  var byteCount: Int { received }
  /// Whether the first fragment is there.
  mutating func hasStart() -> Bool { pieces.withFirst { FragmentNote(of: $0).offset == 0 } ?? false }

  /// All of them.
  consuming func takePieces() -> PacketQueue { pieces.takeAll() }

  mutating func add(_ packet: consuming Packet) -> Outcome {
    let note = FragmentNote(of: packet)
    let (offset, count) = (note.offset, packet.totalCount)
    if let total, offset + count > total || !note.hasMore && offset + count != total { return .contradicts }
    if !note.hasMore, offset + count < end { return .contradicts }
    if offset >= end {
      end = offset + count
      keep(packet, count)
    } else {
      var fresh: Packet? = consume packet
      let verdict = insert(&fresh, offset, count)
      if verdict != .kept { return verdict }
    }
    if !note.hasMore { total = offset + count }
    return received == total ? .complete : .kept
  }

  private mutating func keep(_ packet: consuming Packet, _ count: Int) {
    note(packet, count)
    pieces.append(packet)
  }
  private mutating func note(_ packet: borrowing Packet, _ count: Int) {
    received += count
    occupied += packet.occupiedBytes
    if packet.metadata.congestionExperienced { isMarked = true }
  }

  /// One that comes behind its successor: rare, and the list is walked for it.
  private mutating func insert(_ fresh: inout Packet?, _ offset: Int, _ count: Int) -> Outcome {
    var rest = pieces.takeAll()
    var outcome = Outcome.kept
    var before = 0
    while let piece = rest.popFirst() {
      let start = FragmentNote(of: piece).offset
      let finish = start + piece.totalCount
      if start == offset, finish == offset + count {
        outcome = .repeated
      } else if start < offset + count, offset < finish {
        outcome = .contradicts
      } else if outcome == .kept, start > offset, before <= offset, let packet = fresh.take() {
        keep(packet, count)
      }
      before = finish
      pieces.append(piece)
    }
    return outcome
  }
}
