/// What a socket that binds asks for. Each rule is what a Linux user knows it for; both sockets of a pair have a
/// say, the one that is bound already and the one that comes.
///
/// Two sockets meet if they have the same protocol, the same port, and addresses of which one covers the
/// other: they are equal, or one is the unspecified address of the other's family, or one is `::` without
/// ``isIPv6Only`` and the other is of either family. Sockets that do not meet never disturb each other: bind is
/// address and port (P6). Of those that meet:
///
/// | both have        | TCP, nobody listens yet | TCP, the first listens | UDP                           |
/// |------------------|-------------------------|------------------------|-------------------------------|
/// | neither option   | address in use          | address in use         | address in use                |
/// | ``reuseAddress`` | the second may, and may listen | address in use  | both; the newest of equals hears |
/// | ``reusePort``    | both may                | both listen            | both may                      |
///
/// With ``reusePort`` sockets of the same name form a group: a flow is always heard by the same member, as long as
/// none comes or goes. A bound socket that begins to listen is asked again, as if it came now.
///
/// A TCP socket also meets connections: with a local port in their name that it wants, in whatever state, TIME-WAIT
/// above all. They refuse it, unless it has ``reuseAddress`` itself: what a server sets that is to start again at
/// once. Listeners that are made in one step have it unless told otherwise.
public struct BindOptions: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt8
  /// Unknown bits are ignored.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// SO_REUSEADDR: the name may be used beside others that do not listen, and beside connections.
  public static let reuseAddress = BindOptions(rawValue: 1 << 0)
  /// SO_REUSEPORT: the name is shared with others that have the option too, each flow with one of them.
  public static let reusePort = BindOptions(rawValue: 1 << 1)
  /// IPV6_V6ONLY: `::` stands for IPv6 addresses alone. Without it, it stands for all of IPv4 as well.
  public static let isIPv6Only = BindOptions(rawValue: 1 << 2)
}
