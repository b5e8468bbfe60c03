// One part of the connection table. Its gate's owner alone inserts and removes, so check and insert is one
// step (PCB-UNIQ); everybody looks up without a lock inside a grace section.

import Exclusion
import Wire

/// The phantom type that gives a shard's gate its behaviour.
struct ConnectionShard: GatedBlock, ~Copyable {
  /// What a connection's command item asks of the shard.
  enum Command { static let insert: UInt16 = 1, remove: UInt16 = 2 }

  static func run(_ item: ItemRef, on block: GateRef<ConnectionShard>, _ cx: inout SoftInterrupt) {
    let shard = ConnectionShardRef(block)
    let connection = ConnectionRef.fromCommand(item)
    let hash = unsafe connection.shared.pointee.hash
    if item.code == Command.insert {
      #if Explore
        let isTaken =
          Mutation.lookedBeforeEntering.isOn
          ? item.value != 0 : shard.find(hash: hash, unsafe connection.shared.pointee.key) != nil
      #else
        let isTaken = shard.find(hash: hash, unsafe connection.shared.pointee.key) != nil
      #endif
      if !isTaken { unsafe shard.state.pointee.insert(hash: hash, connection.item) }
      _ = connection.gate.submit(events: isTaken ? .insertFailed : .inserted, &cx)
    } else {
      _ = unsafe shard.state.pointee.remove(hash: hash, connection.item)
      #if Explore
        if Mutation.controlBlockFreedUnderSocket.isOn {
          _ = connection.gate.submit(events: .detach, &cx)
          return
        }
        if Mutation.claimDroppedTwice.isOn { connection.release() }
      #endif
      connection.release()  // the protocol's claim: nothing finds the block any more
    }
  }

  static var budget: Int { 64 }

  static func run(events: GateEvents, on block: GateRef<ConnectionShard>, _ cx: inout SoftInterrupt) {}
  static func retire(_ block: GateRef<ConnectionShard>, _ cx: inout SoftInterrupt) {}
}

/// A handle to a shard; it lives as long as the stack.
@safe
struct ConnectionShardRef: @unchecked Sendable {  // the table behind it has one writer, the gate's owner
  let gate: GateRef<ConnectionShard>
  private static var stateOffset: Int { 128 }

  init(_ gate: GateRef<ConnectionShard>) { self.gate = gate }

  static func make(home: ContextPortRef, grace: GraceDomain) -> ConnectionShardRef {
    let bytes = stateOffset + MemoryLayout<SegmentedTable>.size
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    unsafe GateRef<ConnectionShard>.initialize(
      raw, kind: SocketKind.shard, home: home, segmentLimit: 1, budget: ConnectionShard.budget)
    unsafe (raw + stateOffset).initializeMemory(
      as: SegmentedTable.self, to: SegmentedTable(domain: grace))
    return unsafe ConnectionShardRef(GateRef(raw))
  }
  func destroy() {
    unsafe state.deinitialize(count: 1)
    unsafe gate.raw.deallocate()
  }

  /// For the gate's owner; look-ups are for everyone.
  var state: UnsafeMutablePointer<SegmentedTable> {
    unsafe (gate.raw + Self.stateOffset).assumingMemoryBound(to: SegmentedTable.self)
  }

  /// The connection of a 4-tuple, whatever its segments travel in. Any thread inside a grace section.
  func find(hash: UInt64, _ key: FlowKey) -> ConnectionRef? {
    unsafe state.pointee.find(hash: hash) { item in
      unsafe ConnectionRef(item.raw).shared.pointee.key.hasEnds(of: key)
    }.map { unsafe ConnectionRef($0.raw) }
  }
}
