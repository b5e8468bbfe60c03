/// Why an extension header chain ends the life of its packet (RFC 8200 section 4).
@frozen public enum IPv6ExtensionError: Error, Hashable, Sendable {
  /// Discard without a word.
  case discard
  /// Discard and, if the packet's destination is unicast or `evenIfMulticast`, answer with an ICMPv6
  /// parameter problem of this code; `pointer` is from the start of the IPv6 header.
  case parameterProblem(code: UInt8, pointer: Int, evenIfMulticast: Bool)
}

/// What the extension headers of a packet say to its destination host.
///
/// Offsets are from the start of the IPv6 header.
@frozen public struct IPv6Extensions: Hashable, Sendable {
  /// At most this many extension headers are walked (RFC 8504 section 5.3, RFC 8883).
  @inlinable public static var maximumCount: Int { 8 }
  /// At most this many options that are not padding are looked at in one header.
  @inlinable public static var maximumOptionCount: Int { 8 }

  /// The upper-layer protocol: anything that is not an extension header this host walks, so also ESP, AH,
  /// `.none` and unknown numbers. For a fragment other than the first, what its fragment header names.
  public var upperProtocol: IPProtocol
  /// Where the upper layer (or a later fragment's payload) begins.
  public var upperOffset: Int
  /// Where the octet is that names `upperProtocol`: the pointer of a parameter problem with code 1.
  public var protocolOffset: Int
  /// The fragment header, if there is one.
  public var fragment: IPv6Fragment?
  /// Where the fragment header is; 0 if there is none.
  public var fragmentOffset: Int
  /// A hop-by-hop router alert option was met (RFC 2711).
  public var hasRouterAlert: Bool

  /// Walks the chain of a packet. Total and bounded; headers that are not extension headers end it.
  ///
  /// Throws what RFC 8200 asks for: unknown options by their action bits, routing headers with segments left
  /// (type 0 among them, RFC 5095), hop-by-hop options elsewhere than first, chains too long (RFC 8883) or cut
  /// off (RFC 7112 in a first fragment).
  public static func walk(_ packet: IPv6View) throws(IPv6ExtensionError) -> IPv6Extensions {
    let bytes = packet.bytes
    var chain = IPv6Extensions(
      upperProtocol: packet.nextHeader, upperOffset: IPv6Header.byteCount, protocolOffset: 6,
      fragment: nil, fragmentOffset: 0, hasRouterAlert: false)
    var count = 0
    while true {
      let at = chain.upperOffset
      switch chain.upperProtocol {
      case .hopByHop where at != IPv6Header.byteCount:
        // Anywhere but first it is no extension header (section 4.1); code 1 is "unrecognized next header".
        throw .parameterProblem(code: 1, pointer: chain.protocolOffset, evenIfMulticast: false)
      case .hopByHop, .destinationOptions:
        let end = try chain.end(of: bytes, at: at)
        try chain.readOptions(bytes, from: at + 2, to: end)
        chain.advance(to: end, naming: bytes.uint8(at: at), by: at)
      case .routing:
        let end = try chain.end(of: bytes, at: at)
        guard bytes.uint8(at: at + 3) == 0 else {
          // No routing type is implemented; segments left must be zero (section 4.4).
          throw .parameterProblem(code: 0, pointer: at + 2, evenIfMulticast: false)
        }
        chain.advance(to: end, naming: bytes.uint8(at: at), by: at)
      case .fragment:
        guard chain.fragment == nil else {
          throw .parameterProblem(code: 1, pointer: chain.protocolOffset, evenIfMulticast: false)
        }
        guard let fragment = try? IPv6Fragment.parse(bytes.extracting(at..<bytes.byteCount)) else {
          throw .discard
        }
        chain.fragment = fragment
        chain.fragmentOffset = at
        chain.advance(to: at + IPv6Fragment.byteCount, naming: fragment.nextHeader.rawValue, by: at)
        if fragment.offset != 0 { return chain }
      default:
        return chain
      }
      count += 1
      guard count <= maximumCount else {
        throw .parameterProblem(code: 8, pointer: at, evenIfMulticast: false)
      }
    }
  }

  @inline(__always)
  private mutating func advance(to end: Int, naming next: UInt8, by header: Int) {
    upperProtocol = IPProtocol(rawValue: next)
    protocolOffset = header
    upperOffset = end
  }

  /// Where the header at `at` ends, by its length octet.
  private func end(of bytes: RawSpan, at: Int) throws(IPv6ExtensionError) -> Int {
    let room = bytes.byteCount - at
    let length = room >= 2 ? (Int(bytes.uint8(at: at + 1)) + 1) * 8 : 8
    guard length <= room else {
      // RFC 7112 section 5: a first fragment without the whole chain.
      if let fragment, fragment.moreFragments {
        throw .parameterProblem(code: 3, pointer: 0, evenIfMulticast: false)
      }
      throw .discard
    }
    return at + length
  }

  /// Reads the options of a hop-by-hop or destination options header (section 4.2).
  private mutating func readOptions(_ bytes: RawSpan, from start: Int, to end: Int) throws(IPv6ExtensionError)
  {
    var at = start
    var count = 0
    while at < end {
      let kind = bytes.uint8(at: at)
      if kind == 0 {
        at += 1
        continue
      }
      guard end - at >= 2 else { throw .parameterProblem(code: 0, pointer: at, evenIfMulticast: false) }
      let length = Int(bytes.uint8(at: at + 1)) + 2
      guard length <= end - at else {
        throw .parameterProblem(code: 0, pointer: at + 1, evenIfMulticast: false)
      }
      if kind != 1 {
        count += 1
        guard count <= Self.maximumOptionCount else {
          throw .parameterProblem(code: 9, pointer: at, evenIfMulticast: false)
        }
        if kind == 5, length == 4 {
          hasRouterAlert = true
        } else {
          switch kind &>> 6 {
          case 0: break
          case 1: throw .discard
          case 2: throw .parameterProblem(code: 2, pointer: at, evenIfMulticast: true)
          default: throw .parameterProblem(code: 2, pointer: at, evenIfMulticast: false)
          }
        }
      }
      at += length
    }
  }
}
