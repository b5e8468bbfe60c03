import Exclusion

/// A gated block for tests. After the header: what the owner keeps, changed by nobody else, so that the thread
/// sanitizer proves PCB-OWN.
enum Recorder: GatedBlock {
  static let kind = WorkKind(rawValue: 1)
  static let sources = 4
  static let byteCount = GateHeader.byteCount + MemoryLayout<RecorderState>.size

  static func run(_ item: ItemRef, on block: GateRef<Recorder>, _ cx: inout SoftInterrupt) {
    let state = unsafe block.state
    let source = Int(item.code)
    if unsafe item.value != state.pointee.next[source] { unsafe state.pointee.errors += 1 }
    unsafe state.pointee.next[source] = item.value &+ 1
    unsafe state.pointee.ran += 1
    if unsafe state.pointee.retired != 0 { unsafe state.pointee.errors += 1 }
    SlotPoolRef.of(item)?.freeRemote(item)
    if let act = unsafe state.pointee.whileRunning { act(block, &cx) }
  }
  static func run(events: GateEvents, on block: GateRef<Recorder>, _ cx: inout SoftInterrupt) {
    let state = unsafe block.state
    unsafe state.pointee.eventRuns += 1
    unsafe state.pointee.events |= UInt32(events.rawValue)
    if unsafe state.pointee.retired != 0 { unsafe state.pointee.errors += 1 }
    if let act = unsafe state.pointee.whileRunning { act(block, &cx) }
  }
  static func retire(_ block: GateRef<Recorder>, _ cx: inout SoftInterrupt) {
    unsafe block.state.pointee.retired += 1
  }
}

struct RecorderState {
  var next: [4 of UInt32] = [0, 0, 0, 0]
  var ran: UInt32 = 0
  var eventRuns: UInt32 = 0
  var events: UInt32 = 0
  var retired: UInt32 = 0
  var errors: UInt32 = 0
  /// What to do while an item or bits run, in tests of one thread.
  var whileRunning: ((GateRef<Recorder>, inout SoftInterrupt) -> Void)?
}

extension GateRef where Block == Recorder {
  var state: UnsafeMutablePointer<RecorderState> {
    unsafe (raw + GateHeader.byteCount).assumingMemoryBound(to: RecorderState.self)
  }
  func whileRunning(_ act: ((GateRef<Recorder>, inout SoftInterrupt) -> Void)?) {
    unsafe state.pointee.whileRunning = act
  }
  var ran: Int { Int(unsafe state.pointee.ran) }
  var errors: Int { Int(unsafe state.pointee.errors) }
  var retired: Int { Int(unsafe state.pointee.retired) }
}

/// One gated block and two contexts, of which number 0 is its home.
struct GateWorld: ~Copyable, Sendable {
  let gate: GateRef<Recorder>
  let home: ContextCoreRef
  let other: ContextCoreRef

  init(segmentLimit: Int = 1023, budget: Int = 16, kick: KickKind = .counted) throws {
    let cores = try (0..<2).map { try ContextCoreRef.make(index: $0, kick: kick) }
    (home, other) = (cores[0], cores[1])
    let raw = UnsafeMutableRawPointer.allocate(byteCount: Recorder.byteCount, alignment: 64)
    unsafe GateRef<Recorder>.initialize(
      raw, kind: Recorder.kind, home: home.port, segmentLimit: segmentLimit, budget: budget)
    gate = unsafe GateRef(raw)
    unsafe gate.state.initialize(to: RecorderState())
  }
  deinit {
    unsafe gate.state.deinitialize(count: 1)
    unsafe gate.raw.deallocate()
    home.destroy()
    other.destroy()
  }

  /// What the home's loop does with its run queue; returns how many gates it resumed.
  @discardableResult
  func runHome(budget: Int = 16, _ cx: inout SoftInterrupt) -> Int {
    var resumed = 0
    var taken = home.port.takeAll()
    while let item = taken.popFirst() {
      precondition(item.kind == Recorder.kind)
      unsafe GateRef<Recorder>(item.raw).resume(budget: budget, &cx)
      resumed += 1
    }
    return resumed
  }
}
