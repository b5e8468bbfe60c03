import CLinux
import Glibc

/// Why a command was not started. Every description says what to do.
public enum LaunchError: Error, Hashable, Sendable {
  /// There is no such program on `PATH`, or no such file.
  case commandNotFound(String)
  /// There is, but it may not be executed.
  case commandNotExecutable(String, errno: Int32)
  /// The kernel refused to execute it, at the last moment.
  case executionRefused(path: String, errno: Int32)
  /// No process, socket or descriptor to begin with.
  case resourcesRefused(errno: Int32)
  /// No user namespace.
  case userNamespaceRefused(errno: Int32)
  /// A user namespace, but its user may not have an identity in it.
  case identityRefused(errno: Int32)
  /// No network namespace.
  case networkNamespaceRefused(errno: Int32)
  /// There is no such namespace, or it is no network namespace, or no user namespace.
  case namespaceUnavailable(path: String, isUser: Bool, errno: Int32)
  /// The namespace, or the user namespace that the one at `path` belongs to, may not be entered.
  case namespaceRefused(path: String, isUser: Bool, errno: Int32)
  /// No link of the chosen kind.
  case link(LinkError)
  /// Neither link.
  case noLink(tap: LinkError, veth: LinkError)
  /// The network's settings were refused.
  case settingRefused(NetworkSetting, errno: Int32)
  /// The command cannot be given its capabilities over its own network.
  case capabilitiesRefused(errno: Int32)
  /// A step did not end in time.
  case timedOut(step: String)
  /// The command's process died in the middle of a step.
  case died(step: String, CommandStatus)
  /// The process that keeps the command was killed; how the command ended is not known.
  case keeperKilled

  /// What is set in the command's network.
  public enum NetworkSetting: String, Sendable {
    /// The loopback interface.
    case loopback
    /// MTU, link-layer address and state.
    case interface
    /// Address and route.
    case ipv4 = "IPv4"
    /// Address and route.
    case ipv6 = "IPv6"
  }

  /// The exit status for this: 127 not found, 126 not executable, 125 all others, as `env` and `timeout`.
  public var code: Int32 {
    switch self {
    case .commandNotFound: 127
    case .executionRefused(_, let errno): errno == ENOENT ? 127 : 126
    case .commandNotExecutable: 126
    case .resourcesRefused, .userNamespaceRefused, .identityRefused, .networkNamespaceRefused,
      .namespaceUnavailable, .namespaceRefused, .link, .noLink, .settingRefused, .capabilitiesRefused,
      .timedOut, .died, .keeperKilled:
      125
    }
  }
}

extension LaunchError: CustomStringConvertible {
  /// What was refused, and what to do about it.
  public var description: String {
    switch self {
    case .commandNotFound(let name):
      return "\(name): not found. Give a path, or check PATH."
    case .commandNotExecutable(let path, let errno):
      return "\(path): \(reason(errno)). Is it a program, with its x permission set?"
    case .executionRefused(let path, let errno):
      return "\(path) was not executed: \(reason(errno)). "
        + (errno == ENOENT
          ? "Its interpreter (first line, or dynamic loader) is missing." : "Run it by itself to see.")
    case .resourcesRefused(let errno):
      return "no process or socket for the command: \(reason(errno)). Look at `ulimit -u` and `ulimit -n`."
    case .userNamespaceRefused(let errno):
      return "no user namespace: \(reason(errno)). " + Self.userNamespaceAdvice(errno)
    case .identityRefused(let errno):
      return "the user namespace was made, but its id maps were refused: \(reason(errno)). "
        + (Self.setting("kernel/apparmor_restrict_unprivileged_userns") == 1
          ? Self.appArmorAdvice
          : "Is /proc mounted and writable, and is there a sandbox (AppArmor, SELinux, seccomp) around this shell?")
    case .networkNamespaceRefused(let errno):
      return "no network namespace: \(reason(errno)). " + Self.networkNamespaceAdvice(errno)
    case .namespaceUnavailable(let path, let isUser, let errno):
      return "no \(isUser ? "user" : "network") namespace at \(path): \(reason(errno)). "
        + Self.namespaceAdvice(errno)
    case .namespaceRefused(let path, let isUser, let errno):
      return "\(isUser ? "the user namespace of \(path)" : path) may not be entered: \(reason(errno)). "
        + "It must belong to you (its user namespace was made by your user), or you must be root over it."
    case .link(let error):
      return error.description
    case .noLink(let tap, let veth):
      return "neither a TAP nor a veth pair.\n  TAP: \(tap)\n  veth: \(veth)"
    case .settingRefused(let setting, let errno):
      return "the command's network could not be set up (\(setting.rawValue)): \(reason(errno)). "
        + "A sandbox may take CAP_NET_ADMIN away even inside a namespace; try outside of it."
    case .capabilitiesRefused(let errno):
      return "the command cannot get its capabilities (ambient NET_BIND_SERVICE, NET_RAW, NET_ADMIN): "
        + "\(reason(errno)). A sandbox may forbid them, or the kernel is older than Linux 4.3."
    case .timedOut(let step):
      return "gave up waiting for: \(step). The command was killed; try again, or with `--link veth`."
    case .died(let step, let status):
      return
        "the command's process died during: \(step) (status \(status.code)). Was it killed, for memory perhaps?"
    case .keeperKilled:
      return "the process sluice-keeper was killed, and the command with it."
    }
  }

