import CLinux

/// What the launcher's C side says about a failure, in the terms of the errors.
struct LaunchReport {
  let report: sluice_launch_report
  let path: String
  let tunPath: String

  /// The failure as an error.
  var error: LaunchError {
    if report.timed_out != 0 { return .timedOut(step: step) }
    if report.error == 0 {
      return .died(step: step, CommandStatus(waitStatus: report.status))
    }
    let errno = report.error
    switch report.stage {
    case sluice_stage_user_namespace: return .userNamespaceRefused(errno: errno)
    case sluice_stage_identity: return .identityRefused(errno: errno)
    case sluice_stage_network_namespace: return .networkNamespaceRefused(errno: errno)
    case sluice_stage_loopback: return .settingRefused(.loopback, errno: errno)
    case sluice_stage_interface: return .settingRefused(.interface, errno: errno)
    case sluice_stage_ipv4: return .settingRefused(.ipv4, errno: errno)
    case sluice_stage_ipv6: return .settingRefused(.ipv6, errno: errno)
    case sluice_stage_join_user: return .namespaceRefused(path: path, isUser: true, errno: errno)
    case sluice_stage_join_network: return .namespaceRefused(path: path, isUser: false, errno: errno)
    case sluice_stage_capabilities: return .capabilitiesRefused(errno: errno)
    case sluice_stage_execute: return .executionRefused(path: path, errno: errno)
    case sluice_stage_tun_open, sluice_stage_tun_attach, sluice_stage_veth, sluice_stage_packet_socket,
      sluice_stage_offloads:
      let refused = link(report.stage, errno)
      return tapRefusal.map { .noLink(tap: $0, veth: refused) } ?? .link(refused)
    default: return .resourcesRefused(errno: errno)
    }
  }

  /// Why the automatic choice did not take a TAP.
  var tapRefusal: LinkError? {
    report.tap_error == 0 ? nil : link(report.tap_stage, report.tap_error)
  }

  private func link(_ stage: sluice_launch_stage, _ errno: Int32) -> LinkError {
    switch stage {
    case sluice_stage_tun_open: return .tun(path: tunPath, wasOpened: false, errno: errno)
    case sluice_stage_tun_attach: return .tun(path: tunPath, wasOpened: true, errno: errno)
    case sluice_stage_packet_socket: return .packetSocketRefused(errno: errno)
    case sluice_stage_offloads: return .offloadsRefused(errno: errno)
    default: return .vethRefused(errno: errno)
    }
  }

  private var step: String {
    switch report.stage {
    case sluice_stage_start: "starting a process"
    case sluice_stage_user_namespace: "making a user namespace"
    case sluice_stage_identity: "writing the id maps"
    case sluice_stage_network_namespace: "making a network namespace"
    case sluice_stage_tun_open: "opening a TAP"
    case sluice_stage_veth: "making a veth pair"
    case sluice_stage_interface: "setting up the interface"
    default: "handing over the link"
    }
  }
}

extension LinkError {
  /// A refusal of the TUN device, with its permission bits as they are now.
  static func tun(path: String, wasOpened: Bool, errno: Int32) -> LinkError {
    if wasOpened { return .tapRefused(path: path, errno: errno) }
    let mode = unsafe sluice_file_mode(path)
    return .tunUnavailable(path: path, mode: mode < 0 ? nil : Int(mode), errno: errno)
  }
}
