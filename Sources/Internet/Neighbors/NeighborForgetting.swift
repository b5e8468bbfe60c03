import Exclusion
import SoftInterrupts

extension InternetLayer {
  /// Forgets every neighbour and drops what waits for one: the last part of a shutdown, when nothing is sent any
  /// more (RS-LEAK). Application context; done when each context has run what was posted to it.
  public func forgetNeighbors() {
    for index in 0..<interfaceCount {
      _ = interface(UInt16(index + 1))?.neighbors?.gate.post(events: .forget)
    }
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
