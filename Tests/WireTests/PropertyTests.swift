import Chance
import Testing
import Wire

/// parse ∘ emit is the identity on values.
struct PropertyTests {
  /// Emits random values and expects what is parsed from the bytes to equal them.
  private func roundTrip<Value: Equatable>(
    _ make: (inout SeededGenerator) -> Value, _ byteCount: (Value) -> Int,
    _ emit: (Value, inout MutableRawSpan) -> Void, _ parse: (RawSpan) throws(WireError) -> Value,
    location: SourceLocation = #_sourceLocation
  ) throws {
    var random = SeededGenerator(seed: 42)
    for _ in 0..<5_000 {
      let value = make(&random)
      // One byte more than needed, to see that emitting stops in time.
      let bytes = emitting(byteCount(value) + 1) { span in
        var part = span._mutatingExtracting(0..<byteCount(value))
        emit(value, &part)
      }
      guard bytes.last == 0xEE, try reading(bytes, parse) == value else {
        Issue.record("\(value) became \(bytes)", sourceLocation: location)
        return
      }
    }
  }

  @Test func ethernet() throws {
    try roundTrip {
      EthernetHeader(
        destination: $0.mac(), source: $0.mac(),
        vlan: $0.bool() ? VLANTag(rawValue: $0.any(), isService: $0.bool()) : nil,
        type: EtherType(rawValue: UInt16($0.below(0x8000))))
    } _: {
      $0.byteCount
    } _: {
      $0.emit(into: &$1)
    } _: { bytes throws(WireError) in
      try EthernetHeader.parse(bytes)
    }
  }

  @Test func arp() throws {
    try roundTrip {
      ARPMessage(
        operation: .init(rawValue: $0.any()), senderHardware: $0.mac(), sender: $0.ipv4(),
        targetHardware: $0.mac(), target: $0.ipv4())
    } _: {
      $0.byteCount
    } _: {
      $0.emit(into: &$1)
    } _: { bytes throws(WireError) in
      try ARPMessage.parse(bytes)
    }
  }

  @Test func ipv4() throws {
    try roundTrip {
      $0.ipv4Header(payload: 0)
    } _: {
      $0.byteCount
    } _: {
      $0.emit(into: &$1)
    } _: { bytes throws(WireError) in
      try IPv4Header.parse(bytes)
    }
  }

  @Test func ipv6() throws {
    try roundTrip {
      IPv6Header(
        source: $0.ipv6(), destination: $0.ipv6(), nextHeader: $0.number(), payloadByteCount: 0,
        hopLimit: $0.any(), trafficClass: .init(rawValue: $0.any()), flowLabel: $0.any())
    } _: {
      $0.byteCount
    } _: {
      $0.emit(into: &$1)
    } _: { bytes throws(WireError) in
      try IPv6Header.parse(bytes)
    }
  }

  @Test func ipv6Fragment() throws {
    try roundTrip {
      IPv6Fragment(
        nextHeader: $0.number(), offset: $0.any(), moreFragments: $0.bool(), identification: $0.any())
    } _: {
      $0.byteCount
    } _: {
      $0.emit(into: &$1)
    } _: { bytes throws(WireError) in
      try IPv6Fragment.parse(bytes)
    }
  }

  @Test func icmpv4() throws {
    try roundTrip {
      $0.icmpv4()
    } _: {
      $0.byteCount
    } _: {
      $0.emit(into: &$1)
    } _: { bytes throws(WireError) in
      // The byte after the message is not its data.
      try ICMPv4Message.parse(bytes.extracting(0..<bytes.byteCount - 1))
    }
  }

  @Test func icmpv6() throws {
    try roundTrip {
      $0.icmpv6()
    } _: {
      $0.byteCount
    } _: {
      $0.emit(into: &$1, source: exerciseSource, destination: exerciseDestination)
    } _: { bytes throws(WireError) in
      try ICMPv6Message.parse(
        bytes.extracting(0..<bytes.byteCount - 1), source: exerciseSource, destination: exerciseDestination)
    }
  }

  @Test func udp() throws {
    try roundTrip {
      UDPHeader(sourcePort: $0.any(), destinationPort: $0.any(), payloadByteCount: 0)
    } _: {
      $0.byteCount
    } _: {
      $0.emit(into: &$1)
    } _: { bytes throws(WireError) in
      try UDPHeader.parse(bytes)
    }
  }

  @Test func tcp() throws {
    try roundTrip {
      $0.tcpHeader()
    } _: {
      $0.byteCount
    } _: {
      $0.emit(into: &$1)
    } _: { bytes throws(WireError) in
      let (header, count) = try TCPHeader.parse(bytes)
      guard count == header.byteCount else { throw .badHeaderLength(count) }
      return header
    }
  }
}
