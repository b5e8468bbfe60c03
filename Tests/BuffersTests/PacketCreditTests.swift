import Exclusion
import Testing

@testable import Buffers

/// What a bell rings at.
private enum Rung: GatedBlock {
  static func run(_ item: ItemRef, on block: GateRef<Rung>, _ cx: inout SoftInterrupt) {}
  static func run(events: GateEvents, on block: GateRef<Rung>, _ cx: inout SoftInterrupt) {}
  static func retire(_ block: GateRef<Rung>, _ cx: inout SoftInterrupt) {}
}

/// A source of packets: its account, and how often its bell rang.
@safe
private final class Source {
  let core: ContextCoreRef
  let raw = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 64)
  let pool = PacketPool(limit: 100)
  let credit: PacketCreditRef

  init() throws {
    core = try ContextCoreRef.make(index: 0, kick: .counted)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: 128)
    unsafe GateRef<Rung>.initialize(
      raw, kind: WorkKind(rawValue: 1), home: core.port, segmentLimit: 1, budget: 1)
    let bell = unsafe GateBell(GateRef<Rung>(raw), GateEvents(rawValue: 1))
    let memory = unsafe (raw + 64).bindMemory(to: PacketCredit.self, capacity: 1)
    unsafe memory.initialize(to: PacketCredit(bell: bell))
    credit = unsafe PacketCreditRef(UnsafePointer(memory))
  }
  deinit {
    core.destroy()
    unsafe raw.deallocate()
  }

  func packet() -> Packet {
    var packet = pool.ref.allocate()!
    packet.credit = credit
    return packet
  }
  /// Whether the bell rang since the last look.
  func hasRung() -> Bool {
    var posted = core.port.takeAll()
    guard posted.popFirst() != nil else { return false }
    withContextRoot(core) { root in
      root.withSoftInterrupt { cx in unsafe GateRef<Rung>(raw).resume(budget: 8, &cx) }
    }
    return true
  }
}

@Suite("The account of a packet's source") struct PacketCreditTests {
  @Test func theFieldLiesWhereItIsLookedAt() {
    let offset = MemoryLayout<PacketMetadata>.offset(of: \.creditOwner)
    #expect(PacketLayout.metadata + (offset ?? 0) == PacketLayout.creditOwner)
    #expect(PacketLayout.metadata + MemoryLayout<PacketMetadata>.size <= PacketLayout.start)
  }

  /// However a packet ends, its credit comes back once; a copy has none.
  @Test func aPacketThatIsFreedGivesItsCreditBack() throws {
    let source = try Source()
    source.credit.take(2 * Packet.occupied)
    do {
      let first = source.packet()
      var queue = PacketQueue()
      queue.append(source.packet())
      var copy = source.pool.ref.allocate()!
      copy.becomeCopy(of: first)
      _ = consume copy
      #expect(source.credit.outstanding == 2 * Packet.occupied)
      queue.removeAll()
      #expect(source.credit.outstanding == Packet.occupied)
      _ = consume first
    }
    #expect(source.credit.outstanding == 0)
    #expect(!source.hasRung(), "nobody waited")
  }

  /// The bell rings once, when there is room again; not before, and not for one that does not wait.
  @Test func theBellRingsWhenThereIsRoom() throws {
    let source = try Source()
    let one = Packet.occupied
    source.credit.take(3 * one)
    #expect(source.credit.waits(below: 2 * one))
    source.credit.give(one)
    #expect(!source.hasRung(), "as much as it may is still out")
    source.credit.give(one)
    #expect(source.hasRung())
    source.credit.give(one)
    #expect(!source.hasRung())
    #expect(!source.credit.waits(below: one), "there is room: nobody would ring")
  }

  /// A source that ends is told of the last of its credit.
  @Test func whoEndsIsToldOfTheLast() throws {
    let source = try Source()
    #expect(!source.credit.endsLater())
    source.credit.take(2 * Packet.occupied)
    #expect(source.credit.endsLater())
    source.credit.give(Packet.occupied)
    #expect(!source.hasRung())
    source.credit.give(Packet.occupied)
    #expect(source.hasRung() && source.credit.outstanding == 0)
  }

  /// Credit of one source is given back in one step.
  @Test func aRunSettlesPerSource() throws {
    let (left, right) = (try Source(), try Source())
    for source in [left, right] { source.credit.take(300) }
    var run = CreditRun()
    run.add(left.credit, 100)
    run.add(left.credit, 200)
    #expect(left.credit.outstanding == 300)
    run.add(right.credit, 100)
    #expect(left.credit.outstanding == 0 && right.credit.outstanding == 300)
    run.settle()
    run.settle()
    #expect(right.credit.outstanding == 200)
    right.credit.give(200)
  }
}
