import Chance
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

  static let virtio = Exercise(name: "virtio") { random in
    var header = VirtioNetHeader()
    header.flags = .init(rawValue: random.any())
    header.kind = .init(rawValue: UInt8(random.below(0x80)))
    header.hasCWR = random.bool()
    (header.headerLength, header.segmentSize) = (random.any(), random.any())
    (header.checksumStart, header.checksumOffset) = (random.any(), random.any())
    return emitting(VirtioNetHeader.byteCount) { header.emit(into: &$0) } + random.bytes(random.below(64))
  } read: { bytes in
    guard let header = try? VirtioNetHeader.parse(bytes) else { return .refused }
    let second = again(VirtioNetHeader.byteCount) {
      header.emit(into: &$0)
    } _: { span throws(WireError) in
      try VirtioNetHeader.parse(span)
    }
    return compare(header, second)
  }

  static let vhostUser = Exercise(name: "vhostUser") { random in
    let ring = UInt32(random.below(4))
    let message: VhostUserMessage =
      switch random.below(12) {
      case 0: .setFeatures(random.any())
      case 1: .setProtocolFeatures(random.any())
      case 2:
        .setMemoryTable(
          (0...random.below(VhostUserMessage.regionLimit)).map { _ in
            VhostUserRegion(
              guestAddress: random.any(), size: random.any(), userAddress: random.any(),
              fileOffset: random.any())
          })
      case 3: .setRingSize(ring: ring, value: random.any())
      case 4:
        .setRingAddress(
          VhostUserRingAddress(
            ring: ring, flags: random.any(), descriptors: random.any(), used: random.any(),
            available: random.any()))
      case 5: .setRingBase(ring: ring, value: random.any())
      case 6: .getRingBase(ring: ring)
      case 7: .setRingKick(ring: UInt8(ring), hasDescriptor: random.bool())
      case 8: .setRingCall(ring: UInt8(ring), hasDescriptor: random.bool())
      case 9: .setRingError(ring: UInt8(ring), hasDescriptor: random.bool())
      case 10: .setRingEnabled(ring: ring, value: random.any())
      default:
        [.getFeatures, .getProtocolFeatures, .setOwner, .resetOwner, .getQueueCount][random.below(5)]
      }
    return message.encoded(needsReply: random.bool())
  } read: { bytes in
    guard let header = try? VhostUserHeader.parse(bytes),
      let message = try? VhostUserMessage.parse(
        header, bytes.extracting(VhostUserHeader.byteCount..<bytes.byteCount))
    else { return .refused }
    guard header.size <= VhostUserHeader.payloadLimit else { return .wrong("a payload beyond the limit") }
    let second = reading(message.encoded(needsReply: header.needsReply)) { span -> VhostUserMessage? in
      guard let again = try? VhostUserHeader.parse(span), again.needsReply == header.needsReply else {
        return nil
      }
      return try? VhostUserMessage.parse(again, span.extracting(VhostUserHeader.byteCount..<span.byteCount))
    }
    return compare(message, second)
  }

  /// A stream of frames, the first byte of which says into what pieces the rest is cut.
  static let framing = Exercise(name: "framing") { random in
    var stream = [UInt8(random.below(256))]
    for _ in 0..<random.below(4) {
      unsafe LengthFraming.encode(random.bytes(random.below(40)).span.bytes, into: &stream)
    }
    return stream
  } read: { bytes in
    guard bytes.byteCount > 0 else { return .refused }
    let step = Int(bytes.uint8(at: 0)) % 16 + 1
    let stream = bytes.extracting(1..<bytes.byteCount)
    var (whole, pieces) = (LengthFramingDecoder(limit: 64), LengthFramingDecoder(limit: 64))
    var (first, second) = ([[UInt8]](), [[UInt8]]())
    whole.take(stream) { first.append(copy($0)) }
    var place = 0
    while place < stream.byteCount {
      let end = min(place + step, stream.byteCount)
      pieces.take(stream.extracting(place..<end)) { second.append(copy($0)) }
      place = end
    }
    guard first == second, whole.isBroken == pieces.isBroken else { return .wrong("pieces matter") }
    // What is held is less than the longest frame that is not whole.
    guard whole.heldCount < 68, pieces.heldCount < 68 else { return .wrong("more is held than a frame") }
    var again: [UInt8] = []
    for frame in first { unsafe LengthFraming.encode(frame.span.bytes, into: &again) }
    var third: [[UInt8]] = []
    var decoder = LengthFramingDecoder(limit: 64)
    unsafe decoder.take(again.span.bytes) { third.append(copy($0)) }
    guard third == first, !decoder.isBroken, decoder.heldCount == 0 else { return .wrong("frames changed") }
    return whole.isBroken ? .refused : .understood
  }
  private static func copy(_ bytes: RawSpan) -> [UInt8] {
    (0..<bytes.byteCount).map { bytes.uint8(at: $0) }
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

  /// Any line of bytes: what is found in it survives being sent again.
  static let slip = Exercise(name: "slip") { random in
    var line: [UInt8] = []
    for _ in 0...random.below(3) {
      // Every fourth byte one that has a meaning.
      let packet = (0...random.below(47)).map { _ in
        random.below(4) == 0 ? SLIP.end &+ UInt8(random.below(30)) : random.any()
      }
      reading(packet) { SLIP.encode($0, into: &line) }
    }
    return line
  } read: { bytes in
    var (line, again) = (SLIPDecoder(limit: 48), SLIPDecoder(limit: 48))
    var found = 0
    for offset in 0..<bytes.byteCount where line.take(bytes.uint8(at: offset)) == .packet {
      guard line.packet.count <= line.limit, !line.packet.isEmpty else { return .wrong("length") }
      var second: [UInt8] = []
      reading(line.packet) { SLIP.encode($0, into: &second) }
      guard second.count <= SLIP.largestByteCount(packet: line.packet.count) else { return .wrong("growth") }
      let outcomes = second.map { again.take($0) }
      guard outcomes.last == .packet, outcomes.dropLast().allSatisfy({ $0 == .none }) else {
        return .wrong("sent again it is \(outcomes)")
      }
      guard again.packet == line.packet else { return .wrong("\(line.packet) became \(again.packet)") }
      found += 1
    }
    return found > 0 ? .understood : .refused
  }
}
