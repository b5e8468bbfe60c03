import Testing
import Wire

/// Extension header chains as RFC 8200 wants them treated by the destination.
struct IPv6ExtensionTests {
  /// Walks a packet that starts with `first` and consists of the bytes in `text`.
  private func walk(_ first: UInt8, _ text: String) throws(IPv6ExtensionError) -> IPv6Extensions {
    let payload = hex(text)
    let header = IPv6Header(
      source: exerciseSource, destination: exerciseDestination, nextHeader: .init(rawValue: first),
      payloadByteCount: payload.count)
    return try reading(emitting(40) { header.emit(into: &$0) } + payload) {
      bytes throws(IPv6ExtensionError) in
      guard let view = try? IPv6View(bytes) else { throw .discard }
      return try IPv6Extensions.walk(view)
    }
  }

  private func refusal(_ first: UInt8, _ text: String) -> IPv6ExtensionError? {
    do throws(IPv6ExtensionError) {
      _ = try walk(first, text)
      return nil
    } catch { return error }
  }

  private func problem(_ code: UInt8, _ pointer: Int, evenIfMulticast: Bool = false) -> IPv6ExtensionError {
    .parameterProblem(code: code, pointer: pointer, evenIfMulticast: evenIfMulticast)
  }

  @Test func noExtensionHeaders() throws {
    let chain = try walk(6, "")
    #expect(chain.upperProtocol == .tcp && chain.upperOffset == 40 && chain.protocolOffset == 6)
    #expect(chain.fragment == nil && !chain.hasRouterAlert)
    #expect(try walk(59, "00").upperProtocol == .none)
    // Encryption is not understood and ends the chain, as any unknown number does.
    #expect(try walk(50, "00000000").upperProtocol == .encapsulatedSecurity)
    #expect(try walk(253, "").upperProtocol.rawValue == 253)
  }

  @Test func aChainIsWalkedToItsUpperLayer() throws {
    // Hop-by-hop with router alert, destination options with padding, routing with none left, fragment, UDP.
    let chain = try walk(
      0, "3c00 0502 0000 0100  2b00 0104 00000000  2c00 0000 00000000  1100 0001 12345678  0001")
    #expect(chain.upperProtocol == .udp && chain.upperOffset == 72 && chain.protocolOffset == 64)
    #expect(chain.hasRouterAlert && chain.fragmentOffset == 64)
    #expect(
      chain.fragment
        == IPv6Fragment(nextHeader: .udp, offset: 0, moreFragments: true, identification: 0x1234_5678))
  }

  @Test func aLaterFragmentEndsTheWalk() throws {
    // What follows is the middle of something, not a destination options header.
    let chain = try walk(44, "3c00 0008 12345678 ffff")
    #expect(chain.upperProtocol == .destinationOptions && chain.upperOffset == 48)
    #expect(chain.fragment?.offset == 8)
  }

  @Test func hopByHopOptionsElsewhereThanFirstAreUnrecognised() {
    #expect(refusal(60, "0000 0104 00000000  0600 0104 00000000") == problem(1, 40))
    #expect(refusal(0, "0000 0104 00000000  0600 0104 00000000") == problem(1, 40))
  }

  @Test func unknownOptionsFollowTheirActionBits() {
    #expect(refusal(60, "0600 1e02 0000 0100") == nil)
    #expect(refusal(60, "0600 5e02 0000 0100") == .discard)
    #expect(refusal(60, "0600 9e02 0000 0100") == problem(2, 42, evenIfMulticast: true))
    #expect(refusal(60, "0600 de02 0000 0100") == problem(2, 42))
    // A jumbo payload is an unknown option here.
    #expect(refusal(0, "0600 c204 00010000") == problem(2, 42))
  }

  @Test func optionsThatRunPastTheirHeaderAreErrors() {
    #expect(refusal(60, "0600 0105 00000000") == problem(0, 43))
    #expect(refusal(60, "0600 0000 00000001") == problem(0, 47))
  }

  @Test func routingHeadersWithSegmentsLeftAreRefused() {
    #expect(refusal(43, "0600 0000 00000000") == nil)
    // Type 0 above all (RFC 5095).
    #expect(refusal(43, "0602 0001 00000000 fd000002000000000000000000000003") == problem(0, 42))
    #expect(refusal(43, "0600 0401 00000000") == problem(0, 42))
  }

  @Test func chainsThatAreCutOffAreDiscarded() {
    #expect(refusal(60, "") == .discard)
    #expect(refusal(60, "06") == .discard)
    #expect(refusal(60, "0601 0104 00000000") == .discard)
    #expect(refusal(44, "0600 0000 000000") == .discard)
    // In a first fragment the sender is told (RFC 7112).
    #expect(refusal(44, "3c00 0001 00000001 0601 0104 00000000") == problem(3, 0))
  }

  @Test func chainsAreBounded() throws {
    let padding = "3c00 0104 00000000 "
    let last = "0600 0104 00000000"
    #expect(try walk(60, String(repeating: padding, count: 7) + last).upperProtocol == .tcp)
    #expect(refusal(60, String(repeating: padding, count: 8) + last) == problem(8, 40 + 64))
    // Nine options that say nothing: skip, length 0.
    let options = String(repeating: "1e00", count: 9)
    #expect(refusal(60, "0602" + options + "01020000") == problem(9, 42 + 16))
    #expect(refusal(44, "2c00 0000 00000000  0600 0000 00000000") == problem(1, 40))
  }
}