  private static let appArmorAdvice =
    "AppArmor restricts user namespaces here (Ubuntu): `sudo sysctl -w "
    + "kernel.apparmor_restrict_unprivileged_userns=0`, or give this program a profile with `userns,`; or run as root."

  private static func userNamespaceAdvice(_ errno: Int32) -> String {
    if errno == ENOSPC || setting("user/max_user_namespaces") == 0 {
      let limit = setting("user/max_user_namespaces").map { "\($0)" } ?? "unknown"
      return "user.max_user_namespaces is \(limit): `sudo sysctl -w user.max_user_namespaces=15000`. "
        + "(Namespaces nest 32 deep at most.)"
    }
    if setting("kernel/unprivileged_userns_clone") == 0 {
      return
        "They are for root only here: `sudo sysctl -w kernel.unprivileged_userns_clone=1`, or run as root."
    }
    if setting("kernel/apparmor_restrict_unprivileged_userns") == 1 { return appArmorAdvice }
    if errno == EINVAL || errno == ENOSYS { return "The kernel has none (CONFIG_USER_NS)." }
    return "A container's seccomp filter, or a chroot, forbids them: for Docker and Podman "
      + "`--security-opt seccomp=unconfined`; or run outside of it."
  }

  private static func namespaceAdvice(_ errno: Int32) -> String {
    switch errno {
    case ENOENT: "Has the process ended? `lsns -t net` shows the namespaces of processes."
    case EACCES, EPERM: "The process is another user's, or changed its user id; root may."
    case EALREADY: "It is this process's own: say a process, or a path, of the other network."
    case EINVAL, ENOTTY: "There is something else there: a namespace is a file such as /proc/PID/ns/net."
    default: "`lsns -t net` shows the namespaces of processes."
    }
  }

  private static func networkNamespaceAdvice(_ errno: Int32) -> String {
    if errno == ENOSPC {
      let limit = setting("user/max_net_namespaces").map { "\($0)" } ?? "unknown"
      return "user.max_net_namespaces is \(limit): `sudo sysctl -w user.max_net_namespaces=15000`."
    }
    if errno == EINVAL { return "The kernel has none (CONFIG_NET_NS)." }
    if setting("kernel/apparmor_restrict_unprivileged_userns") == 1 { return appArmorAdvice }
    return "A sandbox takes CAP_SYS_ADMIN away even inside a user namespace; try outside of it."
  }

  /// A number below /proc/sys.
  private static func setting(_ name: String) -> Int? {
    guard let file = unsafe fopen("/proc/sys/" + name, "re") else { return nil }
    defer { unsafe fclose(file) }
    var digits = ""
    while case let byte = unsafe fgetc(file), (Int32(48)...57).contains(byte) {
      digits.unicodeScalars.append(Unicode.Scalar(UInt8(byte)))
    }
    return Int(digits)
  }
}
