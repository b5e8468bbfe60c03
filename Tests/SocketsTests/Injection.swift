// Segments made by hand, given to a host as if they had come from the network.

import Buffers
import Exclusion
import SoftInterrupts
import TCP
import Testing
import Timing
import Wire

@testable import Sockets

/// A peer that exists only as the segments that a test writes. Without a route to it nothing that the host
/// answers gets anywhere.
struct Stranger: Sendable {
  let address: IPAddress
  var port: UInt16 = 4000
  var irs: UInt32 = 0x7000_0000
  /// Whether its SYN offers scaling, selective acknowledgments and timestamps.
  var offers = false

  init(_ address: String, port: UInt16 = 4000) {
    self.address = IPAddress(address)!
    self.port = port
  }
}

extension Network {
  func key(_ stranger: Stranger, _ port: UInt16, _ address: IPAddress? = nil) -> FlowKey {
    FlowKey(
      localAddress: address ?? right.ipv4, localPort: port, remoteAddress: stranger.address,
      remotePort: stranger.port)
  }

  /// A segment of a stranger arrives at the host on the right, on context `context`.
  func inject(
    _ stranger: Stranger, to port: UInt16, _ flags: TCPFlags, sequence: UInt32, ack: UInt32 = 0,
    _ payload: [UInt8] = [], options: TCPOptions = TCPOptions(), context: Int = 0,
    address: IPAddress? = nil
  ) {
    let key = key(stranger, port, address)
    let header = TCPHeader(
      sourcePort: key.remotePort, destinationPort: port, sequence: SequenceNumber(sequence),
      acknowledgment: SequenceNumber(ack), flags: flags, window: 60000, options: options)
    right.contexts.perform(on: context) { cx in
      guard var packet = cx.pool.allocate() else { return }
      packet.append(payload.count)
      unsafe packet.withUnsafeMutableBytes { memory in
        unsafe payload.withUnsafeBytes { unsafe memory.copyMemory(from: $0) }
      }
      SegmentBuilder.finish(header, from: key.remoteAddress, to: key.localAddress, into: &packet)
      packet.metadata.source = key.remoteAddress
      packet.metadata.destination = key.localAddress
      packet.metadata.arrival = cx.now
      packet.metadata.interface = 2
      SocketInput.tcp(packet, &cx)
    }
    scheduler.settle()
  }

  /// The stranger's SYN.
  func syn(_ stranger: Stranger, to port: UInt16, context: Int = 0, address: IPAddress? = nil) {
    var options = TCPOptions()
    options.mss = 1400
    if stranger.offers {
      options.windowScale = 7
      options.sackPermitted = true
      options.timestamps = TCPTimestamps(value: 1000, echo: 0)
    }
    inject(
      stranger, to: port, .syn, sequence: stranger.irs, options: options, context: context,
      address: address)
  }

  /// The sequence number of our SYN-ACK to a stranger, from the entry that is kept for it; nil: there is none.
  func synAckSequence(_ stranger: Stranger, _ port: UInt16) -> UInt32? {
    let key = key(stranger, port)
    let found = Box<UInt32?>(nil)
    for index in 0..<right.contexts.count {
      right.contexts.perform(on: index) { cx in
        let sockets = SocketContextRef(cx)
        guard let entry = unsafe sockets.synCache.pointee.find(hash: key.hash(sockets.hashKey), key) else {
          return
        }
        found.value = unsafe sockets.synCache.pointee.entry(entry).pointee.handshake.initialSend.rawValue
      }
    }
    scheduler.settle()
    return found.value
  }

  /// So many passes, of one context after the other.
  func step(_ passes: Int) {
    let all = [left, right].flatMap { host in (0..<host.contexts.count).map { (host.contexts, $0) } }
    for pass in 0..<passes { scheduler.step(all[pass % all.count].0, context: all[pass % all.count].1) }
  }

  /// The sum of a counter over the contexts of the right host.
  func counted(_ name: String) -> UInt64 {
    (0..<right.contexts.count).reduce(0) { sum, index in
      sum + (right.sockets.withCounters(index) { $0.all }.first { $0.name == name }?.value ?? 0)
    }
  }
  var connectionsInUse: Int {
    (0..<right.contexts.count).reduce(0) { $0 + right.sockets.connectionsInUse($1) }
  }
}

/// Shared with contexts that are stepped by hand, one thing at a time.
final class Box<Value>: @unchecked Sendable {  // one thread
  var value: Value
  init(_ value: Value) { self.value = value }
}
