import Wire

extension SeededGenerator {
  mutating func mac() -> MACAddress { MACAddress(next()) }
}

extension Exercise {
  static let ethernet = Exercise(name: "ethernet") { random in
    // Types that are no tags.
    let type = EtherType(rawValue: UInt16(random.below(0x8000)))
    let tag = random.bool() ? VLANTag(rawValue: random.any(), isService: random.bool()) : nil
    let header = EthernetHeader(destination: random.mac(), source: random.mac(), vlan: tag, type: type)
    return emitting(header.byteCount) { header.emit(into: &$0) } + random.bytes(random.below(64))
  } read: { bytes in
    guard let view = try? EthernetView(bytes) else { return .refused }
    consume(view.payload.byteCount)
    let header = EthernetHeader(view)
    guard header.byteCount == view.headerByteCount else { return .wrong("header length") }
    let second = again(header.byteCount) {
      header.emit(into: &$0)
    } _: { span throws(WireError) in
      try EthernetHeader.parse(span)
    }
    // A second tag is a type to us; emitted as the type of an untagged frame it could not be, tagged it can.
    return compare(header, second)
  }

  static let arp = Exercise(name: "arp") { random in
    let message = ARPMessage(
      operation: .init(rawValue: random.any()), senderHardware: random.mac(), sender: .init(random.any()),
      targetHardware: random.mac(), target: .init(random.any()))
    return emitting(message.byteCount) { message.emit(into: &$0) } + random.bytes(random.below(20))
  } read: { bytes in
    guard let message = try? ARPMessage.parse(bytes) else { return .refused }
    let second = again(message.byteCount) {
      message.emit(into: &$0)
    } _: { span throws(WireError) in
      try ARPMessage.parse(span)
    }
    return compare(message, second)
  }
}
