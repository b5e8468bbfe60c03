import Glibc

extension PortForward: CustomStringConvertible {
  /// As it is written on the command line.
  public var description: String {
    let ports = "\(hostPort):\(port)" + (transport == .tcp ? "" : "/\(transport.rawValue)")
    guard let address else { return ports }
    return address.isIPv4 ? "\(address):\(ports)" : "[\(address)]:\(ports)"
  }
}

extension PortForwardError: CustomStringConvertible {
  /// What was refused, and what to do about it.
  public var description: String {
    let form = "It is [ADDR:]HOSTPORT:PORT[/udp], such as 8080:80 or 127.0.0.1:8000-8009:8000-8009."
    switch self {
    case .malformed(let text): return "\"\(text)\" is no forward. \(form)"
    case .addressUnknown(let text, let address):
      return "\"\(address)\" in \"\(text)\" is no address. \(form) An IPv6 address stands in brackets."
    case .portOutOfRange(let text, let port):
      return "\"\(port)\" in \"\(text)\" is no port from 1 to 65535, and no range of them. \(form)"
    case .rangesDiffer(let text, let host, let guest):
      return "\"\(text)\" has \(host) ports of the host for \(guest) of the command. Make them as many."
    case .rangeTooLong(let text, let count):
      return "\"\(text)\" has \(count) ports; one range has \(PortForward.rangeLimit) at most."
    case .protocolNotForwarded(let text, let name):
      return "\"\(text)\": \(name) is not forwarded, only tcp and udp are."
    case .tooMany(let limit):
      return "there are too many forwards: \(limit) sockets may listen at once. Remove some."
    case .listenRefused(let forward, let errno):
      return "cannot listen for the forward \(forward): \(Self.reason(errno)). " + Self.advice(forward, errno)
    case .controlRefused(let path, let errno):
      return "no control socket at \(path): \(Self.reason(errno)). " + Self.advice(path, errno)
    case .resourcesRefused(let call, let errno):
      return "no \(call) for the forwards: \(Self.reason(errno)). Look at `ulimit -n` and `ulimit -u`."
    }
  }

  private static func reason(_ errno: Int32) -> String { unsafe String(cString: strerror(errno)) }

  private static func advice(_ forward: PortForward, _ errno: Int32) -> String {
    switch errno {
    case EADDRINUSE:
      "Somebody has the port (`ss -\(forward.transport == .tcp ? "lt" : "lu")np` shows who): take another."
    case EACCES:
      "Ports below net.ipv4.ip_unprivileged_port_start need a privilege: take one from 1024 on."
    case EADDRNOTAVAIL: "No interface of this host has the address (`ip address` shows them)."
    case EMFILE, ENFILE: "Look at `ulimit -n`."
    case EPROTONOSUPPORT: "Datagrams are carried in where they are carried out, too."
    default: "Check the address and the port."
    }
  }
  private static func advice(_ path: String, _ errno: Int32) -> String {
    switch errno {
    case EADDRINUSE: "Another process listens there: take another path."
    case EEXIST: "Something that is no socket is there: take another path."
    case ENAMETOOLONG: "A socket's path has 107 bytes at most."
    case ENOENT: "Its folder is not there."
    default: "Check the folder and its permissions."
    }
  }
}
