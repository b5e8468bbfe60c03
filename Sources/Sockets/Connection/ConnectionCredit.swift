// TCP small queues: a connection has only so much below IP, and pushes back on its writers instead of having its
// segments dropped on this host (X5). Segments are on the connection's account until they have left; the account's
// bell is a bit at the connection's gate, never a nested call.

import Buffers
import Exclusion
import SoftInterrupts
import TCP

extension ConnectionRef {
  /// For a new connection: nothing is out. The bell is the bit that also says that options have changed.
  func initializeCredit() {
    unsafe creditMemory.initialize(to: PacketCredit(bell: GateBell(gate, .options)))
  }
  var credit: PacketCreditRef { unsafe PacketCreditRef(UnsafePointer(creditMemory)) }

  /// Bytes of memory that may be out: a millisecond's worth at the present rate, at least two segments, and at most
  /// what the configuration says. Without a measured round trip the congestion window bounds enough. Owner.
  func creditLimit(_ sockets: SocketContextRef) -> Int {
    let most = unsafe sockets.pointer.pointee.smallQueueLimit
    guard most > 0 else { return .max }
    guard let segments = unsafe owned.pointee.engine.segmentsPerMillisecond else { return most }
    return max(2 * Packet.occupied, min(segments * Packet.occupied, most))
  }

  /// The engine met the end of its credit. Owner, after what it had was handed down.
  func waitForCredit(_ sockets: SocketContextRef) {
    unsafe owned.pointee.isHeld = true
    sockets.counters.outputHeld.increment()
    // It came back meanwhile: nobody else will ring.
    if !credit.waits(below: creditLimit(sockets)) { _ = gate.post(events: .options) }
  }

  /// The bell, or options, or both. Owner.
  func creditReturned(_ cx: inout SoftInterrupt) {
    if unsafe owned.pointee.isLeaving, credit.outstanding == 0 {
      unsafe owned.pointee.isLeaving = false
      release()
    }
    guard unsafe owned.pointee.isHeld else { return }
    unsafe owned.pointee.isHeld = false
    runEngine(&cx) { $0.resumeOutput(now: $1, sink: &$2) }
  }

  /// The connection ends. Its block stays while packets of it are under way (their account is in it). Owner.
  func leaveCredit() {
    unsafe owned.pointee.isHeld = false
    guard credit.endsLater() else { return }
    unsafe owned.pointee.isLeaving = true
    retain()
  }
}
