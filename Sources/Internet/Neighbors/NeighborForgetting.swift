import Exclusion
import SoftInterrupts

extension InternetLayer {
  /// Forgets every neighbour, and drops what waits for one, and packets of which fragments are missing: the last part of
  /// a shutdown, when nothing is sent any more (RS-LEAK). Application context; done when each context has run what was
  /// posted to it.
  public func forgetNeighbors() {
    for index in 0..<interfaceCount {
      _ = interface(UInt16(index + 1))?.neighbors?.gate.post(events: .forget)
      endAdvertising(UInt16(index + 1))
    }
    for index in 0..<contexts.count { contexts.perform(on: index) { $0.internet.forgetFragments(&$0) } }
  }
}

extension GateEvents {
  /// Neighbour cache: all entries go.
  static let forget = GateEvents(rawValue: 1 << 1)
}

extension NeighborCacheRef {
  /// Owner: an entry that a packet is on its way to stays, without a timer.
  func forgetAll(_ cx: inout SoftInterrupt) {
    for neighbor in unsafe state.pointee.ring {
      cx.cancel(neighbor.timer)
      layer.dropWaiting(neighbor, self, &cx)
      _ = remove(neighbor, &cx)
    }
  }
}
