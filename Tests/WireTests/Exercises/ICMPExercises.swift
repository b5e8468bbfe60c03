import Chance
import Wire

extension SeededGenerator {
  mutating func icmpv4() -> ICMPv4Message {
    switch below(9) {
    case 0: .echoReply(identifier: any(), sequence: any())
    case 1: .destinationUnreachable(code: any(), nextHopMTU: any())
    case 2: .redirect(code: any(), gateway: ipv4())
    case 3: .echoRequest(identifier: any(), sequence: any())
    case 4: .timeExceeded(code: any())
    case 5: .parameterProblem(code: any(), pointer: any())
    case 6: .timestampRequest(identifier: any(), sequence: any(), originate: any())
    case 7:
      .timestampReply(identifier: any(), sequence: any(), originate: any(), receive: any(), transmit: any())
    default: .other(type: [4, 9, 10, 15, 40, 255][below(6)], code: any(), rest: any())
    }
  }

  mutating func icmpv6() -> ICMPv6Message {
    switch below(12) {
    case 0: .destinationUnreachable(code: any())
    case 1: .packetTooBig(mtu: any())
    case 2: .timeExceeded(code: any())
    case 3: .parameterProblem(code: any(), pointer: any())
    case 4: .echoRequest(identifier: any(), sequence: any())
    case 5: .echoReply(identifier: any(), sequence: any())
    case 6: .routerSolicitation
    case 7:
      .routerAdvertisement(
        RouterAdvertisement(
          currentHopLimit: any(), flags: any(), routerLifetimeSeconds: any(), reachableMilliseconds: any(),
          retransmitMilliseconds: any()))
    case 8: .neighborSolicitation(target: ipv6())
    case 9: .neighborAdvertisement(flags: NeighborFlags(rawValue: any()), target: ipv6())
    case 10: .redirect(target: ipv6(), destination: ipv6())
    default: .other(type: [5, 127, 130, 143, 255][below(5)], code: any(), rest: any())
    }
  }

  mutating func neighborOption() -> NeighborDiscoveryOption {
    switch below(8) {
    case 0: .sourceLinkLayer(mac())
    case 1: .targetLinkLayer(mac())
    case 2:
      .prefixInformation(
        PrefixInformation(
          prefix: ipv6(), length: any(), flags: any(), validSeconds: any(), preferredSeconds: any()))
    case 3: .redirectedPacket(0..<8 * below(8))
    case 4: .mtu(any())
    case 5: .nonce(next() >> 16)
    case 6: .recursiveServers(lifetimeSeconds: any(), addresses: 0..<16 * (1 + below(3)))
    default: .other(type: 200, data: 0..<6 + 8 * below(4))
    }
  }

  /// The bytes of some options.
  mutating func neighborOptions() -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<below(5) {
      let option = neighborOption()
      bytes += emitting(option.byteCount) { option.emit(into: &$0, at: 0) }
    }
    return bytes
  }
}

/// The addresses under whose pseudo header the exercises compute checksums.
let exerciseSource = IPv6Address(high: 0xFD00_0002_0000_0000, low: 0x100)
let exerciseDestination = IPv6Address(high: 0xFD00_0002_0000_0000, low: 2)

extension Exercise {
  static let icmpv4 = Exercise(name: "icmpv4") { random in
    let message = random.icmpv4()
    let data = random.bytes(random.below(32))
    return emitting(message.byteCount + data.count) { span in
      for (index, byte) in data.enumerated() { span.set(byte, at: message.byteCount + index) }
      message.emit(into: &span)
    }
  } read: { bytes in
    let strict = try? ICMPv4Message.parse(bytes)
    guard let message = try? ICMPv4Message.parse(bytes, verifyingChecksum: false) else { return .refused }
    guard strict == nil || strict == message else { return .wrong("the checksum changes the message") }
    guard message.byteCount <= bytes.byteCount else { return .wrong("data beyond the end") }
    consume(message.isError)
    let second = again(message.byteCount) {
      message.emit(into: &$0)
    } _: { span throws(WireError) in
      try ICMPv4Message.parse(span)
    }
    return compare(message, second)
  }

  static let icmpv6 = Exercise(name: "icmpv6") { random in
    let message = random.icmpv6()
    let data = random.bool() ? random.neighborOptions() : random.bytes(random.below(32))
    return emitting(message.byteCount + data.count) { span in
      for (index, byte) in data.enumerated() { span.set(byte, at: message.byteCount + index) }
      message.emit(into: &span, source: exerciseSource, destination: exerciseDestination)
    }
  } read: { bytes in
    func parse(_ bytes: RawSpan, _ verifying: Bool) throws(WireError) -> ICMPv6Message {
      try ICMPv6Message.parse(
        bytes, source: exerciseSource, destination: exerciseDestination, verifyingChecksum: verifying)
    }
    let strict = try? parse(bytes, true)
    guard let message = try? parse(bytes, false) else { return .refused }
    guard strict == nil || strict == message else { return .wrong("the checksum changes the message") }
    guard message.byteCount <= bytes.byteCount else { return .wrong("options beyond the end") }
    consume(message.isError)
    consume(try? NeighborDiscoveryOptions.parse(bytes.extracting(message.byteCount..<bytes.byteCount)))
    let second = again(message.byteCount) {
      message.emit(into: &$0, source: exerciseSource, destination: exerciseDestination)
    } _: { span throws(WireError) in
      try parse(span, true)
    }
    return compare(message, second)
  }

  static let neighborOptions = Exercise(name: "neighborOptions") { random in
    random.neighborOptions()
  } read: { bytes in
    func list(_ bytes: RawSpan) throws(WireError) -> [NeighborDiscoveryOption] {
      var cursor = NeighborDiscoveryOptionCursor(bytes)
      var options: [NeighborDiscoveryOption] = []
      while let option = try cursor.next() { options.append(option) }
      return options
    }
    let values = try? NeighborDiscoveryOptions.parse(bytes)
    guard let options = try? list(bytes) else {
      return values == nil ? .refused : .wrong("found in a broken list")
    }
    guard options.reduce(0, { $0 + $1.byteCount }) == bytes.byteCount else { return .wrong("lengths") }
    // Emitted over a copy, so that the bytes in the ranges are there again.
    let second = again(bytes.byteCount) { span in
      span.copy(bytes, at: 0)
      var at = 0
      for option in options {
        option.emit(into: &span, at: at)
        at += option.byteCount
      }
    } _: { span throws(WireError) in
      try list(span)
    }
    return compare(options, second)
  }
}
