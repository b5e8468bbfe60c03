import CLinux
public import Devices
import Exclusion
import Glibc
public import Wire

/// The sockets of a ``VirtualSwitch``, opened ahead of it: before this process gives up what that takes.
public final class SwitchSockets: Sendable {
  /// The stack's port.
  public let device: any Device
  /// Some guests are answered at paths of their own, which must mean the same as long as the switch runs.
  public var answersAtPaths: Bool {
    endpoints.contains { if case .datagrams = $0 { true } else { false } }
  }
  let endpoints: [SwitchEndpoint]
  /// Where guests plug in, and the folders of those that have paths, or -1.
  let listeners: [(descriptor: Int32, folder: Int32)]
  /// The switch's end of the pair with the stack.
  let stack: Int32
  /// Watches all of them.
  let epoll: Int32
  let ending: SwitchEnding
  let gateway: MACAddress
  /// Bytes of the longest frame.
  let frameLimit: Int

  /// Listens. Application context.
  ///
  /// - Parameters:
  ///   - endpoints: where guests plug in, at least one.
  ///   - gateway: the stack's own station.
  ///   - mtu: of the stack's port, 576...``TapDevice/largestMTU``.
  /// - Throws: `.switchRefused`.
  public init(_ endpoints: [SwitchEndpoint], gateway: MACAddress, mtu: Int) throws(LinkError) {
    precondition(!endpoints.isEmpty, "a switch has a place to plug in")
    var opened: [(descriptor: Int32, folder: Int32)] = []
    var made: [Int32] = []
    do throws(LinkError) {
      for endpoint in endpoints {
        let descriptor = endpoint.open()
        guard descriptor >= 0 else { throw .switchRefused(endpoint, errno: -descriptor) }
        let folder = endpoint.path.map { unsafe sluice_folder_open($0) } ?? -1
        opened.append((descriptor, folder))
      }
      var pair: [Int32] = [-1, -1]
      let result = unsafe sluice_frames_pair(&pair)
      guard result == 0 else { throw .switchRefused(endpoints[0], errno: -result) }
      made = pair
      epoll = sluice_epoll_create()
      guard epoll >= 0 else { throw .switchRefused(endpoints[0], errno: -epoll) }
      made.append(epoll)
      ending = try Self.ending(endpoints[0])
      let watched = SwitchLoop.watch(epoll, ending, pair[1], opened.map(\.descriptor))
      guard watched == 0 else { throw .switchRefused(endpoints[0], errno: -watched) }
    } catch {
      Self.close(endpoints, opened)
      for descriptor in made { Glibc.close(descriptor) }
      throw error
    }
    self.endpoints = endpoints
    self.gateway = gateway
    listeners = opened
    stack = made[1]
    // A frame of the link's, with a tag.
    frameLimit = max(mtu, 1500) + EthernetHeader.taggedByteCount
    device = TapDevice(adopting: [made[0]], name: "switch", mtu: mtu, linkLayer: .ethernet(gateway))
  }

  deinit {
    Self.close(endpoints, listeners)
    Glibc.close(stack)
    Glibc.close(epoll)
  }

  private static func close(
    _ endpoints: [SwitchEndpoint], _ opened: [(descriptor: Int32, folder: Int32)]
  ) {
    for (endpoint, listener) in zip(endpoints, opened) {
      Glibc.close(listener.descriptor)
      guard listener.folder >= 0 else { continue }
      if let path = endpoint.path { unsafe sluice_folder_unlink(listener.folder, path) }
      Glibc.close(listener.folder)
    }
  }

  private static func ending(_ endpoint: SwitchEndpoint) throws(LinkError) -> SwitchEnding {
    do throws(SystemFailure) {
      return try SwitchEnding()
    } catch {
      throw .switchRefused(endpoint, errno: error.code)
    }
  }
}
