import CLinux
import Glibc

/// What this process gives up once it has what it needs: so that whoever took it over through what it serves would have
/// nothing. Documentation/Security.md tells what is left.
public enum Confinement {
  /// What to give up.
  public struct Request: Sendable, Hashable {
    /// Files: an empty mount namespace.
    public var files = true
    /// Privileges that the process has or could get: every capability, set-user-ID programs.
    public var privileges = true
    /// System calls but those that a running gateway makes.
    public var calls = true
    /// Keeps CAP_NET_BIND_SERVICE, if it is there: for ports below 1024 that are forwarded later.
    public var keepsLowPorts = false
    /// The one process that may be sent signals; nil: none.
    public var signalled: Int32?

    /// Everything.
    public init() {}
  }

  /// What was refused, as errnos; 0: it is given up, or was not asked for.
  public struct Report: Sendable, Hashable {
    /// Of ``Request/files``. A sandbox around us may forbid it, which is no danger: the rest does not depend on it.
    public var files: Int32 = 0
    /// Of ``Request/privileges``.
    public var privileges: Int32 = 0
    /// Of ``Request/calls``: a kernel without seccomp.
    public var calls: Int32 = 0

    /// Whether everything is given up that was to be.
    public var isWhole: Bool { files == 0 && privileges == 0 && calls == 0 }
    /// What is not, in words; nil: all is.
    public var refusals: String? {
      let named = [("files", files), ("privileges", privileges), ("system calls", calls)]
      let refused = named.filter { $0.1 != 0 }
      if refused.isEmpty { return nil }
      return refused.map { "\($0.0): \(unsafe String(cString: strerror($0.1)))" }.joined(separator: "; ")
    }
  }

  /// Gives up what `request` says, for good. Once, in a process with one thread, which has open what it will need: from then
  /// on it makes threads, sockets and memory, and writes no file.
  public static func enter(_ request: Request = Request()) -> Report {
    var report = Report()
    if request.files { report.files = max(0, -sluice_confine_files()) }
    if request.privileges {
      let kept: UInt64 = request.keepsLowPorts ? 1 << 10 : 0  // CAP_NET_BIND_SERVICE
      report.privileges = max(0, -sluice_confine_privileges(kept))
    }
    if request.calls { report.calls = max(0, -sluice_confine_calls(request.signalled ?? 0)) }
    return report
  }
}
