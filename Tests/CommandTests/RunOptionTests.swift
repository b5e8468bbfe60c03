import Sluice
import Testing

@testable import SluiceCommand

@Suite struct RunOptionTests {
  private func run(_ arguments: String...) throws -> RunCommand {
    try RunCommand.parse(arguments + ["--", "true"])
  }
  private func refusal(_ arguments: String...) -> String {
    do {
      _ = try RunCommand.parse(arguments + ["--", "true"])
      return ""
    } catch {
      return RunCommand.message(for: error)
    }
  }

  @Test func forwardsAddUp() throws {
    let options = try run("-p", "8080:80", "--publish", "127.0.0.1:9000-9001:90-91/tcp")
    #expect(
      try options.serving.forwards().map(\.description) == [
        "8080:80", "127.0.0.1:9000:90", "127.0.0.1:9001:91",
      ])
    #expect(refusal("-p", "53:53/sctp").contains("only tcp and udp are"))
    #expect(refusal("-p", "http:80").contains("no port"))
    #expect(refusal("-p", "80:80", "--publish-limit", "0").contains("1 to 16000"))
  }

  @Test func settingsReachTheStack() throws {
    func configuration(_ settings: String...) throws -> StackConfiguration {
      var configuration = StackConfiguration()
      let arguments = settings.flatMap { ["--sysctl", $0] } + ["--", "true"]
      _ = try RunCommand.parse(arguments).serving.set(&configuration)
      return configuration
    }
    let usual = try configuration()
    #expect(usual.sockets.tcp.congestionNotification == .accept && usual.sockets.tcp.timestamps)
    let changed = try configuration(
      "net.ipv4.tcp_ecn=1", "net/ipv4/tcp_timestamps=0", "net.ipv4.tcp_fastopen=3",
      "net.ipv4.tcp_congestion_control=reno", "net.ipv4.tcp_syncookies=0")
    let tcp = changed.sockets.tcp
    #expect(tcp.congestionNotification == .request && !tcp.timestamps && tcp.congestionControl == .newReno)
    #expect(tcp.fastOpen.contains([.client, .server]))
    #expect(changed.sockets.synOverflow == .drop)
    // What nobody named is as before.
    #expect(tcp.slowStartExit == usual.sockets.tcp.slowStartExit && tcp.windowScaling)
    #expect(tcp.probesWithData == usual.sockets.tcp.probesWithData)
    #expect(tcp.requiresTimestamps == usual.sockets.tcp.requiresTimestamps)
    #expect(tcp.synAttempts == usual.sockets.tcp.synAttempts)
  }

  @Test func keysOfFastOpenAreHandedOn() throws {
    var configuration = StackConfiguration()
    let keys = try run("--sysctl", "net.ipv4.tcp_fastopen_key=00000001-00000002-00000003-00000004")
      .serving.set(&configuration)
    #expect(keys.cookies != nil)
    #expect(try run().serving.set(&configuration).cookies == nil)
  }

  @Test(arguments: [
    ("net.ipv4.tcp_ecn", "name=value"), ("=1", "name=value"), ("net.ipv4.tcp_ecn=7", "0 to 5"),
    ("net.ipv4.tcp_no_such=1", "not known"), ("net.ipv4.tcp_sack=yes", "no number"),
    ("net.ipv4.tcp_rmem=1 2 3", "whole stack"), ("net.ipv4.ip_forward=1", "whole stack"),
    ("net.ipv4.tcp_congestion_control=vegas", "vegas"),
  ])
  func whatCannotBeSetIsRefused(_ setting: String, _ words: String) {
    #expect(refusal("--sysctl", setting).contains(words))
  }

  @Test func usageErrorsNameTheCommandThatWasAsked() {
    #expect(SluiceCommand.name(of: ["sim", "--seeds", "x"]) == "sluice sim")
    #expect(SluiceCommand.name(of: ["run", "sim"]) == "sluice run")
    #expect(SluiceCommand.name(of: ["nonsense"]) == "sluice" && SluiceCommand.name(of: []) == "sluice")
  }
}
