import TCP
public import Timing
public import Wire

/// How scripts are run: packetdrill's own options, from the command line and from the scripts.
public struct DrillOptions: Sendable {
  /// Which addresses sockets and packets have.
  public enum Version: String, Sendable, CaseIterable {
    /// IPv4 throughout.
    case ipv4
    /// IPv6 sockets that speak IPv4: addresses mapped into IPv6.
    case mapped = "ipv4-mapped-ipv6"
    /// IPv6 throughout.
    case ipv6
  }

  /// Which addresses sockets and packets have.
  public var version = Version.ipv4
  /// The stack's address; nil for the host's default.
  public var localAddress: IPAddress?
  /// The address that packets come from; nil for the host's default.
  public var remoteAddress: IPAddress?
  /// The next hop; nil for the host's default.
  public var gatewayAddress: IPAddress?
  /// Bits of the network on the link, for IPv4; nil for the host's default.
  public var prefixLength: Int?
  /// What `bind` binds to where the script says `...`.
  public var bindPort: UInt16 = 8080
  /// What `connect` connects to where the script says `...`.
  public var connectPort: UInt16 = 8080
  /// The link's MTU in bytes; nil: 1500.
  public var mtu: Int?
  /// Bytes of payload of the pieces in which a segment arrives that is larger than the link's packets; nil: as few as it
  /// takes.
  public var pieceSize: Int?
  /// How far an event may be off its time.
  public var tolerance = Nanoseconds.microseconds(4000)
  /// How far it may be off as a share of the time since the event before, in percent.
  public var tolerancePercent = 12.5
  /// Microseconds of a tick of the stack's time stamps; 0 does not look at their values.
  public var stampTick = 0
  /// Inbound time stamp echoes may be counted from the first that was sent.
  public var scalesEchoes = false
  /// A segment that the script expects must come as one packet.
  public var isStrictAboutSegments = false
  /// Options are compared in their order, padding too; nil: for Linux they are, for BSD they are not.
  public var isStrictAboutOptions: Bool?
  /// Whose socket calls; nil: what the script looks like.
  public var personality: Personality?
  /// What scripts expect may tell of the machine that they were written on: how much memory it had, and how old its kernel
  /// was. False: it is the host's, whatever they expect.
  public var infersMachine = true
  /// The script says that it is of a suite for FreeBSD 11.
  var isOfEarlierBSD = false
  /// What stands in for words of the scripts, by name.
  public var definitions: [String: String] = [:]
  /// Keys of RFC 5925 that the other side has, as the stack names them, `--tcp_ao_key`, and secrets of RFC 2385,
  /// `--tcp_md5_secret`.
  var keys = ScriptKeys()
  /// A packet or a call that is not as expected is only noted.
  public var isPacketFailureFatal = true, isCallFailureFatal = true
  /// Each packet is told as it passes.
  public var isVerbose = false

  /// The defaults of packetdrill.
  public init() {}

  /// What became of an option.
  public enum Outcome: Equatable, Sendable {
    /// It is in force.
    case applied
    /// It speaks of what has no part here.
    case harmless
    /// Its value makes no sense.
    case invalid
    /// Scripts that ask for it cannot be run.
    case unsupported
    /// There is no such option.
    case unknown
  }

  /// Puts an option of packetdrill in force.
  public mutating func apply(_ name: String, _ value: String?) -> Outcome {
    func set(_ done: Bool) -> Outcome { done ? .applied : .invalid }
    func store<Value>(_ read: Value?, _ place: WritableKeyPath<Self, Value>) -> Outcome {
      guard let read else { return .invalid }
      self[keyPath: place] = read
      return .applied
    }
    let text = value ?? ""
    switch name {
    case "ip_version": return store(Version(rawValue: text), \.version)
    case "local_ip": return store(IPAddress(text).map(Optional.some), \.localAddress)
    case "remote_ip":
      return store(IPAddress(String(text.prefix { $0 != "/" })).map(Optional.some), \.remoteAddress)
    case "gateway_ip": return store(IPAddress(text).map(Optional.some), \.gatewayAddress)
    case "netmask_ip": return store(Self.prefixLength(text).map(Optional.some), \.prefixLength)
    case "bind_port": return store(UInt16(text), \.bindPort)
    case "connect_port": return store(UInt16(text), \.connectPort)
    case "mtu": return store(Int(text).flatMap { (68...65535).contains($0) ? .some(.some($0)) : nil }, \.mtu)
    // What the pieces of a large segment from the network hold.
    case "mss": return store(Int(text).flatMap { $0 > 0 ? .some(.some($0)) : nil }, \.pieceSize)
    case "tolerance_usecs":
      return store(
        Int64(text).flatMap { (0...1_000_000_000).contains($0) ? .microseconds($0) : nil }, \.tolerance)
    case "tolerance_percent":
      return store(Double(text).flatMap { (0...100).contains($0) ? $0 : nil }, \.tolerancePercent)
    case "tcp_ts_tick_usecs":
      return store(Int(text).flatMap { (0...1_000_000).contains($0) ? $0 : nil }, \.stampTick)
    case "tcp_ts_ecr_scaled":
      scalesEchoes = true
      return .applied
    case "strict_segments":
      isStrictAboutSegments = true
      return .applied
    case "strict_options":
      isStrictAboutOptions = true
      return .applied
    case "given_machine":
      infersMachine = false
      return .applied
    case "any_option_order":
      isStrictAboutOptions = false
      return .applied
    case "non_fatal":
      for word in text.split(whereSeparator: { $0 == "," || $0 == " " }) {
        switch word {
        case "packet": isPacketFailureFatal = false
        case "syscall": isCallFailureFatal = false
        default: return .invalid
        }
      }
      return .applied
    case "define":
      guard let equals = text.firstIndex(of: "=") else { return .invalid }
      definitions[String(text[..<equals])] = String(text[text.index(after: equals)...])
      return .applied
    case "tcp_ao_key":
      guard let key = ScriptKeys.parse(text) else { return .invalid }
      keys.add(key)
      return .applied
    case "tcp_md5_secret":
      guard let secret = TCPSecret(text.utf8) else { return .invalid }
      keys.add(secret)
      return .applied
    case "verbose", "v":
      isVerbose = true
      return .applied
    case "personality":
      guard ["linux", "bsd"].contains(text) else { return .invalid }
      personality = text == "bsd" ? .bsd : .linux
      return .applied
    case "init_scripts", "speed", "debug", "send_omit_free", "code_command", "code_format", "code_sockopt",
      "persistent_tun_dev", "tun_dev", "so_filename", "so_flags", "dry_run":
      return .harmless
    // What goes in UDP each packet says; SCTP in UDP there is none.
    case "udp_encapsulation": return text == "tcp" ? .applied : text == "sctp" ? .unsupported : .invalid
    case "psp_udp_port", "wire_client", "wire_server", "wire_server_ip",
      "wire_server_at",
      "wire_server_port", "wire_client_dev", "wire_server_dev", "is_anyip":
      return .unsupported
    default: return .unknown
    }
  }

  /// `255.255.0.0` is 16.
  private static func prefixLength(_ mask: String) -> Int? {
    guard let bits = IPv4Address(mask)?.rawValue else { return nil }
    let length = (~bits).leadingZeroBitCount
    return bits == (length == 0 ? 0 : UInt32.max << UInt32(32 - length)) ? length : nil
  }
}
