import Testing
import Timing

@testable import Drill

@Suite struct CommandEffectTests {
  private func effects(_ text: String) -> [CommandEffect] { ShellCommand(text, line: 1).effects }

  private func setting(_ name: String, _ value: String) -> CommandEffect {
    .setting(name: name, value: value, isDefault: false)
  }

  @Test func wordsAreCutAsTheShellDoes() {
    #expect(
      shellSteps("a 'b c' \"d\" e\\ f # no\ng>h 2>&1; i || j | k && l") == [
        ShellStep(link: .after, words: ["a", "b c", "d", "e f"]), ShellStep(link: .after, words: ["g"]),
        ShellStep(link: .after, words: ["i"]), ShellStep(link: .orElse, words: ["j"]),
        ShellStep(link: .pipe, words: ["k"]), ShellStep(link: .after, words: ["l"]),
      ])
    #expect(shellSteps(" ;\n&& ") == [])
    #expect(shellSteps("a 'b") == [ShellStep(link: .after, words: ["a", "b"])])
  }

  @Test func settingsAreFoundInEachSpelling() {
    #expect(effects("sysctl -q -w net.ipv4.tcp_sack=0") == [setting("net.ipv4.tcp_sack", "0")])
    #expect(
      effects("sysctl -q net/ipv4/tcp_sack=0 net.ipv4.a=1") == [
        setting("net.ipv4.tcp_sack", "0"), setting("net.ipv4.a", "1"),
      ])
    #expect(
      effects("../x/set_sysctls.py /proc/sys/net/ipv4/tcp_wmem=\"1 2 3\" \\\n /proc/sys/net/ipv4/b=1") == [
        setting("net.ipv4.tcp_wmem", "1 2 3"), setting("net.ipv4.b", "1"),
      ])
    #expect(effects("tc qdisc replace dev tun0 root fq") == [setting("net.core.default_qdisc", "fq")])
    #expect(effects("echo 0 > /proc/sys/net/ipv4/c") == [setting("net.ipv4.c", "0")])
    #expect(effects("echo 0 > /sys/module/tcp_cubic/parameters/d") == [setting("module.tcp_cubic.d", "0")])
    #expect(
      effects("ip route change 192.0.2.1 via 192.168.0.1 dev tun0 advmss 900 mtu lock 1000 initcwnd 5") == [
        setting("route.advmss", "900"), setting("route.mtu", "1000"), setting("route.initcwnd", "5"),
      ])
  }

  @Test func defaultsAreGooglesAndMarkedAsSuch() {
    let defaults = effects("../../common/defaults.sh")
    #expect(defaults.count > 15)
    #expect(defaults.contains(.setting(name: "net.ipv4.tcp_sack", value: "1", isDefault: true)))
    #expect(defaults.allSatisfy { if case .setting(_, _, true) = $0 { true } else { false } })
  }

  @Test func timePassesFilesAreMadeAndConnectionsCounted() {
    #expect(effects("sleep 1.5") == [.sleep(.milliseconds(1500))])
    #expect(
      effects("dd bs=3 count=5 if=/dev/zero of=/tmp/f status=none") == [.file(path: "/tmp/f", size: 15)])
    #expect(
      effects("sockstat -s -P tcp -p 8080 | grep 'packetdril' | awk '{print $8}' | grep 'CLOSED'") == [
        .exists(state: 7)
      ])
    #expect(
      effects("sockstat -4 -P tcp -s | grep packetdril | grep -c TIME_WAIT | grep 1") == [
        .count(state: 6, expected: 1)
      ])
    #expect(effects("nstat > /dev/null") == [.countAnew])
    #expect(effects("nstat | grep TcpRetransSegs > /dev/null") == [.counted("TcpRetransSegs", times: nil)])
    #expect(
      effects("nstat -s | grep TcpInErrs| grep -q \" 2 \"") == [.counted("TcpInErrs", times: 2)])
    #expect(effects("ss -4 -n state SYN-RECV | grep 192.168.0.1:8080") == [.exists(state: 3)])
    #expect(effects("ss -4 -n | grep :8080 | grep 192.168.0.1:8080 > /dev/null") == [.exists(state: 1)])
    #expect(
      effects("sysctl -q a.b=\"4096 $((15*1024)) $((2 * (3 + 4)))\"")
        == [.setting(name: "a.b", value: "4096 15360 14", isDefault: false)])
    #expect(effects("ip tcp_metrics flush all > /dev/null 2>&1") == [.forgetPeers])
    #expect(
      effects("grep \" 0A \" /proc/net/tcp /proc/net/tcp6 | grep \":1F90\"") == [.exists(state: 10)])
  }

  @Test(arguments: [
    "tc qdisc add dev tun0 root pfifo", "ip tcp_metrics show", "ethtool -K tun0 tso off",
    "tcpdrop -s TIME_WAIT", "/tmp/sysctl_restore_${PPID}.sh", "rm -f x",
  ])
  func whatHasNoPartHereDoesNothing(command: String) {
    #expect(effects(command) == [.harmless(shellSteps(command)[0].words.joined(separator: " "))])
  }

  @Test func setkeyHasSecrets() {
    let both = """
      echo 'add 192.168.0.1 192.0.2.1 tcp 0x1000 -A tcp-md5 "secret" ;
      add 192.0.2.1 192.168.0.1 tcp 0x1001 -A tcp-md5 "other" ;' | setkey -c
      """
    #expect(
      effects(both) == [
        .signatureKey(peer: "192.0.2.1", secret: "secret"),
        .signatureKey(peer: "192.168.0.1", secret: "other"),
      ])
    #expect(effects("setkey -F") == [.forgetSignatureKeys])
  }

  @Test(arguments: [
    "nstat | grep X", "setkey -D", "echo 'add a b' | setkey -c", "sysctl -n net.ipv4.tcp_sack",
    "dd if=/dev/urandom of=x", "sleep",
    "sleep x", "ip netns",
    "grep 0A /etc/passwd | grep :1F90", "grep XX /proc/net/tcp | grep :1F90",
    "sockstat | grep -c NONSENSE | grep 1", "sleep 1e300", "tc qdisc add dev tun0 root pfifo limit 0",
    "dd if=/dev/zero of=x bs=1048575 count=1048575",
  ])
  func whatIsNotUnderstoodIsNotPassedOver(command: String) {
    guard case .unsupported? = effects(command).last else {
      Issue.record("\(effects(command))")
      return
    }
  }

  @Test func anAlternativeIsForWhatFailed() {
    #expect(effects("sysctl -q a=1 || sysctl -q b=1") == [setting("a", "1")])
    #expect(effects("frobnicate || sysctl -q b=1") == [setting("b", "1")])
    // What only some kernels have.
    #expect(effects("sysctl -q net.ipv4.tcp_fastopen_cookies=0 || sysctl -q b=1") == [setting("b", "1")])
  }
}
