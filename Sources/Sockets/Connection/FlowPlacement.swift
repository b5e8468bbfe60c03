// Where a connection lives, and how it moves (PCB-MOVE).
//
// Its hash names the context that finds it in the table and, where packets are steered, receives for it. Its home
// is that context until it is moved. Of a moved connection every segment still passes the context of its hash,
// which forwards it: one place decides, one segment after the other, so the order is kept (RX-ORDER). A move while
// segments are on their way would let later ones overtake them; so home and the count of those on their way are
// one word, and a move is one compare-and-swap that finds the count zero.

import Exclusion
import Internet
import SoftInterrupts
import Timing

/// home 32 · on their way there 32.
enum FlowPlacement {
  static func word(home: Int) -> UInt64 { UInt64(home) << 32 }
  static func home(_ word: UInt64) -> Int { Int(word >> 32) }
  static func underWay(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word) }
}

/// Why a connection was not moved. Each passes by itself, but for the first.
public enum MoveRefusal: Error, Hashable, Sendable {
  /// The connection is ending, ended, or not in the table yet.
  case notEstablished
  /// Another context is inside; it would have to stop first.
  case occupied
  /// A request for an earlier timer is on its way to the home.
  case timerUnderWay
  /// Segments are on their way to the home.
  case segmentsUnderWay
  /// What was sent may still wait in the home's transmit queue.
  case transmitUnderWay
  /// There is no context of this number.
  case noSuchContext
}

extension ConnectionRef {
  /// The home context. Exact for the owner, a hint for others.
  var home: Int { unsafe FlowPlacement.home(shared.pointee.placement.load()) }

  /// On the context of the connection's hash, for a segment: nil if this is the home too, or packets are not
  /// steered. Otherwise where the segment is to go, counted as on its way, with a reference for it (SO-REF).
  func beginForwarding(_ cx: borrowing SoftInterrupt) -> Int? {
    guard cx.steers, home != cx.index else { return nil }
    // Home and count in one step: a move comes before this, and is seen, or finds the count (keeps PCB-MOVE).
    let target = unsafe FlowPlacement.home(shared.pointee.placement.add(1))
    if target != cx.index, retainUnlessGone() { return target }
    endForwarding()
    return nil
  }
  /// The segment was submitted, or given up.
  func endForwarding() {
    let before = unsafe shared.pointee.placement.subtract(1)
    invariant(FlowPlacement.underWay(before) > 0, "PCB-MOVE: a segment came that was not on its way")
  }

  /// Owner, on the home context: everything that is the home's goes to `target`.
  func move(to target: Int, _ cx: inout SoftInterrupt) -> Result<Void, MoveRefusal> {
    guard unsafe !owned.pointee.isDropped, unsafe !owned.pointee.isInserting else {
      return .failure(.notEstablished)
    }
    let old = home
    guard old == cx.index else { return .failure(.occupied) }
    guard target != old else { return .success(()) }
    guard unsafe shared.pointee.timerRequestQueued.load() == 0 else { return .failure(.timerUnderWay) }
    if let route = unsafe owned.pointee.route, !cx.internet.isTransmitAtRest(route, cx) {
      return .failure(.transmitUnderWay)
    }
    var placed = FlowPlacement.word(home: old)
    #if Explore
      if Mutation.moveIgnoresUnderWay.isOn {
        unsafe shared.pointee.placement.store(FlowPlacement.word(home: target))
        placed = FlowPlacement.word(home: target)
      }
    #endif
    guard unsafe shared.pointee.placement.compareExchange(&placed, FlowPlacement.word(home: target)) else {
      return .failure(.segmentsUnderWay)
    }
    cx.cancel(timer)
    unsafe owned.pointee.armed = nil
    gate.move(to: SocketContextRef(cx).withLayer { $0.contexts.port(target) })
    updateTimer(&cx)
    return .success(())
  }
}

extension SocketLayer {
  /// Moves a connection to another context: its timers, its posted work, what is received for it. Refused while
  /// anything of it is queued, deferred or armed elsewhere; try again. Any thread; does not wait.
  public func move(_ socket: StreamSocket, to target: Int) -> Answer<Result<Void, MoveRefusal>> {
    let answer = Answer<Result<Void, MoveRefusal>>(wakeAccount)
    let connection = socket.connection
    connection.retain()
    contexts.perform(on: connection.home) { [contexts] cx in
      let call = ContextCall.make(kind: SocketKind.call) { cx in
        let isKnown = 0..<contexts.count ~= target
        answer.complete(isKnown ? connection.move(to: target, &cx) : .failure(.noSuchContext), &cx)
        connection.release()
      }
      // Never closed: the reference is ours until the call has run.
      _ = connection.gate.submit(call, isSegment: false, &cx)
    }
    return answer
  }
}
