import CLinux
public import Devices
import Glibc
import Wire

/// A network namespace that is there already: a container's, say.
public struct NamespaceTarget: Sendable, Hashable {
  /// Where it is: `/proc/PID/ns/net`, or where `ip netns` and container engines keep it.
  public var network: String
  /// The user namespace to enter before; nil: the one that the network's belongs to, if that is not ours.
  public var user: String?

  /// The namespace at a path.
  public init(network: String, user: String? = nil) {
    self.network = network
    self.user = user
  }
  /// The namespace of a process.
  public init(process: Int32, user: String? = nil) {
    self.init(network: "/proc/\(process)/ns/net", user: user)
  }
}

/// Our end of a link that was made in a network namespace which somebody else has.
///
/// No privilege is needed over a namespace of one's own user: its user namespace is entered first. The namespace lives as
/// long as the link does, and the interface goes with the device.
public struct JoinedNetwork: Sendable {
  /// Our end of the link.
  public let device: any Device
  /// What kind of link it is.
  public let link: LinkKind
  /// Why ``LinkChoice/automatic`` did not take a TAP, if it did not.
  public let tapRefusal: LinkError?
  /// Whether the interface got its IPv6 address.
  public let hasIPv6: Bool

  /// Makes the link. Blocks for some milliseconds, for ``IsolatedNetwork/deadlineMilliseconds`` at most. Application
  /// context.
  ///
  /// - Parameters:
  ///   - network: addresses of both ends. The interface may be there already if it is a TAP, and nobody has it open.
  ///   - configures: the interface gets its addresses, routes and MTU, and is up, as the loopback interface is; else
  ///     whoever is inside does that.
  public static func join(
    _ target: NamespaceTarget, network: IsolatedNetwork, link: LinkChoice = .automatic, configures: Bool
  ) throws(LaunchError) -> JoinedNetwork {
    try network.check()
    let namespaces = try Namespaces(target)
    var report = sluice_launch_report()
    var place = sluice_join(
      network_namespace: namespaces.network, user_namespace: namespaces.user, configure: configures ? 1 : 0)
    let result = unsafe IsolatedCommand.request([""], "", network, link) { request in
      unsafe sluice_join(request, &place, &report)
    }
    withExtendedLifetime(namespaces) {}
    let told = LaunchReport(report: report, path: target.network, tunPath: network.tunPath)
    guard result == 0 else { throw told.error }
    let kind = report.link == sluice_link_tap ? LinkKind.tap : .veth
    do throws(LinkError) {
      return JoinedNetwork(
        device: try IsolatedCommand.device(kind, network, &report), link: kind,
        tapRefusal: told.tapRefusal, hasIPv6: report.ipv6 != 0)
    } catch {
      throw .link(error)
    }
  }

  /// Descriptors of both, until the link is made.
  private final class Namespaces {
    let network: Int32
    let user: Int32

    init(_ target: NamespaceTarget) throws(LaunchError) {
      network = unsafe sluice_namespace_open(target.network, 0)
      guard network >= 0 else {
        throw .namespaceUnavailable(path: target.network, isUser: false, errno: -network)
      }
      if let path = target.user {
        user = unsafe sluice_namespace_open(path, 1)
        if user < 0 {
          close(network)
          throw .namespaceUnavailable(path: path, isUser: true, errno: -user)
        }
      } else {
        user = sluice_namespace_owner(network)
      }
    }
    deinit {
      close(network)
      if user >= 0 { close(user) }
    }
  }
}
