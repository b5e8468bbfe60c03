import Chance
import Wire

extension Exercise {
  static let dhcp = Exercise(name: "dhcp") { random in
    let kinds = DHCPMessage.Kind.allCases
    var message = DHCPMessage(
      kinds[random.below(kinds.count)], isReply: random.bool(), transaction: random.any(),
      hardware: random.mac())
    message.seconds = random.any()
    message.wantsBroadcast = random.bool()
    message.clientAddress = random.ipv4()
    message.yourAddress = random.ipv4()
    message.nextServer = random.ipv4()
    message.relay = random.ipv4()
    let choice: [DHCPOption] = [
      .subnetMask(random.ipv4()), .routers([random.ipv4(), random.ipv4()]), .nameServers([random.ipv4()]),
      .hostName(Array("guest".utf8)), .domainName(Array("example".utf8)), .mtu(random.any()),
      .requestedAddress(random.ipv4()), .leaseSeconds(random.any()), .server(random.ipv4()),
      .wanted(random.bytes(1 + random.below(20))), .largestMessage(random.any()),
      .renewalSeconds(random.any()), .rebindingSeconds(random.any()), .client(random.bytes(7)),
      // More than one option of the wire holds (RFC 3396).
      .domainSearch(random.bytes(1 + random.below(300))), .other(200, random.bytes(random.below(8))),
    ]
    message.options = choice.filter { _ in random.below(3) == 0 }
    return message.encoded
  } read: { bytes in
    guard let message = try? DHCPMessage.parse(bytes) else { return .refused }
    return compare(
      message, try? reading(message.encoded) { span throws(WireError) in try DHCPMessage.parse(span) })
  }
}
