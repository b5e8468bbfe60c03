/// A pcapng file as the tests want to see it. Total: any bytes are a capture or an error.
struct PcapNGFile: Equatable {
  struct Interface: Equatable {
    var name: String?
    var linkType: UInt16
    var snapLength: Int
    /// The exponent of ten by which a second is divided.
    var timeResolution: UInt8 = 6
  }

  struct Packet: Equatable {
    var interface: Int
    var time: UInt64
    var bytes: [UInt8]
    var originalCount: Int
    var flags: UInt32?
    var drops: UInt64?
  }

  struct Statistics: Equatable {
    var interface: Int
    var start: UInt64?
    var end: UInt64?
    var frames: UInt64?
    var drops: UInt64?
  }

  enum Fault: Error, Equatable {
    case truncated, lengths, byteOrder, version, noSection, noInterface, option
  }

  var application: String?
  var interfaces: [Interface] = []
  var packets: [Packet] = []
  var statistics: [Statistics] = []

  init(_ bytes: [UInt8]) throws(Fault) {
    var file = Words(bytes: bytes[...])
    guard !bytes.isEmpty else { throw .noSection }
    var seenSection = false
    while !file.bytes.isEmpty {
      let type = try file.word()
      if type == 0x0A0D_0D0A {
        try file.readByteOrder()
        seenSection = true
      }
      guard seenSection else { throw .noSection }
      let length = Int(try file.word())
      guard length >= 12, length.isMultiple(of: 4), length - 8 <= file.bytes.count else { throw .lengths }
      var body = try file.take(length - 12)
      guard Int(try file.word()) == length else { throw .lengths }
      try read(type, &body)
    }
  }

  private mutating func read(_ type: UInt32, _ body: inout Words) throws(Fault) {
    switch type {
    case 0x0A0D_0D0A: try readSection(&body)
    case 1: try readInterface(&body)
    case 5: try readStatistics(&body)
    case 6: try readPacket(&body)
    default: break  // unknown blocks are skipped, as the format asks
    }
  }

  private mutating func readSection(_ body: inout Words) throws(Fault) {
    _ = try body.word()  // byte order, seen before
    guard try body.half() == 1, try body.half() == 0 else { throw .version }
    _ = try body.take(8)
    for (code, value) in try body.options() where code == 4 {
      application = String(decoding: value.bytes, as: UTF8.self)
    }
  }

  private mutating func readInterface(_ body: inout Words) throws(Fault) {
    var interface = Interface(linkType: try body.half(), snapLength: 0)
    _ = try body.half()
    interface.snapLength = Int(try body.word())
    for (code, value) in try body.options() {
      if code == 2 { interface.name = String(decoding: value.bytes, as: UTF8.self) }
      if code == 9, let first = value.bytes.first { interface.timeResolution = first }
    }
    interfaces.append(interface)
  }

  private mutating func readPacket(_ body: inout Words) throws(Fault) {
    let interface = Int(try body.word())
    guard interfaces.indices.contains(interface) else { throw .noInterface }
    let time = UInt64(try body.word()) << 32 | UInt64(try body.word())
    let captured = Int(try body.word())
    let original = Int(try body.word())
    guard captured <= original else { throw .lengths }
    let bytes = Array(try body.take(captured, padded: true).bytes)
    var packet = Packet(interface: interface, time: time, bytes: bytes, originalCount: original)
    for (code, value) in try body.options() {
      var value = value
      if code == 2 { packet.flags = try value.word() }
      if code == 4 { packet.drops = UInt64(try value.word()) | UInt64(try value.word()) << 32 }
    }
    packets.append(packet)
  }

  private mutating func readStatistics(_ body: inout Words) throws(Fault) {
    var found = Statistics(interface: Int(try body.word()))
    guard interfaces.indices.contains(found.interface) else { throw .noInterface }
    _ = try body.take(8)
    for (code, value) in try body.options() {
      var value = value
      switch code {
      case 2: found.start = UInt64(try value.word()) << 32 | UInt64(try value.word())
      case 3: found.end = UInt64(try value.word()) << 32 | UInt64(try value.word())
      case 4: found.frames = UInt64(try value.word()) | UInt64(try value.word()) << 32
      case 7: found.drops = UInt64(try value.word()) | UInt64(try value.word()) << 32
      default: break
      }
    }
    statistics.append(found)
  }
}

/// Bytes read from the front, in the byte order of the section.
private struct Words {
  var bytes: ArraySlice<UInt8>
  var isBigEndian = false

  mutating func take(_ count: Int, padded: Bool = false) throws(PcapNGFile.Fault) -> Words {
    let whole = padded ? (count + 3) & ~3 : count
    guard whole <= bytes.count else { throw .truncated }
    defer { bytes = bytes.dropFirst(whole) }
    return Words(bytes: bytes.prefix(count), isBigEndian: isBigEndian)
  }

  mutating func word() throws(PcapNGFile.Fault) -> UInt32 {
    let four = try take(4).bytes
    return (isBigEndian ? Array(four) : four.reversed()).reduce(0) { $0 << 8 | UInt32($1) }
  }

  mutating func half() throws(PcapNGFile.Fault) -> UInt16 {
    let two = try take(2).bytes
    return (isBigEndian ? Array(two) : two.reversed()).reduce(0) { $0 << 8 | UInt16($1) }
  }

  /// The magic number stands behind the length, whose order it tells.
  mutating func readByteOrder() throws(PcapNGFile.Fault) {
    switch Array(bytes.dropFirst(4).prefix(4)) {
    case [0x4D, 0x3C, 0x2B, 0x1A]: isBigEndian = false
    case [0x1A, 0x2B, 0x3C, 0x4D]: isBigEndian = true
    default: throw .byteOrder
    }
  }

  mutating func options() throws(PcapNGFile.Fault) -> [(code: UInt16, value: Words)] {
    var found: [(UInt16, Words)] = []
    while !bytes.isEmpty {
      let code = try half()
      let length = Int(try half())
      if code == 0 {
        guard length == 0, bytes.isEmpty else { throw .option }
        break
      }
      found.append((code, try take(length, padded: true)))
    }
    return found
  }
}
