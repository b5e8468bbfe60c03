import Sluice
import Testing

@testable import SluiceCommand

/// TCP in UDP by `--sysctl`.
@Suite struct EncapsulationSettingTests {
  private func set(_ settings: String...) -> TCPEncapsulation?? {
    var configuration = StackConfiguration()
    guard (try? SysctlSettings(settings).set(&configuration)) != nil else { return .none }
    return .some(configuration.sockets.encapsulation)
  }

  /// The two settings of FreeBSD's make a stack's, the port first; others of its are none of a whole stack.
  @Test func theSettingsAreAStacks() {
    let (port, overhead) = ("net.inet.tcp.udp_tunneling_port", "net.inet.tcp.udp_tunneling_overhead")
    #expect(set("\(port)=9899") == .some(TCPEncapsulation(port: 9899, overhead: 8)))
    #expect(set("\(port)=9899", "\(overhead)=40") == .some(TCPEncapsulation(port: 9899, overhead: 40)))
    #expect(set("\(port)=9899", "\(port)=0") == .some(.none))
    for refused in ["\(port)=65536", "\(port)=-1", "\(overhead)=40", "net.inet.tcp.sack.enable=0"] {
      #expect(set(refused) == .none, "\(refused)")
    }
    for refused in ["\(overhead)=7", "\(overhead)=1025"] {
      #expect(set("\(port)=9899", refused) == .none, "\(refused)")
    }
  }
}
