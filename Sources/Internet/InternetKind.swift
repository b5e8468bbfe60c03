import Buffers
public import Exclusion
import SoftInterrupts

/// Numbers that this target uses for work and timers; the targets above begin at ``firstFree``.
public enum InternetKind {
  /// A neighbour cache, handed over to its home.
  static let neighborCache = WorkKind(rawValue: Handlers.Kind.firstFree.rawValue)
  // Inside the cache's gate only:
  /// A packet that found no entry.
  static let neighborStranger = WorkKind(rawValue: 1)
  /// A packet that is counted as pending at its neighbour.
  static let neighborWaiter = WorkKind(rawValue: 2)
  /// A received ARP message.
  static let neighborARP = WorkKind(rawValue: 3)
  /// A received neighbour solicitation or advertisement.
  static let neighborDiscovery = WorkKind(rawValue: 4)
  /// A stale entry was used.
  static let neighborUse = WorkKind(rawValue: 5)
  /// A fragment, for the context that puts it together with others.
  static let fragment = WorkKind(rawValue: Handlers.Kind.firstFree.rawValue + 1)
  /// A router solicitation, for the home of its interface.
  static let routerSolicitation = WorkKind(rawValue: Handlers.Kind.firstFree.rawValue + 2)
  /// The timer of a neighbour.
  static let neighborTimer: UInt8 = 0
  /// The timer of a context's partial packets.
  static let fragmentTimer: UInt8 = 8
  /// The timer of an interface's advertisements; its owner is the interface's index.
  static let advertisementTimer: UInt8 = 9
  /// The first kind of work for the targets above.
  public static let firstFree = WorkKind(rawValue: Handlers.Kind.firstFree.rawValue + 3)
  /// The first kind of timer for the targets above.
  public static let firstFreeTimer: UInt8 = 1
}

extension InternetLayer {
  /// Tells the contexts who runs this target's work. The functions capture nothing.
  static func register(in handlers: inout Handlers) {
    handlers.registerReceive { batch, interface, cx in
      // All contexts share it: counting references here would be what they contend for.
      let layer = unsafe Unmanaged<InternetLayer>.fromOpaque(cx.core.attachment(.internet))
      unsafe layer._withUnsafeGuaranteedRef { layer in
        if batch.count == 1, let packet = batch.popFirst() {
          return layer.receiveAlone(packet, interface: UInt16(interface), &cx)
        }
        layer.receive(&batch, interface: UInt16(interface), &cx)
        layer.finishBatch(&cx)
      }
    }
    handlers.register(InternetKind.neighborCache, at: .net) { item, cx in
      unsafe GateRef<NeighborCache>(item.raw).resume(budget: NeighborCache.budget, &cx)
    }
    handlers.register(InternetKind.fragment, at: .net) { item, cx in
      cx.internet.takeFragment(Packet(item: item), &cx)
    }
    handlers.register(InternetKind.routerSolicitation, at: .net) { item, cx in
      cx.internet.answerSolicitation(Packet(item: item), &cx)
    }
    handlers.registerTimer(InternetKind.advertisementTimer) { timer, cx in
      cx.internet.advertise(UInt16(truncatingIfNeeded: timer.owner), &cx)
    }
    handlers.registerTimer(InternetKind.fragmentTimer) { _, cx in cx.internet.fragmentTimerFired(&cx) }
    handlers.registerTimer(InternetKind.neighborTimer) { timer, cx in
      guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: timer.owner) else { return }
      let neighbor = unsafe NeighborRef(ItemRef(raw))
      neighbor.cache.expire(neighbor, &cx)
    }
  }
}
