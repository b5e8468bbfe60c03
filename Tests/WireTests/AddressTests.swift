import Chance
import Testing
import Wire

/// Text forms and the questions that addresses answer.
struct AddressTests {
  @Test(arguments: [
    ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("fd00:2::2", "fd00:2::2"),
    ("FE80:0:0:0:0:0:0:1", "fe80::1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("2001:0db8::0001", "2001:db8::1"), ("::ffff:10.0.2.2", "::ffff:10.0.2.2"),
    ("::ffff:a00:202", "::ffff:10.0.2.2"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
    ("1:2:3:4:5:6:77.88.99.1", "1:2:3:4:5:6:4d58:6301"), ("1:0:0:2::3", "1:0:0:2::3"),
  ])
  func anIPv6AddressHasOneCanonicalText(text: String, canonical: String) throws {
    let address = try #require(IPv6Address(text))
    #expect(address.description == canonical)
    #expect(IPv6Address(canonical) == address)
  }

  @Test(arguments: [
    "", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "::1:", ":1::", "g::",
    "1:2:3:4:5:6:7:8::", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "::1.2.3.4.5", "::1.2.3.4:5", "::256.1.1.1",
    "fe80::1%1", " ::", "::1.2.3.04", "1:2:3:4:5:6:7:",
  ])
  func whatIsNoIPv6AddressIsRefused(text: String) { #expect(IPv6Address(text) == nil) }

  @Test(arguments: ["", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1..2.3", "1.2.3.4 ", "-1.2.3.4"])
  func whatIsNoIPv4AddressIsRefused(text: String) { #expect(IPv4Address(text) == nil) }

  @Test func ipv4TextGoesBothWays() {
    for text in ["0.0.0.0", "10.0.2.2", "255.255.255.255", "192.168.0.10"] {
      #expect(IPv4Address(text)?.description == text)
    }
    #expect(IPv4Address(10, 0, 2, 2) == IPv4Address("10.0.2.2"))
  }

  @Test func aRandomAddressSurvivesItsText() {
    var random = SeededGenerator(seed: 1)
    for _ in 0..<2_000 {
      // Masked so that runs of zero groups are common.
      let mask = { (random: inout SeededGenerator) -> UInt64 in
        var mask: UInt64 = 0
        for _ in 0..<4 { mask = mask << 16 | (Bool.random(using: &random) ? 0xFFFF : 0) }
        return mask
      }
      let address = IPv6Address(
        high: random.next() & mask(&random), low: random.next() & mask(&random))
      #expect(IPv6Address(address.description) == address)
      let mac = MACAddress(random.next())
      #expect(MACAddress(mac.description) == mac)
    }
  }

  @Test func oneAddressTypeHoldsBothFamilies() throws {
    let ipv4 = try #require(IPAddress("10.0.2.2"))
    #expect(ipv4.isIPv4 && ipv4.ipv4 == IPv4Address(10, 0, 2, 2) && ipv4.ipv6 == nil)
    let ipv6 = try #require(IPAddress("fd00:2::2"))
    #expect(ipv6.isIPv6 && ipv6.ipv6 == IPv6Address("fd00:2::2") && ipv6.ipv4 == nil)
    #expect(ipv4.description == "10.0.2.2" && ipv6.description == "fd00:2::2")
    #expect(IPAddress("::ffff:10.0.2.2") == ipv4)
    #expect(IPAddress("nonsense") == nil)
  }

  @Test func addressesKnowTheirKind() throws {
    func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }
    for text in ["0.0.0.0", "::"] { #expect(try address(text).isUnspecified) }
    for text in ["127.0.0.1", "127.255.0.1", "::1"] { #expect(try address(text).isLoopback) }
    for text in ["224.0.0.1", "239.255.255.255", "ff02::1"] { #expect(try address(text).isMulticast) }
    for text in ["169.254.3.4", "fe80::1", "febf::1"] { #expect(try address(text).isLinkLocal) }
    #expect(try address("255.255.255.255").isLimitedBroadcast)
    for text in ["10.0.0.1", "240.0.0.1", "fd00::1", "fec0::1", "2001:db8::1", "126.0.0.1", "::2"] {
      let plain = try address(text)
      #expect(!plain.isUnspecified && !plain.isLoopback && !plain.isMulticast && !plain.isLinkLocal)
    }
  }

  @Test func aPrefixContainsItsOwnFamilyOnly() throws {
    let prefix = try #require(IPPrefix("10.0.2.100/24"))
    #expect(prefix.contains(IPAddress("10.0.2.2")!) && !prefix.contains(IPAddress("10.0.3.2")!))
    #expect(prefix.network == IPAddress("10.0.2.0") && prefix.broadcast == IPAddress("10.0.2.255"))
    let everything = try #require(IPPrefix("0.0.0.0/0"))
    #expect(everything.contains(IPAddress("1.2.3.4")!) && !everything.contains(IPAddress("fd00::1")!))
    let everything6 = try #require(IPPrefix("::/0"))
    #expect(everything6.contains(IPAddress("fd00::1")!) && !everything6.contains(IPAddress("1.2.3.4")!))
    let subnet = try #require(IPPrefix("fd00:2::/64"))
    #expect(subnet.contains(IPAddress("fd00:2::ffff")!) && !subnet.contains(IPAddress("fd00:2:0:1::")!))
    let odd = try #require(IPPrefix("fd00::8000:0:0:0/65"))
    #expect(odd.contains(IPAddress("fd00::8000:0:0:1")!) && !odd.contains(IPAddress("fd00::1")!))
    #expect(IPPrefix("10.0.0.1")?.length == 32 && IPPrefix("::1")?.length == 128)
    for text in ["10.0.0.0/33", "::/129", "10.0.0.0/", "/8", "10.0.0.0/08", "10.0.0.0/8x"] {
      #expect(IPPrefix(text) == nil)
    }
    #expect(prefix.description == "10.0.2.100/24")
  }

  @Test func aSocketAddressGoesBothWays() throws {
    for text in ["10.0.2.2:80", "[fd00::2]:80", "[fe80::1%3]:65535", "0.0.0.0:0"] {
      #expect(SocketAddress(text)?.description == text)
    }
    for text in [
      "10.0.2.2", "fd00::2:80", "[10.0.2.2]:80", "[::1]80", "[::1]:65536", "10.0.2.2:", "[::1%]:1",
    ] {
      #expect(SocketAddress(text) == nil)
    }
  }

  @Test func groupsHaveTheirLinkLayerAddress() throws {
    #expect(MACAddress(multicast: IPv4Address("224.129.2.3")!).description == "01:00:5e:01:02:03")
    #expect(MACAddress(multicast: IPv6Address("ff02::1:ff00:1234")!).description == "33:33:ff:00:12:34")
    let mac = try #require(MACAddress("02:00:5E-00-53-ab"))
    #expect(mac.description == "02:00:5e:00:53:ab" && mac.isLocallyAdministered && mac.isUnicast)
    #expect(IPv6Address(linkLocal: mac).description == "fe80::5eff:fe00:53ab")
    #expect(
      IPv6Address("fe80::5eff:fe00:53ab")!.solicitedNodeMulticast.description == "ff02::1:ff00:53ab")
    #expect(MACAddress.broadcast.isMulticast && !MACAddress.zero.isUnicast)
    for text in ["", "02:00:00:00:00", "02:00:00:00:00:00:00", "2:0:0:0:0:g", "020000000000"] {
      #expect(MACAddress(text) == nil)
    }
  }
}
