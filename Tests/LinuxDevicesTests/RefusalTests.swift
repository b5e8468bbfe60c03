import CLinux
import Glibc
import Testing
import Wire

@testable import LinuxDevices

@Suite("Refusals say what to do")
struct RefusalTests {
  private func refusal(
    link: LinkChoice, network: IsolatedNetwork = IsolatedNetwork(), command: [String] = ["true"]
  ) -> LaunchError? {
    do throws(LaunchError) {
      _ = try IsolatedCommand.launch(command, network: network, link: link)
      return nil
    } catch {
      return error
    }
  }

  @Test func aTunDeviceThatIsNotThere() {
    var network = IsolatedNetwork()
    network.tunPath = "/nonexistent/tun"
    let error = refusal(link: .tap, network: network)
    #expect(error == .link(.tunUnavailable(path: "/nonexistent/tun", mode: nil, errno: ENOENT)))
    #expect(error?.description.contains("modprobe tun") == true)
    #expect(error?.description.contains("--link veth") == true)
    #expect(error?.code == 125)
  }

  @Test func aTunDeviceThatIsNone() {
    var network = IsolatedNetwork()
    network.tunPath = "/dev/null"
    #expect(refusal(link: .tap, network: network) == .link(.tapRefused(path: "/dev/null", errno: ENOTTY)))
  }

  @Test func withoutATunDeviceThereIsAVethPair() throws {
    var network = IsolatedNetwork()
    network.tunPath = "/nonexistent/tun"
    let command = try IsolatedCommand.launch(["true"], network: network)
    #expect(command.link == .veth)
    #expect(command.tapRefusal == .tunUnavailable(path: "/nonexistent/tun", mode: nil, errno: ENOENT))
    command.start()
    #expect(try command.wait() == .exited(0))
  }

  @Test func theModeAndTheRuleAreNamed() {
    let text = LinkError.tunUnavailable(path: "/dev/net/tun", mode: 0o600, errno: EACCES).description
    #expect(text.contains("mode 0600"))
    #expect(text.contains(#"KERNEL=="tun", MODE="0666""#))
    #expect(text.contains("--link veth"))
  }

  @Test func aSetUpThatTakesTooLongIsKilled() {
    var network = IsolatedNetwork()
    network.deadlineMilliseconds = 0
    guard case .timedOut = refusal(link: .automatic, network: network) else {
      Issue.record("no time at all, and yet set up")
      return
    }
  }

  @Test func numbersAndNamesOutOfRange() {
    var network = IsolatedNetwork()
    network.mtu = 65_521
    #expect(
      refusal(link: .veth, network: network) == .link(.mtuOutOfRange(65_521, limit: TapDevice.largestMTU)))
    network.mtu = 1500
    network.interface = "far-too-long-a-name"
    #expect(refusal(link: .veth, network: network) == .link(.nameOutOfRange("far-too-long-a-name")))
  }

  @Test func theLargestAndTheSmallestMTU() throws {
    for (largest, hasIPv6) in [(TapDevice.largestMTU, true), (1280, true), (576, false)] {
      for link in [LinkChoice.automatic, .veth] {
        // Whether there is a TAP is not known: what both carry.
        let mtu = min(largest, PacketSocketDevice.largestMTU)
        var network = IsolatedNetwork()
        network.mtu = mtu
        let command = try IsolatedCommand.launch(
          ["sh", "-c", "test $(cat /sys/class/net/sluice0/mtu 2>/dev/null || echo \(mtu)) = \(mtu)"],
          network: network, link: link)
        #expect(command.hasIPv6 == hasIPv6)
        #expect(command.device.mtu == mtu)
      }
    }
  }

  /// Every step has an error of its own, with words of its own.
  @Test func everyStepIsToldApart() {
    let stages = [
      sluice_stage_start, sluice_stage_user_namespace, sluice_stage_identity, sluice_stage_network_namespace,
      sluice_stage_loopback, sluice_stage_tun_open, sluice_stage_tun_attach, sluice_stage_veth,
      sluice_stage_packet_socket, sluice_stage_offloads, sluice_stage_interface, sluice_stage_ipv4,
      sluice_stage_ipv6, sluice_stage_capabilities, sluice_stage_execute,
    ]
    let errors = stages.map { stage in
      var report = sluice_launch_report()
      report.stage = stage
      report.error = EPERM
      return LaunchReport(report: report, path: "/bin/true", tunPath: "/dev/net/tun").error
    }
    #expect(Set(errors).count == stages.count)
    #expect(Set(errors.map(\.description)).count == stages.count)
    for error in errors { #expect(error.description.count > 40) }
  }

  @Test func bothRefusalsOfTheAutomaticChoice() {
    var report = sluice_launch_report()
    report.stage = sluice_stage_veth
    report.error = EOPNOTSUPP
    report.tap_stage = sluice_stage_tun_open
    report.tap_error = ENOENT
    let error = LaunchReport(report: report, path: "/bin/true", tunPath: "/nonexistent").error
    #expect(
      error
        == .noLink(
          tap: .tunUnavailable(path: "/nonexistent", mode: nil, errno: ENOENT),
          veth: .vethRefused(errno: EOPNOTSUPP)))
    #expect(error.description.contains("modprobe veth"))
  }

  @Test func namespacesThatAreUsedUp() {
    let error = LaunchError.userNamespaceRefused(errno: ENOSPC)
    #expect(error.description.contains("sysctl -w user.max_user_namespaces="))
    #expect(LaunchError.networkNamespaceRefused(errno: ENOSPC).description.contains("max_net_namespaces"))
  }
}
