import Forwarding
import Testing
import Wire

@Suite struct PortForwardTests {
  private func parse(_ text: String) throws -> [PortForward] { try PortForward.parse(text) }

  @Test func formsThatUsersKnow() throws {
    #expect(try parse("8080:80") == [PortForward(hostPort: 8080, port: 80)])
    #expect(try parse("8080:80/tcp") == parse("8080:80"))
    #expect(try parse("8080:80/TCP") == parse("8080:80"))
    #expect(try parse("5353:53/udp") == [PortForward(.udp, hostPort: 5353, port: 53)])
    let loopback = IPAddress("127.0.0.1")!
    #expect(try parse("127.0.0.1:1:65535") == [PortForward(address: loopback, hostPort: 1, port: 65535)])
    let ipv6 = IPAddress("::1")!
    #expect(try parse("[::1]:80:81") == [PortForward(address: ipv6, hostPort: 80, port: 81)])
    let range = try parse("127.0.0.1:8000-8002:9000-9002/tcp")
    #expect(range.map(\.hostPort) == [8000, 8001, 8002] && range.map(\.port) == [9000, 9001, 9002])
    #expect(range.allSatisfy { $0.address == loopback })
  }

  @Test func textsAreWhatTheyWereReadFrom() throws {
    for text in ["8080:80", "5353:53/udp", "[::1]:5353:53/udp", "127.0.0.1:8080:80", "[fd00::1]:8080:80"] {
      #expect(try parse(text).map(\.description) == [text])
    }
  }

  @Test(arguments: [
    ("", PortForwardError.malformed("")), ("80", .malformed("80")), ("1:2:3:4", .malformed("1:2:3:4")),
    ("[::1]80:80", .malformed("[::1]80:80")), ("::1:80:80", .malformed("::1:80:80")),
    ("localhost:80:80", .addressUnknown("localhost:80:80", "localhost")),
    ("[127.0.0.1]:80:80", .addressUnknown("[127.0.0.1]:80:80", "127.0.0.1")),
    ("0:80", .portOutOfRange("0:80", "0")), ("80:65536", .portOutOfRange("80:65536", "65536")),
    ("+80:80", .portOutOfRange("+80:80", "+80")), (":80", .portOutOfRange(":80", "")),
    ("9-8:1-2", .portOutOfRange("9-8:1-2", "9-8")), ("1-2-3:1-3", .portOutOfRange("1-2-3:1-3", "1-2-3")),
    ("8000-8001:80", .rangesDiffer("8000-8001:80", 2, 1)),
    ("1-5000:1-5000", .rangeTooLong("1-5000:1-5000", 5000)),
    ("53:53/sctp", .protocolNotForwarded("53:53/sctp", "sctp")),
    ("53:53/", .protocolNotForwarded("53:53/", "")),
  ])
  func whatIsNoForwardIsNamed(_ text: String, _ error: PortForwardError) {
    #expect(throws: error) { try PortForward.parse(text) }
    #expect(error.description.contains("\"\(text)\""))
  }
}
