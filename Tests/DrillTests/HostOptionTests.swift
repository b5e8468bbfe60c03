import Testing
import Timing
import Wire

@testable import Drill

@Suite struct HostOptionTests {
  @Test func flagsAreWhatTheyWereSetTo() throws {
    let world = try HostWorld()
    let socket = try world.socket()
    for (level, name) in [
      ("SOL_SOCKET", "SO_REUSEADDR"), ("SOL_SOCKET", "SO_REUSEPORT"), ("SOL_SOCKET", "SO_KEEPALIVE"),
      ("SOL_SOCKET", "SO_OOBINLINE"), ("SOL_SOCKET", "SO_ZEROCOPY"), ("SOL_TCP", "TCP_NODELAY"),
      ("SOL_TCP", "TCP_CORK"), ("SOL_TCP", "TCP_INQ"),
    ] {
      #expect(try world.get(socket, level, name) == .integer(0), "\(name)")
      try world.expect(world.set(socket, level, name, 1), 0)
      #expect(try world.get(socket, level, name) == .integer(1), "\(name)")
    }
    for (name, value) in [
      ("TCP_KEEPIDLE", Int32(10)), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 4), ("TCP_SYNCNT", 2),
      ("TCP_LINGER2", 9), ("TCP_USER_TIMEOUT", 3000), ("TCP_MAXSEG", 900), ("TCP_WINDOW_CLAMP", 20000),
      ("TCP_DEFER_ACCEPT", 3),
    ] {
      try world.expect(world.set(socket, "SOL_TCP", name, value), 0)
      #expect(try world.get(socket, "SOL_TCP", name) == .integer(value), "\(name)")
    }
    #expect(try world.get(socket, "SOL_SOCKET", "SO_TYPE") == .integer(1))
    #expect(try world.get(socket, "SOL_SOCKET", "SO_ACCEPTCONN") == .integer(0))
    world.expectNothingLeft()
  }

  @Test func valuesOutOfTheirRangeAreRefused() throws {
    let world = try HostWorld()
    let socket = try world.socket()
    for (name, value) in [
      ("TCP_KEEPIDLE", Int32(0)), ("TCP_KEEPCNT", 128), ("TCP_SYNCNT", 0), ("TCP_MAXSEG", 87),
      ("TCP_MAXSEG", 32768), ("TCP_USER_TIMEOUT", -1),
    ] {
      try world.expect(world.set(socket, "SOL_TCP", name, value), .EINVAL)
    }
    try world.expect(.setsockopt(socket, level: 6, name: 1, .null, size: 4), .EFAULT)
    try world.expect(.setsockopt(socket, level: 6, name: 1, .integer(1), size: 2), .EINVAL)
    try world.expect(.setsockopt(socket, level: 99, name: 1, .integer(1), size: 4), .ENOPROTOOPT)
    try world.expect(.getsockopt(socket, level: 41, name: 67, size: 4), .ENOPROTOOPT)
    try world.expect(world.set(socket, "SOL_SOCKET", "SO_ERROR", 1), .ENOPROTOOPT)
    #expect(world.isUnsupported(world.set(socket, "SOL_SOCKET", "SO_TIMESTAMPING", 8)))
    #expect(world.isUnsupported(world.set(socket, "SOL_SOCKET", "SO_TIMESTAMP", 1)))
    world.expectNothingLeft()
  }

  @Test(arguments: [Personality.linux, .bsd]) func buffersAreDoubledByLinuxAlone(personality: Personality)
    throws
  {
    let world = try HostWorld(personality)
    let socket = try world.socket()
    for name in ["SO_SNDBUF", "SO_RCVBUF"] {
      try world.expect(world.set(socket, "SOL_SOCKET", name, 20000), 0)
      #expect(
        try world.get(socket, "SOL_SOCKET", name) == .integer(personality == .linux ? 40000 : 20000),
        "\(name)")
    }
    world.expectNothingLeft()
  }

  @Test func receiveBufferIsTheWindow() throws {
    let world = try HostWorld()
    let listener = try world.socket()
    try world.expect(world.set(listener, "SOL_SOCKET", "SO_RCVBUF", 8000), 0)
    try world.expect(.bind(listener, .inet(SocketAddress(.anyIPv4, port: 8080))), 0)
    try world.expect(.listen(listener, backlog: 1), 0)
    world.send(.syn, sequence: 0)
    #expect(try world.one([.syn, .ack]).window == 7300, "whole segments")
    world.expectNothingLeft()
  }

  @Test func segmentSizeIsAnnouncedKeptAndInherited() throws {
    let world = try HostWorld()
    let listener = try world.listen()
    #expect(try world.get(listener, "SOL_TCP", "TCP_MAXSEG") == .integer(536))
    try world.expect(world.set(listener, "SOL_TCP", "TCP_MAXSEG", 900), 0)
    var options = TCPOptions()
    options.mss = 1400
    world.send(.syn, options: options, sequence: 0)
    #expect(try world.one([.syn, .ack]).options.mss == 900)
    world.send(.ack)
    try world.expect(.accept(listener, flags: 0), 4)
    #expect(try world.get(4, "SOL_TCP", "TCP_MAXSEG") == .integer(900))
    try world.expect(.write(4, .zeros(1000)), 1000)
    #expect(try world.seen().first?.payload == 900)
    world.expectNothingLeft()
  }

  @Test func segmentSizeOfWhoConnects() throws {
    let world = try HostWorld()
    let socket = try world.socket()
    try world.expect(world.set(socket, "SOL_TCP", "TCP_MAXSEG", 700), 0)
    try world.setNonblocking(socket)
    try world.expect(.connect(socket, world.peer), .EINPROGRESS)
    #expect(try world.one(.syn).options.mss == 700)
    world.expectNothingLeft()
  }

  // Rules: RFC 1122 3.2.1.7-1; RFC 9293 MUST-48, MUST-49, SHLD-21, SHLD-22
  @Test(arguments: [true, false]) func marksAreInEveryHeader(isIPv4: Bool) throws {
    let world = try HostWorld(isIPv4: isIPv4)
    let listener = try world.listen()
    let (level, mark, hops) =
      isIPv4 ? ("SOL_IP", "IP_TOS", "IP_TTL") : ("SOL_IPV6", "IPV6_TCLASS", "IPV6_UNICAST_HOPS")
    try world.expect(world.set(listener, level, mark, 0x2B), 0)
    #expect(try world.get(listener, level, mark) == .integer(0x28), "without the bits of ECN")
    try world.expect(world.set(listener, level, hops, 7), 0)
    world.send(.syn, sequence: 0)
    let answer = try world.one([.syn, .ack])
    #expect(answer.trafficClass == 0x28 && answer.hopLimit == 7)
    world.send(.ack)
    try world.expect(.accept(listener, flags: 0), 4)
    try world.expect(.write(4, .zeros(10)), 10)
    let data = try world.one([.psh, .ack])
    #expect(data.trafficClass == 0x28 && data.hopLimit == 7, "inherited")
    try world.expect(world.set(4, level, mark, 0x10), 0)
    world.send(.ack, ack: 11)
    try world.expect(.write(4, .zeros(10)), 10)
    #expect(try world.one([.psh, .ack]).trafficClass == 0x10, "changed")
    world.expectNothingLeft()
  }

  @Test func noDelaySendsWhatNagleHolds() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    try world.expect(.write(socket, .zeros(10)), 10)
    try world.expect(.write(socket, .zeros(10)), 10)
    #expect(try world.seen().map(\.payload) == [10])
    try world.expect(world.set(socket, "SOL_TCP", "TCP_NODELAY", 1), 0)
    #expect(try world.seen().map(\.payload) == [10])
    world.expectNothingLeft()
  }

  @Test func keepAliveOfAListenerProbesForItsChild() throws {
    let world = try HostWorld()
    let listener = try world.listen()
    try world.expect(world.set(listener, "SOL_SOCKET", "SO_KEEPALIVE", 1), 0)
    try world.expect(world.set(listener, "SOL_TCP", "TCP_KEEPIDLE", 10), 0)
    try world.expect(world.set(listener, "SOL_TCP", "TCP_KEEPINTVL", 2), 0)
    try world.expect(world.set(listener, "SOL_TCP", "TCP_KEEPCNT", 3), 0)
    try world.handshake()
    try world.expect(.accept(listener, flags: 0), 4)
    let begin = world.host.now
    let handle = try world.block(.read(4, .space(1)))
    world.run(milliseconds: 30_000)
    let probes = try world.seen().filter { $0.sequence == 0 && $0.flags == .ack }
    #expect(probes.map { ($0.time - begin).milliseconds } == [10_000, 12_000, 14_000])
    #expect(world.host.poll(handle)?.errno == .ETIMEDOUT)
    world.expectNothingLeft()
  }

  @Test func userTimeoutEndsWhatIsNotAcknowledged() throws {
    let world = try HostWorld()
    let socket = try world.connect()
    try world.expect(world.set(socket, "SOL_TCP", "TCP_USER_TIMEOUT", 3000), 0)
    try world.expect(.write(socket, .zeros(10)), 10)
    world.run(milliseconds: 2900)
    #expect(try world.get(socket, "SOL_SOCKET", "SO_ERROR") == .integer(0))
    world.run(milliseconds: 200)
    #expect(try world.get(socket, "SOL_SOCKET", "SO_ERROR") == .integer(Errno.ETIMEDOUT.rawValue))
    world.expectNothingLeft()
  }

  @Test func deferredAcceptWaitsForData() throws {
    let world = try HostWorld()
    let listener = try world.listen()
    try world.setNonblocking(listener)
    try world.expect(world.set(listener, "SOL_TCP", "TCP_DEFER_ACCEPT", 3), 0)
    try world.handshake()
    try world.expect(.accept(listener, flags: 0), .EAGAIN)
    world.send(.ack, 10)
    try world.expect(.accept(listener, flags: 0), 4)
    try world.expect(.read(4, .space(100)), 10)
    world.expectNothingLeft()
  }

  @Test func deferredAcceptAsksOnceMoreAtTheEnd() throws {
    let world = try HostWorld()
    let listener = try world.listen()
    try world.setNonblocking(listener)
    try world.expect(world.set(listener, "SOL_TCP", "TCP_DEFER_ACCEPT", 3), 0)
    try world.handshake()
    world.run(milliseconds: 2900)
    #expect(try world.seen().isEmpty, "the peer has answered already")
    world.run(milliseconds: 200)
    try world.one([.syn, .ack])
    world.send(.ack)
    try world.expect(.accept(listener, flags: 0), 4)
    world.expectNothingLeft()
  }

  @Test func infoSaysWhereTheConnectionStands() throws {
    let world = try HostWorld()
    let (listener, socket) = try world.accept()
    #expect(world.host.info(listener)?["tcpi_state"] == 10)
    #expect(world.host.info(listener)?["tcpi_sacked"] == 5)
    try world.expect(.write(socket, .zeros(2500)), 2500)
    let info = try #require(try world.call(.getsockopt(socket, level: 6, name: 11, size: 280)).info)
    #expect(info["tcpi_state"] == 1 && info["tcpi_unacked"] == 3 && info["tcpi_snd_mss"] == 1000)
    #expect(info["tcpi_snd_cwnd"] == 10 && info["tcpi_advmss"] == 1460)
    #expect(world.host.info(77) == nil)
    world.expectNothingLeft()
  }

  @Test func pathIsKnownToWhoIsConnected() throws {
    let world = try HostWorld { $0.mtu = 1280 }
    let socket = try world.socket()
    try world.expect(.getsockopt(socket, level: 0, name: 14, size: 4), .ENOTCONN)
    try world.expect(.close(socket), 0)
    let connected = try world.connect()
    #expect(try world.get(connected, "SOL_IP", "IP_MTU") == .integer(1280))
    world.expectNothingLeft()
  }

  @Test func namedSettingsAreAppliedToSocketsMadeLater() throws {
    let world = try HostWorld()
    let early = try world.socket()
    #expect(world.host.settings.apply(sysctl: "net.ipv4.tcp_timestamps", value: "0") == .applied)
    #expect(world.host.settings.apply(sysctl: "net/ipv4/tcp_rmem", value: "4096 540000 15728640") == .applied)
    #expect(world.host.settings.apply(sysctl: "net.ipv4.tcp_tso_win_divisor", value: "3") == .applied)
    #expect(world.host.settings.transport.deferralDivisor == 3)
    var named = world.host.settings
    for value in 0...5 as ClosedRange<UInt8> {
      #expect(named.apply(sysctl: "net.ipv4.tcp_ecn", value: "\(value)") == .applied)
      #expect(named.transport.congestionNotification.rawValue == value)
    }
    for value in 0...3 as ClosedRange<UInt8> {
      #expect(named.apply(sysctl: "net.ipv4.tcp_ecn_option", value: "\(value)") == .applied)
      #expect(named.transport.accurateOption.rawValue == value)
    }
    #expect(named.apply(sysctl: "net.ipv4.tcp_ecn_option_beacon", value: "7") == .applied)
    #expect(named.apply(sysctl: "net.ipv4.tcp_ecn_fallback", value: "0") == .applied)
    #expect(named.transport.accurateOptionBeacon == 7)
    #expect(!named.transport.notificationFallback)
    for (name, value) in [("ipv4.tcp_ecn", "6"), ("ipv4.tcp_ecn_option", "4"), ("inet.tcp.ecn.enable", "4")] {
      guard case .unsupported = named.apply(sysctl: "net.\(name)", value: value) else {
        Issue.record("\(name) = \(value)")
        continue
      }
    }
    guard case .unsupported = world.host.settings.apply(sysctl: "net.ipv4.tcp_nothing", value: "1") else {
      Issue.record("nobody knows it")
      return
    }
    let late = try world.socket()
    for (socket, hasTimestamps, scale) in [(early, true, UInt8(7)), (late, false, 8)] {
      try world.setNonblocking(socket)
      try world.expect(.connect(socket, world.peer), .EINPROGRESS)
      let options = try world.one(.syn).options
      #expect((options.timestamps != nil) == hasTimestamps && options.windowScale == scale)
      try world.expect(.close(socket), 0)
    }
    world.expectNothingLeft()
  }
}
