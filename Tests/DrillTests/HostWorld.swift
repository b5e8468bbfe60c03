// A host and a peer that exists only as the segments that a test writes: what the tests of system calls share.

import Testing
import Timing
import Wire

@testable import Drill

/// A segment that the host sent.
struct Seen {
  let time: Instant
  let flags: TCPFlags
  let sequence: UInt32
  let acknowledgment: UInt32
  let window: UInt16
  let options: TCPOptions
  let payload: Int
  let trafficClass: UInt8
  let hopLimit: UInt8
}

final class HostWorld {
  let host: DrillHost
  let isIPv4: Bool
  /// The host's port, and the peer's.
  var port: UInt16 = 8080
  let peerPort: UInt16 = 40000
  /// The host's ISS, once it was seen.
  var iss: UInt32 = 0
  /// The peer's next sequence number.
  var next: UInt32 = 1

  init(
    _ personality: Personality = .linux, isIPv4: Bool = true,
    _ adjust: (inout HostSettings) -> Void = { _ in }
  ) throws {
    var settings = HostSettings(personality)
    adjust(&settings)
    host = try DrillHost(settings)
    self.isIPv4 = isIPv4
  }

  var local: IPAddress { isIPv4 ? host.settings.localIPv4 : host.settings.localIPv6 }
  var remote: IPAddress { isIPv4 ? host.settings.remoteIPv4 : host.settings.remoteIPv6 }
  var peer: AddressArgument { .inet(SocketAddress(remote, port: peerPort)) }

  // MARK: Calls

  /// The result of a call that does not wait.
  @discardableResult func call(
    _ call: SystemCall, _ location: SourceLocation = #_sourceLocation
  ) throws -> CallResult {
    guard case .done(let result) = host.begin(call) else {
      Issue.record("\(call) did not end", sourceLocation: location)
      throw Unexpected()
    }
    return result
  }
  struct Unexpected: Error {}

  /// A call that succeeds with `value`.
  func expect(
    _ call: SystemCall, _ value: Int64, _ location: SourceLocation = #_sourceLocation
  ) throws {
    let result = try self.call(call, location)
    #expect(result.value == value && result.errno == nil, "\(call): \(result)", sourceLocation: location)
  }
  /// A call that fails.
  func expect(
    _ call: SystemCall, _ errno: Errno, _ location: SourceLocation = #_sourceLocation
  ) throws {
    let result = try self.call(call, location)
    #expect(result.value == -1 && result.errno == errno, "\(call): \(result)", sourceLocation: location)
  }
  /// A call that waits.
  func block(_ call: SystemCall, _ location: SourceLocation = #_sourceLocation) throws -> CallHandle {
    guard case .blocked(let handle) = host.begin(call) else {
      Issue.record("\(call) did not wait", sourceLocation: location)
      throw Unexpected()
    }
    return handle
  }
  func isUnsupported(_ call: SystemCall) -> Bool {
    if case .unsupported = host.begin(call) { return true }
    return false
  }

  func set(_ descriptor: Int32, _ level: String, _ name: String, _ value: Int32) -> SystemCall {
    .setsockopt(
      descriptor, level: Int32(Numbers.value(level)!), name: Int32(Numbers.value(name)!), .integer(value),
      size: 4)
  }
  func get(_ descriptor: Int32, _ level: String, _ name: String) throws -> OptionValue? {
    try call(
      .getsockopt(descriptor, level: Int32(Numbers.value(level)!), name: Int32(Numbers.value(name)!), size: 4)
    ).option
  }
  func socket() throws -> Int32 {
    Int32(try call(.socket(domain: isIPv4 ? 2 : 10, type: 1, protocol: 6)).value)
  }
  func setNonblocking(_ descriptor: Int32) throws {
    try expect(.fcntl(descriptor, command: 4, argument: 0o4002), 0)
  }

  // MARK: The peer

  /// A segment of the peer's; its sequence number moves on by what it carries.
  func send(
    _ flags: TCPFlags, _ payload: Int = 0, ack: UInt32 = 1, window: UInt16 = 60000,
    options: TCPOptions = TCPOptions(), sequence: UInt32? = nil
  ) {
    let header = TCPHeader(
      sourcePort: peerPort, destinationPort: port, sequence: SequenceNumber(sequence ?? next),
      acknowledgment: SequenceNumber(flags.contains(.ack) ? iss &+ ack : 0), flags: flags, window: window,
      options: options)
    var segment = made(header.byteCount + payload) { header.emit(into: &$0) }
    for index in 0..<payload { segment[header.byteCount + index] = UInt8(truncatingIfNeeded: index) }
    next = (sequence ?? next) &+ UInt32(payload) &+ (flags.isDisjoint(with: [.syn, .fin]) ? 0 : 1)
    inject(segment, .tcp)
  }

  /// A transport header and what follows, sealed, behind an IP header.
  func inject(_ transport: [UInt8], _ number: IPProtocol) {
    var transport = transport
    change(&transport) {
      InternetChecksum.seal(
        &$0, at: TCPHeader.checksumOffset, source: remote, destination: local, protocol: number)
    }
    host.inject(header(transport.count, number, from: remote, to: local) + transport)
  }

