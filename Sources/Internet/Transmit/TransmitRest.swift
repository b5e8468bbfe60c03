public import Devices
public import Exclusion
import SoftInterrupts

extension InternetLayer {
  /// Whether nothing that this context sent by `route` can still wait on this host: its queue is neither stopped
  /// nor occupied. The answer may be old at once; what was sent before it is not.
  public func isTransmitAtRest(_ route: RouteDecision, _ cx: borrowing SoftInterrupt) -> Bool {
    guard let queue = interface(route.interface)?.queue(of: cx.index) else { return true }
    return queue.isAtRest(cx)
  }

  /// What the device of a route does for those who send by it.
  public func offloads(of route: RouteDecision) -> DeviceOffloads {
    interface(route.interface)?.offloads ?? []
  }
}
