// What the network reports about datagrams reaches their socket as state and a wake-up, never as a nested call (L7).
// The pending error is reported once, by the next call. Who asks for it also gets each report by itself, in the
// manner of IP_RECVERR: a bounded queue without a lock, which any context adds to and any thread takes from.

import Buffers
import Exclusion
import Internet
import SoftInterrupts
public import Wire

/// What the network, or this host, reported about a datagram that was sent.
public struct DatagramError: Hashable, Sendable {
  /// What went wrong.
  public var error: SocketError
  /// Whom the datagram was for; the port is the one that was not reached.
  public var destination: SocketAddress
  /// The address and port of this host that it came from.
  public var source: SocketAddress
  /// Who says so; nil: this host, whose neighbour did not answer.
  public var reporter: IPAddress?
  /// With `.messageTooLarge`: the largest packet that the path carries, in bytes, 0 if the reporter did not say.
  public var mtu: Int
}

/// The error that the next call reports. A reader that waits is promised it: a sender that comes first does not take
/// it away, so the reader was not woken for nothing (SB-EXACT).
struct PendingError: ~Copyable {
  private let word = AtomicWord(0)
  private static var promised: UInt64 { 1 << 32 }

  /// The error, if there is one; it stays.
  var error: SocketError? { SocketError(code: word.load() & ~Self.promised) }
  /// Takes the error for a reader.
  func takeForReader() -> SocketError? {
    if word.loadRelaxed() == 0 { return nil }
    return SocketError(code: word.exchange(0) & ~Self.promised)
  }
  /// Takes the error for a sender, unless a reader was promised it.
  func takeForSender() -> SocketError? {
    var seen = word.load()
    while seen != 0, seen & Self.promised == 0 {
      if word.compareExchange(&seen, 0) { return SocketError(code: seen) }
    }
    return nil
  }

  /// Soft-interrupt context: sets the error, unless one is pending: that one is still to be reported. `wake` wakes
  /// the reader that waits, and says whether there was one.
  func raise(_ error: SocketError, wake: () -> Bool) {
    var seen: UInt64 = 0
    guard word.compareExchange(&seen, error.code | Self.promised) else { return }
    if wake() { return }
    // Nobody waited, and who waits from here on looks first: anyone may have it.
    seen = error.code | Self.promised
    _ = word.compareExchange(&seen, error.code)
  }
}

/// The reports that nobody has taken yet: 16 at most, the oldest gives way.
///
/// A place holds the address of a packet whose bytes are a `DatagramError`. Whoever exchanges an address out of a
/// place owns the packet, so neither readers nor contexts that overtake each other meet in one.
struct DatagramErrorQueue: ~Copyable {
  static var limit: Int { 16 }
  private let places = InlineArray<16, AtomicWord> { _ in AtomicWord(0) }
  /// How many were added; the next goes to this place, which is the oldest's.
  private let added = AtomicWord(0)
  /// How many are there. Counted after it is there, and off after it was taken.
  private let waiting = AtomicWord(0)

  /// Reports that wait. A hint while contexts add.
  var count: Int { max(0, Int(Int64(bitPattern: waiting.load()))) }

  /// Adds a report. Returns the one that gave way.
  func add(_ packet: consuming Packet) -> Packet? {
    let place = Int(added.add(1) % UInt64(Self.limit))
    let old = places[place].exchange(UInt64(packet.intoItem().address))
    if old == 0 { waiting.add(1) }
    return Self.packet(old)
  }
  /// Takes the oldest report.
  func take() -> Packet? {
    guard waiting.load() != 0 else { return nil }
    let first = added.load()
    for step in 0..<UInt64(Self.limit) {
      let place = Int((first &+ step) % UInt64(Self.limit))
      guard places[place].loadRelaxed() != 0 else { continue }
      let taken = places[place].exchange(0)
      guard taken != 0 else { continue }
      waiting.subtract(1)
      return Self.packet(taken)
    }
    return nil
  }

