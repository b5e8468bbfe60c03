// What each context keeps for itself, so that counting and limiting touch no shared line.

import Exclusion
import SoftInterrupts
import Timing
import Wire

/// Packets and bytes of one interface, on one context.
enum InterfaceEvent: Int, CaseIterable {
  case packetsReceived, bytesReceived, packetsSent, bytesSent, packetsDropped
}

/// Two addresses that were looked at, as they came in by an interface: neither is a Martian, and the destination is ours.
/// Until the tables change; 0 is no generation.
struct KnownPair {
  var source = IPAddress(high: 0, low: 0)
  var destination = IPAddress(high: 0, low: 0)
  var generation: UInt64 = 0
  var interface: UInt16 = 0
}

/// The state of one context. Counters have this context as their one writer; anyone reads.
@safe
struct ContextRecord: ~Copyable {
  /// (o) this context: ICMP errors.
  var errorLimit: RateLimit
  /// (o) this context: of the last packet that may be fragmented.
  var identification: UInt16
  /// (o) this context: packets of which fragments are missing, and when they are given up.
  var fragments: FragmentTable
  let fragmentTimer: TimerRef
  private let timer: UnsafeMutablePointer<TimerNode>
  /// (o) this context: each pair has one place, where the last one that came is known.
  private let pairs: UnsafeMutablePointer<KnownPair>
  private static var pairCount: Int { 64 }
  /// (a) one for each ``InternetEvent``.
  private let events: UnsafeMutablePointer<Counter>
  /// (a) ``InterfaceEvent/allCases`` for each interface.
  private let traffic: UnsafeMutablePointer<Counter>
  private let interfaceLimit: Int

  init(
    interfaceLimit: Int, errorLimit: RateLimit, identification: UInt16, fragments: consuming FragmentTable
  ) {
    self.fragments = fragments
    unsafe timer = .allocate(capacity: 1)
    fragmentTimer = unsafe TimerRef.initialize(
      at: UnsafeMutableRawPointer(timer), kind: InternetKind.fragmentTimer, owner: 0)
    self.interfaceLimit = interfaceLimit
    self.errorLimit = errorLimit
    self.identification = identification
    unsafe pairs = .allocate(capacity: Self.pairCount)
    unsafe pairs.initialize(repeating: KnownPair(), count: Self.pairCount)
    unsafe events = Self.makeCounters(InternetEvent.allCases.count)
    unsafe traffic = Self.makeCounters(InterfaceEvent.allCases.count * interfaceLimit)
  }

  deinit {
    unsafe pairs.deallocate()
    unsafe timer.deallocate()
    unsafe events.deinitialize(count: InternetEvent.allCases.count)
    unsafe events.deallocate()
    unsafe traffic.deinitialize(count: InterfaceEvent.allCases.count * interfaceLimit)
    unsafe traffic.deallocate()
  }

  private static func makeCounters(_ count: Int) -> UnsafeMutablePointer<Counter> {
    // A line to themselves at both ends: another context's counters are its own business.
    let raw = UnsafeMutableRawPointer.allocate(
      byteCount: (MemoryLayout<Counter>.stride * count + 127) & ~127, alignment: 128)
    let base = unsafe raw.bindMemory(to: Counter.self, capacity: count)
    for index in 0..<count { unsafe (base + index).initialize(to: Counter()) }
    return unsafe base
  }

  private func place(_ source: IPAddress, _ destination: IPAddress) -> UnsafeMutablePointer<KnownPair> {
    let mixed = source.low ^ source.low &>> 8 ^ destination.low
    return unsafe pairs + Int(truncatingIfNeeded: mixed) & (Self.pairCount - 1)
  }
  /// Whether the pair was looked at with the tables of `generation`.
  func knows(
    _ source: IPAddress, _ destination: IPAddress, interface: UInt16, generation: UInt64
  ) -> Bool {
    let pair = unsafe place(source, destination)
    return unsafe pair.pointee.generation == generation && pair.pointee.source == source
      && pair.pointee.destination == destination && pair.pointee.interface == interface
  }
  func note(_ source: IPAddress, _ destination: IPAddress, interface: UInt16, generation: UInt64) {
    unsafe place(source, destination).pointee = KnownPair(
      source: source, destination: destination, generation: generation, interface: interface)
  }

  func count(_ event: InternetEvent, by amount: UInt64 = 1) {
    unsafe events[event.rawValue].increment(by: amount)
  }
  func value(_ event: InternetEvent) -> UInt64 { unsafe events[event.rawValue].value }

  func count(_ event: InterfaceEvent, interface: Int, by amount: UInt64 = 1) {
    precondition(interface < interfaceLimit)
    unsafe traffic[interface * InterfaceEvent.allCases.count + event.rawValue].increment(by: amount)
  }
  func value(_ event: InterfaceEvent, interface: Int) -> UInt64 {
    precondition(interface < interfaceLimit)
    return unsafe traffic[interface * InterfaceEvent.allCases.count + event.rawValue].value
  }
}
