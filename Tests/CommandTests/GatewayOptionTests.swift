import LinuxDevices
import Testing
import Wire

@testable import SluiceCommand

@Suite struct GatewayOptionTests {
  private func gateway(_ line: String) throws -> GatewayCommand {
    try GatewayCommand.parse(line.split(separator: " ").map(String.init))
  }
  private func refusal(_ line: String) -> String {
    do {
      _ = try gateway(line)
      return ""
    } catch {
      return GatewayCommand.message(for: error)
    }
  }

  /// The command lines of slirp4netns(1) and of its users.
  @Test func slirp4netnsCommandLines() throws {
    let usual = try gateway("--configure --mtu=65520 --disable-host-loopback 1234 tap0")
    #expect(usual.isCompatible && usual.configure == true && usual.mtu == 65_520)
    #expect(try usual.place() == .namespace(NamespaceTarget(process: 1234)))
    var network = try usual.network()
    #expect(network.interface == "tap0" && network.isSingleQueue && !network.hasIPv6)
    #expect(network.mtu <= TapDevice.largestMTU)
    #expect(network.ipv4 == IPv4Address(10, 0, 2, 100) && network.ipv4Gateway == IPv4Address(10, 0, 2, 2))
    for line in ["-c -e 5 -r 6 -m 1500 -6 77 tap0", "-c6 -e5 -r6 -m1500 77 tap0", "77 tap0 -c -e=5 -r 6 -6"] {
      let short = try gateway(line.replacing("-e=5", with: "--exit-fd=5"))
      #expect(short.configure == true && short.exitDescriptor == 5 && short.readyDescriptor == 6)
      #expect(try short.network().hasIPv6 && short.network().ipv6Gateway == IPv6Address("fd00::2"))
    }
    let bare = try gateway("77 tap0")
    #expect(bare.configure == nil && bare.mtu == 1500)
    let whole = try gateway(
      "--configure --api-socket /tmp/s --cidr 10.9.0.0/16 --netns-type=path --userns-path=/u --enable-sandbox"
        + " --enable-seccomp --outbound-addr=127.0.0.1 --outbound-addr6=::1 --disable-dns"
        + " --macaddress=0e:d4:18:d9:38:fb --target-type=netns /n tap0")
    #expect(try whole.place() == .namespace(NamespaceTarget(network: "/n", user: "/u")))
    network = try whole.network()
    #expect(network.ipv4 == IPv4Address(10, 9, 0, 100) && network.ipv4PrefixLength == 16)
    #expect(network.ipv4NameServer == IPv4Address(10, 9, 0, 3))
    #expect(network.commandMAC == MACAddress("0e:d4:18:d9:38:fb"))
    #expect(try whole.sources() == [IPAddress("127.0.0.1")!, IPAddress("::1")!])
    #expect(whole.disableDns && whole.apiSocket == "/tmp/s")
    #expect(try gateway("--outbound-addr=lo 77 tap0").sources() == [IPAddress("127.0.0.1")!])
  }

  @Test func ownForms() throws {
    let process = try gateway("--pid 77 -p 8080:80 -p 53:53/udp --host-loopback")
    #expect(!process.isCompatible && process.configure == nil)
    #expect(try process.place() == .namespace(NamespaceTarget(process: 77)) && process.network().hasIPv6)
    #expect(try process.network().interface == "sluice0")
    #expect(try process.serving.forwards().map(\.description) == ["8080:80", "53:53/udp"])
    let path = try gateway("--netns /n --interface eth0 --no-configure --contexts 2")
    #expect(try path.place() == .namespace(NamespaceTarget(network: "/n")) && path.configure == false)
    #expect(try path.network().interface == "eth0" && path.network().queues == 2)
    let guests = try gateway("--qemu /q --qemu tcp:127.0.0.1:7000 --qemu dgram:/d --qemu udp:[::1]:7000")
    let endpoints: [SwitchEndpoint] = [
      .stream(path: "/q"), .tcp(SocketAddress("127.0.0.1:7000")!), .datagrams(path: "/d"),
      .udp(SocketAddress("[::1]:7000")!),
    ]
    #expect(try guests.place() == .guests(endpoints))
    #expect(endpoints.map(\.description) == ["unix:/q", "tcp:127.0.0.1:7000", "dgram:/d", "udp:[::1]:7000"])
    #expect(try gateway("--vhost-user /v -p 8080:80").place() == .vhostUser(path: "/v"))
    #expect(try gateway("-v").version)
  }

  @Test(arguments: [
    ("", "no network to serve"), ("77", "no TAPNAME"), ("tap0 77", "no process"), ("0 tap0", "no process"),
    ("--pid 1 --netns /n", "there is one"), ("--pid 1 2 tap0", "there is one"), ("--pid 0", "is a process"),
    ("--pid 1 --cidr 10.0.2.100/24", "prefix from 1 to 25"),
    ("--pid 1 --cidr 10.0.2.0/26", "prefix from 1 to 25"),
    ("--pid 1 --cidr fd00::/64", "prefix from 1 to 25"), ("-m 65522 77 tap0", "576 to 65521"),
    ("--macaddress 02:00:00:00:00:01 77 tap0", "say --configure"),
    ("-c --macaddress 01:00:00:00:00:01 77 tap0", "no station address"),
    ("--target-type=bess /tmp/bess.sock", "not served"), ("77 a-name-that-is-too-long", "1 to 15"),
    ("--exit-fd=-1 77 tap0", "descriptor"), ("-a /a --control /b 77 tap0", "say one"),
    ("--netns-type=fd 77 tap0", "netns-type"), ("--qemu /q --pid 1", "there is one"),
    ("--qemu tcp:nowhere:1", "no socket"), ("--qemu udp:127.0.0.1:0", "no socket"),
    ("--qemu sctp:127.0.0.1:1", "no socket"), ("--qemu /q --contexts 2", "one queue"),
    ("--vhost-user /v --contexts 2", "one queue"), ("--vhost-user /v --qemu /q", "there is one"),
    ("--vhost-user /v --netns /n", "there is one"),
  ])
  func whatCannotBeIsNamed(_ line: String, _ reason: String) {
    let said = refusal(line)
    #expect(said.contains(reason), "\(line): \(said)")
  }

  @Test func sourcesAreOfTheirFamily() throws {
    for line in ["--outbound-addr=::1 1 t", "--outbound-addr6=10.0.0.1 1 t", "--outbound-addr=no-such 1 t"] {
      let options = try gateway(line)
      #expect(throws: (any Error).self) { try options.sources() }
    }
  }
}
