import Glibc

extension PortForward: CustomStringConvertible {
  /// As it is written on the command line.
  public var description: String {
    let ports = "\(hostPort):\(port)"
    guard let address else { return ports }
    return address.isIPv4 ? "\(address):\(ports)" : "[\(address)]:\(ports)"
  }
}

extension PortForwardError: CustomStringConvertible {
  /// What was refused, and what to do about it.
  public var description: String {
    let form = "It is [ADDR:]HOSTPORT:PORT[/tcp], such as 8080:80 or 127.0.0.1:8000-8009:8000-8009."
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
      return "\"\(text)\": \(name) is not forwarded, only tcp is."
    case .listenRefused(let forward, let errno):
      return "cannot listen for the forward \(forward): \(Self.reason(errno)). " + Self.advice(forward, errno)
    case .resourcesRefused(let call, let errno):
      return "no \(call) for the forwards: \(Self.reason(errno)). Look at `ulimit -n` and `ulimit -u`."
    }
  }

  private static func reason(_ errno: Int32) -> String { unsafe String(cString: strerror(errno)) }

  private static func advice(_ forward: PortForward, _ errno: Int32) -> String {
    switch errno {
    case EADDRINUSE: "Somebody has the port (`ss -ltnp` shows who): take another."
    case EACCES:
      "Ports below net.ipv4.ip_unprivileged_port_start need a privilege: take one from 1024 on."
    case EADDRNOTAVAIL: "No interface of this host has the address (`ip address` shows them)."
    case EMFILE, ENFILE: "Look at `ulimit -n`."
    default: "Check the address and the port."
    }
  }
}
