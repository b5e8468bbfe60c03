import Forwarding
import LinuxDevices

/// What `sluice run` and `sluice gateway` give up before they serve anybody, as Documentation/Security.md tells.
enum Sandbox {
  /// Gives everything up. Before the stack and any task is made, and after what needs a file is open.
  ///
  /// - Parameters:
  ///   - signalled: the one process that is sent signals; nil: none.
  ///   - keepsLowPorts: ports below 1024 of this host are to be listened on afterwards.
  ///   - keepsPaths: sockets are to be reached by their paths afterwards. Then there are files, which can be read.
  static func enter(
    signalled: Int32?, keepsLowPorts: Bool, keepsPaths: Bool, isQuiet: Bool, isVerbose: Bool
  ) {
    // Read while there are files.
    _ = HostResolvers.ofThisHost
    OpenDescriptors.prepare()
    var request = Confinement.Request()
    request.signalled = signalled
    request.keepsLowPorts = keepsLowPorts
    request.files = !keepsPaths
    let report = Confinement.enter(request)
    // A container may forbid namespaces: then there are files, and the filter lets none be written.
    if let refusals = report.refusals, isVerbose || report.privileges != 0 || report.calls != 0, !isQuiet {
      complain("the sandbox is not whole (\(refusals)).")
    }
  }
}