  func header(_ count: Int, _ number: IPProtocol, from source: IPAddress, to destination: IPAddress)
    -> [UInt8]
  {
    if let from = source.ipv4, let to = destination.ipv4 {
      let header = IPv4Header(source: from, destination: to, protocol: number, payloadByteCount: count)
      return made(header.byteCount) { header.emit(into: &$0) }
    }
    let header = IPv6Header(
      source: source.ipv6!, destination: destination.ipv6!, nextHeader: number, payloadByteCount: count)
    return made(IPv6Header.byteCount) { header.emit(into: &$0) }
  }

  /// An ICMP error of a router's about the last segment that the host sent.
  func reportUnreachable(code: UInt8, _ segment: [UInt8]) {
    var message: [UInt8] = [3, code, 0, 0, 0, 0, 0, 0] + segment.prefix(28)
    var sum: UInt32 = 0
    for index in stride(from: 0, to: message.count, by: 2) {
      sum += UInt32(message[index]) << 8 | UInt32(message[index + 1])
    }
    while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
    message[2] = UInt8(truncatingIfNeeded: ~sum >> 8)
    message[3] = UInt8(truncatingIfNeeded: ~sum)
    host.inject(header(message.count, .icmpv4, from: remote, to: local) + message)
  }

  /// What the host sent since the last time.
  func seen() throws -> [Seen] {
    try host.takeOutgoing().map { emission in
      let bytes = emission.bytes
      let isIPv4 = bytes[0] >> 4 == 4
      let start = isIPv4 ? 20 : 40
      let span = unsafe bytes.span.bytes  // bytes have no padding
      let (header, count) = try TCPHeader.parse(span.extracting(start..<bytes.count))
      if header.flags.contains(.syn) { iss = header.sequence.rawValue }
      port = header.sourcePort
      return Seen(
        time: emission.time, flags: header.flags, sequence: header.sequence.rawValue &- iss,
        acknowledgment: header.flags.contains(.ack) ? header.acknowledgment.rawValue : 0,
        window: header.window, options: header.options, payload: bytes.count - start - count,
        trafficClass: isIPv4 ? bytes[1] : bytes[0] << 4 | bytes[1] >> 4, hopLimit: bytes[isIPv4 ? 8 : 7])
    }
  }
  /// The one segment that the host sent.
  @discardableResult func one(
    _ flags: TCPFlags, _ location: SourceLocation = #_sourceLocation
  ) throws -> Seen {
    let all = try seen()
    #expect(all.map(\.flags) == [flags], "\(all)", sourceLocation: location)
    return try #require(all.last, sourceLocation: location)
  }

  func run(milliseconds: Int) { host.advance(to: host.now.adding(milliseconds: milliseconds)) }

  // MARK: Openings

  /// A listener, descriptor 3.
  @discardableResult func listen(backlog: Int32 = 5) throws -> Int32 {
    let descriptor = try socket()
    try expect(set(descriptor, "SOL_SOCKET", "SO_REUSEADDR", 1), 0)
    try expect(.bind(descriptor, .inet(SocketAddress(isIPv4 ? .anyIPv4 : .anyIPv6, port: port))), 0)
    try expect(.listen(descriptor, backlog: backlog), 0)
    return descriptor
  }
  /// The peer's three segments; the child waits for accept.
  func handshake(_ location: SourceLocation = #_sourceLocation) throws {
    var options = TCPOptions()
    options.mss = 1000
    send(.syn, options: options, sequence: 0)
    try one([.syn, .ack], location)
    send(.ack)
  }
  /// A listener, and a connection that was accepted.
  func accept() throws -> (listener: Int32, child: Int32) {
    let listener = try listen()
    try handshake()
    return (listener, Int32(try call(.accept(listener, flags: 0)).value))
  }
  /// A connection that the host opened.
  func connect() throws -> Int32 {
    let descriptor = try socket()
    try setNonblocking(descriptor)
    try expect(.connect(descriptor, peer), .EINPROGRESS)
    try one(.syn)
    answer()
    try one(.ack)
    try expect(.fcntl(descriptor, command: 4, argument: 2), 0)
    return descriptor
  }
  /// The peer's SYN-ACK.
  func answer() {
    var options = TCPOptions()
    options.mss = 1000
    send([.syn, .ack], options: options, sequence: 0)
  }

  func expectNothingLeft(_ location: SourceLocation = #_sourceLocation) {
    #expect(host.finish() == [], sourceLocation: location)
  }
}

private func made(_ count: Int, _ body: (inout MutableRawSpan) -> Void) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: count)
  change(&bytes, body)
  return bytes
}
private func change(_ bytes: inout [UInt8], _ body: (inout MutableRawSpan) -> Void) {
  var elements = bytes.mutableSpan
  var span = unsafe elements.mutableBytes  // bytes have no padding
  body(&span)
}