  private static func packet(_ address: UInt64) -> Packet? {
    guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: UInt(address)) else { return nil }
    return Packet(item: unsafe ItemRef(raw))
  }
}

extension DatagramRef {
  /// Soft-interrupt context: something became of a datagram of this socket's.
  func report(_ failure: DeliveryFailure, _ cx: inout SoftInterrupt) {
    let state = unsafe state
    let wantsAll = unsafe state.pointee.wantsErrors.load() != 0
    if let peer = unsafe state.pointee.peer {
      guard peer == failure.remote else { return }
    } else if !wantsAll {
      // Without a peer nobody could tell which of its datagrams is meant (RFC 1122 section 4.1.3.3).
      return
    }
    guard let error = SocketError(failure.reason) else { return }
    if wantsAll { keep(failure, error, cx) }
    report(error, &cx)
  }

  /// Soft-interrupt context: an error that the next call reports.
  func report(_ error: SocketError, _ cx: inout SoftInterrupt) {
    unsafe state.pointee.error.raise(error) {
      guard let target = unsafe reader.pointee.waiter.claim(where: { _ in isReadable() }) else {
        return false
      }
      cx.wake(target)
      return true
    }
    unsafe observers.pointee.raise([.readable, .error]) { cx.wake($0) }
  }

  private func keep(_ failure: DeliveryFailure, _ error: SocketError, _ cx: borrowing SoftInterrupt) {
    let sockets = SocketContextRef(cx)
    guard sockets.memory.take(Packet.occupied, .datagram) else {
      return sockets.counters.datagramErrorsLost.increment()
    }
    guard var packet = cx.pool.allocate() else {
      sockets.memory.give(Packet.occupied, .datagram)
      return sockets.counters.datagramErrorsLost.increment()
    }
    packet.append(MemoryLayout<DatagramError>.size)
    var report = DatagramError(
      error: error, destination: failure.remote, source: failure.local, reporter: failure.reporter, mtu: 0)
    if case .packetTooBig(let mtu) = failure.reason { report.mtu = mtu }
    unsafe packet.dataAddress.initializeMemory(as: DatagramError.self, to: report)
    if unsafe state.pointee.errors.add(packet) != nil {
      sockets.memory.give(Packet.occupied, .datagram)
      sockets.counters.datagramErrorsLost.increment()
    }
  }

  /// The oldest report that nobody has taken.
  func takeReport(_ memory: MemoryAccountRef) -> DatagramError? {
    guard let packet = unsafe state.pointee.errors.take() else { return nil }
    memory.give(Packet.occupied, .datagram)
    return unsafe packet.withUnsafeBytes { unsafe $0.load(as: DatagramError.self) }
  }
}

extension SocketError {
  /// What a call reports; nil for what no call could help.
  init?(_ reason: DeliveryFailure.Reason) {
    switch reason {
    case .portUnreachable, .protocolUnreachable: self = .connectionRefused
    case .hostUnreachable, .timeExceeded, .prohibited: self = .hostUnreachable
    case .networkUnreachable: self = .networkUnreachable
    case .packetTooBig: self = .messageTooLarge
    case .parameterProblem: return nil
    }
  }
}

extension DatagramSocket {
  /// IP_RECVERR: whether each error about a datagram of this socket's is kept, to be taken by
  /// ``takeDatagramError()``, with its destination and who reported it; errors about datagrams to whomever, too, if
  /// the socket has no peer. 16 are kept, the oldest gives way. Off at first.
  public func setReceivesErrors(_ isOn: Bool) {
    unsafe datagram.state.pointee.wantsErrors.store(isOn ? 1 : 0)
  }
  /// The oldest error that was kept. Any thread; never waits.
  public func takeDatagramError() -> DatagramError? { datagram.takeReport(layer.memory) }
  /// The pending error, which this takes away (SO_ERROR).
  public func takeError() -> SocketError? { unsafe datagram.state.pointee.error.takeForReader() }
}
