import Glibc

/// Why there is no link. Every description says what to do.
public enum LinkError: Error, Hashable, Sendable {
  /// `/dev/net/tun`, or what stands for it, cannot be opened; `mode` are its permission bits, if it exists.
  case tunUnavailable(path: String, mode: Int?, errno: Int32)
  /// The device was opened, but gave no interface (TUNSETIFF).
  case tapRefused(path: String, errno: Int32)
  /// A veth pair could not be made.
  case vethRefused(errno: Int32)
  /// An AF_PACKET socket was refused.
  case packetSocketRefused(errno: Int32)
  /// An AF_XDP socket, or the program that leads frames to it, was refused; `call` says what.
  case xdpRefused(call: String, errno: Int32)
  /// The interface has another number of receive queues than there are to be sockets.
  case queuesDiffer(name: String, queues: Int)
  /// The socket has no receive ring.
  case packetRingRefused(errno: Int32)
  /// The interface insists on leaving checksums or segmentation to hardware that is not there.
  case offloadsRefused(errno: Int32)
  /// A terminal could not be opened, or is none, or does not know the speed.
  case terminalRefused(path: String, errno: Int32)
  /// Guests cannot plug in there.
  case switchRefused(SwitchEndpoint, errno: Int32)
  /// There is no such interface, or it does not say its MTU.
  case interfaceUnknown(name: String, errno: Int32)
  /// A packet of this size does not fit into a packet buffer; the largest is `limit`, in bytes.
  case mtuOutOfRange(Int, limit: Int)
  /// The name is empty where it must not be, or longer than 15 bytes.
  case nameOutOfRange(String)
}

extension LinkError: CustomStringConvertible {
  /// What was refused, and what to do about it.
  public var description: String {
    switch self {
    case .tunUnavailable(let path, let mode, let errno):
      return Self.tunAdvice(path: path, mode: mode, errno: errno)
    case .tapRefused(let path, let errno):
      return "\(path) gave no TAP interface (TUNSETIFF): \(reason(errno)). "
        + (errno == EPERM
          ? "It needs CAP_NET_ADMIN in the network's namespace, or an interface made for this user: "
            + "`sudo ip tuntap add mode tap user $USER multi_queue`. "
          : errno == EBUSY
            ? "The interface is in use, or was made without `multi_queue`. "
            : "Check that the kernel has TUN/TAP with IFF_MULTI_QUEUE (Linux 3.8). ")
        + "A veth pair needs neither: `--link veth`."
    case .vethRefused(let errno):
      return "no veth pair: \(reason(errno)). "
        + (errno == EOPNOTSUPP
          ? "The kernel has no veth driver loaded: `sudo modprobe veth`, or use a TAP: `--link tap`."
          : "Use a TAP instead: `--link tap`.")
    case .packetSocketRefused(let errno):
      return "no AF_PACKET socket: \(reason(errno)). "
        + (errno == EAFNOSUPPORT
          ? "The kernel has no packet sockets loaded: `sudo modprobe af_packet`"
          : "It needs CAP_NET_RAW in the network's namespace, and a sandbox (seccomp, AppArmor) may forbid it")
        + "; a TAP does without: `--link tap`."
    case .xdpRefused(let call, let errno):
      return "no AF_XDP, its \(call) was refused: \(reason(errno)). " + Self.xdpAdvice(errno)
    case .queuesDiffer(let name, let queues):
      return
        "\(name) has \(queues) receive queues, and each needs a socket: say `--queues \(queues)`, or "
        + "`ethtool -L \(name) combined N`."
    case .packetRingRefused(let errno):
      return "no receive ring for the packet socket: \(reason(errno)). "
        + "It takes up to 8 MiB of kernel memory; a TAP does without: `--link tap`."
    case .offloadsRefused(let errno):
      return
        "checksum offload of the veth pair cannot be switched off (ethtool): \(reason(errno)). "
        + "Use a TAP: `--link tap`."
    case .terminalRefused(let path, let errno):
      return "no serial line at \(path): \(reason(errno)). "
        + (errno == EACCES
          ? "Terminals belong to a group: `sudo usermod -aG dialout $USER`, and log in again."
          : "`stty -F \(path)` tells what it is.")
    case .switchRefused(let endpoint, let errno):
      return "guests cannot plug in at \(endpoint): \(reason(errno)). "
        + (errno == EADDRINUSE
          ? "Another process is there."
          : errno == EEXIST ? "Something else is there." : "Check the path or address.")
    case .interfaceUnknown(let name, let errno):
      return "no interface \(name): \(reason(errno)). `ip link` shows what there is."
    case .mtuOutOfRange(let mtu, let limit):
      return "an MTU of \(mtu) bytes is out of range: 576 to \(limit)."
    case .nameOutOfRange(let name):
      return "\"\(name)\" cannot name an interface: 1 to 15 bytes, no slash, no blank."
    }
  }

  private static func xdpAdvice(_ errno: Int32) -> String {
    switch errno {
    case EPERM, EACCES:
      "It needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF, of the machine and not of a user namespace."
    case EBUSY: "Another program is at the interface, or has the queue: `ip link show` tells."
    case EAFNOSUPPORT, ENOSYS, EINVAL:
      "The kernel lacks CONFIG_XDP_SOCKETS or CONFIG_BPF_SYSCALL, or is older than 5.9."
    case ENOBUFS, ENOMEM: "It takes 8 MiB of locked memory for each queue: `ulimit -l`."
    default: "A packet socket does without: `--interface`."
    }
  }

  private static func tunAdvice(path: String, mode: Int?, errno: Int32) -> String {
    let instead =
      "Without it a veth pair does the same: `--link veth`, which is what is used by default then."
    switch errno {
    case EACCES, EPERM:
      let shown = mode.map { "mode 0" + String($0, radix: 8) } ?? "mode unknown"
      return
        "\(path) (\(shown)) may not be opened: \(reason(errno)). Most distributions have it at mode 0666: "
        + "`sudo chmod 0666 \(path)`, and for every boot the udev rule KERNEL==\"tun\", MODE=\"0666\" in "
        + "/etc/udev/rules.d/60-tun.rules. " + instead
    case ENOENT, ENXIO, ENODEV:
      return "\(path) is not there: \(reason(errno)). `sudo modprobe tun`; in a container "
        + "`--device /dev/net/tun`. " + instead
    default:
      return "\(path) could not be opened: \(reason(errno)). " + instead
    }
  }
}

/// The system's words for an errno, with its number.
func reason(_ errno: Int32) -> String {
  guard let text = unsafe strerror(errno) else { return "errno \(errno)" }
  return unsafe String(cString: text) + " (errno \(errno))"
}
