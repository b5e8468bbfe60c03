import Devices
import Glibc
import LinuxDevices
import Sluice

/// The link that `sluice serve` serves.
enum ServeLink: Equatable {
  /// A TAP, there or to be made.
  case tap(String)
  /// A packet socket on an interface.
  case interface(String)
  /// AF_XDP sockets on an interface.
  case xdp(String)

  var name: String {
    switch self {
    case .tap(let name), .interface(let name), .xdp(let name): name
    }
  }
  /// For the status.
  var kind: String {
    switch self {
    case .tap: "tap"
    case .interface: "packet socket"
    case .xdp: "AF_XDP"
    }
  }

  /// Opens it, with our station address there; with `offload` a TAP leaves checksums and segments to the kernel. The
  /// interface is left as it is found, and is found again when the device goes: but for a TAP that was made here, which
  /// goes with it.
  func open(
    _ station: MACAddress, queues: Int, mtu: Int?, offload: Bool, joining: FrameJoining
  ) throws(Failure) -> any Device {
    do throws(LinkError) {
      switch self {
      case .tap(let name):
        return try Self.openTap(
          name, station, queues: queues, mtu: mtu, offload: offload, joining: joining)
      case .interface(let name):
        return try PacketSocketDevice.open(name: name, address: station, queues: queues, mtu: mtu)
      case .xdp(let name):
        return try XDPDevice(name: name, address: station, queues: queues, mtu: mtu)
      }
    } catch {
      throw Failure(Self.advice(error, name: name))
    }
  }

  /// One that is there takes one queue with the flag that it was made with.
  private static func openTap(
    _ name: String, _ station: MACAddress, queues: Int, mtu: Int?, offload: Bool, joining: FrameJoining
  ) throws(LinkError) -> TapDevice {
    do throws(LinkError) {
      return try TapDevice.open(
        name: name, linkLayer: .ethernet(station), queues: queues, mtu: mtu, offload: offload,
        joining: joining)
    } catch {
      guard case .tapRefused(_, EINVAL) = error, queues == 1 else { throw error }
      return try TapDevice.open(
        name: name, linkLayer: .ethernet(station), queues: 1, isMultiQueue: true, mtu: mtu,
        offload: offload, joining: joining)
    }
  }

  private static func advice(_ error: LinkError, name: String) -> String {
    switch error {
    case .tapRefused(_, EBUSY):
      "\(name) is in use: another program has its queues. `ip tuntap show` tells which."
    case .tapRefused(_, EPERM):
      "\(name) may not be opened: it is another user's, or it is not there and making it needs CAP_NET_ADMIN. "
        + "`sudo ip tuntap add \(name) mode tap user $USER` makes one for you."
    case .tapRefused(_, EINVAL):
      "\(name) is no TAP, or takes one queue only: `ip tuntap add \(name) mode tap multi_queue` makes one for several."
    case .packetSocketRefused(EPERM):
      "no packet socket on \(name): it needs CAP_NET_RAW. A TAP of your own does without: `--tap`."
    case .tunUnavailable, .tapRefused, .vethRefused, .packetSocketRefused, .packetRingRefused,
      .offloadsRefused, .xdpRefused, .queuesDiffer, .switchRefused,
      .terminalRefused, .interfaceUnknown, .mtuOutOfRange, .nameOutOfRange:
      "\(error)"
    }
  }
}
