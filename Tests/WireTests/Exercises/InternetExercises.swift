import Chance
import Wire

extension SeededGenerator {
  mutating func ipv4() -> IPv4Address { IPv4Address(any()) }
  mutating func ipv6() -> IPv6Address { IPv6Address(high: next(), low: next()) }
  mutating func number() -> IPProtocol { IPProtocol(rawValue: any()) }

  mutating func ipv4Options() -> IPv4Options {
    switch below(4) {
    case 0:
      let raw = bytes(below(41))
      return reading(raw) { span in IPv4Options(span) } ?? IPv4Options()
    case 1: return .routerAlert
    default: return IPv4Options()
    }
  }

  mutating func ipv4Header(payload: Int) -> IPv4Header {
    var header = IPv4Header(
      source: ipv4(), destination: ipv4(), protocol: number(), payloadByteCount: payload,
      timeToLive: any(), trafficClass: .init(rawValue: any()), identification: any(),
      dontFragment: bool(), options: ipv4Options())
    if bool() {
      header.moreFragments = bool()
      header.fragmentOffset = any(UInt16.self) & ~7
    }
    return header
  }

  /// Options of a hop-by-hop or destination options header, filled up to 8 bytes with its first two.
  mutating func extensionOptions() -> [UInt8] {
    var options: [UInt8] = []
    for _ in 0..<below(4) {
      switch below(4) {
      case 0: options.append(0)
      case 1:
        let count = below(8)
        options += [1, UInt8(count)] + Array(repeating: 0, count: count)
      case 2: options += [5, 2, 0, 0]
      default:
        let count = below(8)
        // Mostly the action "skip".
        let kind = UInt8(below(62) + 2) | (below(8) == 0 ? any() & 0xC0 : 0)
        options += [kind, UInt8(count)] + bytes(count)
      }
    }
    while (options.count + 2) % 8 != 0 { options.append(0) }
    return options
  }

  /// Extension headers and the upper protocol they name.
  mutating func extensionChain() -> (first: UInt8, bytes: [UInt8]) {
    var kinds: [UInt8] = below(3) == 0 ? [0] : []
    for _ in 0..<below(4) { kinds.append([60, 43, 44][below(3)]) }
    let upper: UInt8 = [6, 17, 58, 59, 50][below(5)]
    var chain: [UInt8] = []
    for (index, kind) in kinds.enumerated() {
      let next = index + 1 < kinds.count ? kinds[index + 1] : upper
      switch kind {
      case 44:
        let fragment = IPv6Fragment(
          nextHeader: .init(rawValue: next), offset: bool() ? 0 : any(), moreFragments: bool(),
          identification: any())
        chain += emitting(fragment.byteCount) { fragment.emit(into: &$0) }
      case 43: chain += [next, 0, any(), below(4) == 0 ? 1 : 0] + bytes(4)
      default:
        let options = extensionOptions()
        chain += [next, UInt8((options.count + 2) / 8 - 1)] + options
      }
    }
    return (kinds.first ?? upper, chain)
  }
}

extension Exercise {
  static let ipv4 = Exercise(name: "ipv4") { random in
    let payload = random.bytes(random.below(64))
    let header = random.ipv4Header(payload: payload.count)
    return emitting(header.byteCount) { header.emit(into: &$0) } + payload + random.bytes(random.below(8))
  } read: { bytes in
    if let quoted = try? IPv4View(quoted: bytes) {
      consume(quoted.payload.byteCount)
      consume(try? QuotedTransport.parse(quoted.payload))
    }
    guard let view = try? IPv4View(bytes) else { return .refused }
    consume(view.isChecksumValid)
    var cursor = IPv4OptionCursor(view.options)
    var end = 0
    while let option = (try? cursor.next()) ?? nil {
      guard option.offset >= end, option.byteCount >= 2 else { return .wrong("options run backwards") }
      end = option.offset + option.byteCount
      guard end <= view.options.byteCount else { return .wrong("an option beyond the end") }
    }
    let header = IPv4Header(view)
    guard view.payload.byteCount + header.byteCount == Int(header.totalLength) else {
      return .wrong("lengths")
    }
    let second = again(header.byteCount) {
      header.emit(into: &$0)
    } _: { span throws(WireError) in
      let view = try IPv4View(quoted: span)
      guard view.isChecksumValid else { throw .badChecksum }
      return IPv4Header(view)
    }
    return compare(header, second)
  }

  static let ipv6 = Exercise(name: "ipv6") { random in
    let chain = random.extensionChain()
    let payload = chain.bytes + random.bytes(random.below(64))
    let header = IPv6Header(
      source: random.ipv6(), destination: random.ipv6(), nextHeader: .init(rawValue: chain.first),
      payloadByteCount: payload.count, hopLimit: random.any(),
      trafficClass: .init(rawValue: random.any()), flowLabel: random.any())
    return emitting(header.byteCount) { header.emit(into: &$0) } + payload + random.bytes(random.below(8))
  } read: { bytes in
    if let quoted = try? IPv6View(quoted: bytes), let chain = try? IPv6Extensions.walk(quoted) {
      consume(try? QuotedTransport.parse(quoted.bytes.extracting(chain.upperOffset..<quoted.bytes.byteCount)))
    }
    guard let view = try? IPv6View(bytes) else { return .refused }
    do throws(IPv6ExtensionError) {
      let chain = try IPv6Extensions.walk(view)
      guard chain.upperOffset <= view.bytes.byteCount else { return .wrong("upper layer beyond the end") }
      guard chain.protocolOffset < chain.upperOffset else { return .wrong("named after it began") }
      guard view.bytes.uint8(at: chain.protocolOffset) == chain.upperProtocol.rawValue else {
        return .wrong("named by another octet")
      }
      if let fragment = chain.fragment {
        let place = view.bytes.extracting(chain.fragmentOffset..<view.bytes.byteCount)
        guard (try? IPv6Fragment.parse(place)) == fragment else { return .wrong("fragment header elsewhere") }
      }
    } catch {
      switch error {
      case .discard: break
      case .parameterProblem(let code, let pointer, _):
        guard code <= 9, pointer >= 0, pointer < view.bytes.byteCount else {
          return .wrong("a pointer beyond the end")
        }
      }
    }
    let header = IPv6Header(view)
    let second = again(header.byteCount) {
      header.emit(into: &$0)
    } _: { span throws(WireError) in
      IPv6Header(try IPv6View(quoted: span))
    }
    return compare(header, second)
  }
}
