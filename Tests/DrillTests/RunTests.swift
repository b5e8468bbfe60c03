import Foundation
import Testing
import Timing
import Wire

@testable import Drill

@Suite struct RunTests {
  /// A connection that a server has: what stands before each of these scripts.
  static let accepted = """
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
    +0 bind(3, ..., ...) = 0
    +0 listen(3, 1) = 0
    +0 < S 0:0(0) win 65535 <mss 1000>
    +0 > S. 0:0(0) ack 1 <mss 1460>
    +.1 < . 1:1(0) ack 1 win 65535
    +0 accept(3, ..., ...) = 4

    """

  private func run(_ text: String, _ overriding: [ScriptOption] = []) -> DrillReport {
    Drill.run(Array(text.utf8), overriding: overriding)
  }

  private func outcome(_ rest: String, options: String = "") -> DrillOutcome {
    run(options + Self.accepted + rest).outcome
  }

  /// The line, counted in what follows the connection, where a script fails, and why.
  private func failure(_ rest: String) -> (line: Int, reason: String)? {
    guard case .failed(let failure) = outcome(rest) else { return nil }
    return (failure.line - 7, failure.reason)
  }

  @Test(arguments: ScriptFolder.files)
  func scriptsOfOurOwnPass(file: ScriptFolder.File) {
    let report = Drill.run(file.bytes)
    #expect(report.outcome == .passed, "\(report.log.joined(separator: "\n"))")
  }

  @Test func thereAreScripts() { #expect(ScriptFolder.files.count >= 15) }

  // MARK: Segments

  @Test func aSegmentMayComeInPieces() {
    let write = "+0 write(4, ..., 2500) = 2500\n"
    #expect(outcome(write + "+0 > P. 1:2501(2500) ack 1") == .passed)
    #expect(outcome(write + "+0 > . 1:1001(1000) ack 1\n+0 > P. 1001:2501(1500) ack 1") == .passed)
    #expect(
      failure(write + "+0 > P. 1:1501(1500) ack 1")?.reason.contains("payload: expected 1500, sent 2000")
        == true)
    #expect(
      failure(write + "+0 > . 1:2501(2500) ack 1")?.reason.contains("flags: expected ., sent P.") == true)
    #expect(failure(write + "+0 > P. 1:3501(3500) ack 1")?.reason == "the next segment is not adjacent")
    guard case .failed = outcome(write + "+0 > P. 1:2501(2500) ack 1", options: "--strict_segments\n") else {
      Issue.record("pieces pass for one packet")
      return
    }
  }

  /// As one, or as one that was joined.
  @Test(arguments: ["", "--mss=1000\n"]) func aSegmentLargerThanPacketsArrivesWhole(options: String) {
    #expect(
      outcome(
        "+0 < P. 1:8001(8000) ack 1 win 65535\n+0 > . 1:1(0) ack 8001\n+0 read(4, ..., 9000) = 8000",
        options: options) == .passed)
  }

  // MARK: Time

  @Test func packetsHaveATime() {
    let write = "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n"
    // The retransmission timer: a smoothed round trip of 100 ms and four deviations of 50.
    #expect(outcome(write + "+.3 > P. 1:11(10) ack 1") == .passed)
    #expect(outcome(write + "+.25~+.35 > P. 1:11(10) ack 1") == .passed)
    #expect(outcome(write + "0.35~0.45 > P. 1:11(10) ack 1") == .passed)
    #expect(outcome(write + "* > P. 1:11(10) ack 1") == .passed)
    #expect(
      failure(write + "+.2 > P. 1:11(10) ack 1")?.reason == "time: expected at 0.300000, sent at 0.400000")
    #expect(
      failure(write + "+.4 > P. 1:11(10) ack 1")?.reason == "time: expected at 0.500000, sent at 0.400000")
    #expect(
      failure(write + "+.1~+.2 > P. 1:11(10) ack 1")?.reason
        == "time: expected from 0.200000 to 0.300000, sent at 0.400000")
  }

  @Test func toleranceIsTheLargerOfAShareAndASpan() {
    let write = "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n"
    // 12.5 % of 0.27 s are 34 ms; of 0.26 s, 32.5.
    #expect(outcome(write + "+.27 > P. 1:11(10) ack 1") == .passed)
    #expect(failure(write + "+.26 > P. 1:11(10) ack 1") != nil)
    #expect(outcome(write + "+.26 > P. 1:11(10) ack 1", options: "--tolerance_usecs=40001\n") == .passed)
    let strict = [ScriptOption(name: "tolerance_percent", value: "1")]
    guard case .failed = run(Self.accepted + write + "+.29 > P. 1:11(10) ack 1", strict).outcome else {
      Issue.record("the command line goes before the default")
      return
    }
  }

  @Test func timeDoesNotGoBackward() {
    #expect(
      failure("0.2 write(4, ..., 1) = 1\n0.1 > P. 1:2(1) ack 1")?.reason.contains("time goes backward")
        == true)
  }

  @Test func nothingIsWaitedForForEver() {
    #expect(failure("+0 > P. 1:2(1) ack 1")?.reason.hasPrefix("no packet was sent up to") == true)
    #expect(failure("* > P. 1:2(1) ack 1")?.reason.hasPrefix("no packet was sent up to") == true)
    #expect(failure("+0 read(4, ..., 1) = 1")?.reason == "the call waits, and the script does not say so")
    #expect(failure("+0...0.2 read(4, ..., 1) = 1\n+.1 < . 1:1(0) ack 1 win 1")?.line == 1)
  }

  @Test func callsThatBlockEndWhenTheScriptSays() {
    func read(_ end: String) -> DrillOutcome {
      outcome("+0...\(end) read(4, ..., 10) = 1\n+.2 < P. 1:2(1) ack 1 win 65535\n+0~+.1 > . 1:1(0) ack 2")
    }
    #expect(read("0.2") == .passed)
    for wrong in ["0.1", "0.3"] {
      guard case .failed(let failure) = read(wrong) else {
        Issue.record("\(wrong) passes")
        continue
      }
      #expect(failure.reason.contains("returned at 0.300000") && failure.line == 8)
    }
  }

  @Test func aCommandMaySleep() {
    #expect(outcome("+0 `sleep 0.5`\n0.6 write(4, ..., 1) = 1\n+0 > P. 1:2(1) ack 1") == .passed)
    #expect(
      failure("+0 `sleep 0.5`\n0.5 write(4, ..., 1) = 1")?.reason.contains("is due at 0.500000") == true)
  }

  @Test func packetsThatFollowEachOtherCountFromEachOther() {
    // The first is 3 ms late, which is tolerated; the second is not later for that.
    let report = run(
      Self.accepted + "0.2 `sleep 0.003`\n0.2 < . 1:1(0) ack 1 win 9\n+.01 < . 1:1(0) ack 1 win 8")
    #expect(report.outcome == .passed)
    #expect(report.log.suffix(2) == ["0.203000 < . 1:1(0) ack 1 win 9", "0.210000 < . 1:1(0) ack 1 win 8"])
  }

  // MARK: Calls and code

  @Test func payloadsAreWhatWasWritten() {
    #expect(
      failure("+0 write(4, \"abc\", 10) = 10\n+0 > P. 1:11(10) ack 1")?.reason
        == "the payload is not what was written")
    // In the first of three pieces.
    #expect(
      failure("+0 write(4, \"abc\", 2500) = 2500\n+0 > P. 1:2501(2500) ack 1")?.reason
        == "the payload is not what was written")
  }

  @Test func connectionsAreCounted() {
    let one = "+0 `sockstat -4 -P tcp -s | grep -c LISTEN | grep 1`"
    #expect(outcome(one) == .passed)
    #expect(failure(one + "\n+0 close(3) = 0\n" + one)?.reason == "0 connections are in state 10")
  }

  @Test func whatIsLeftBehindIsAFailure() {
    #expect(Drill.closed(.passed, leaving: [], line: 3) == .passed)
    #expect(Drill.closed(.skipped("x"), leaving: ["1 packets"], line: 3) == .skipped("x"))
    #expect(
      Drill.closed(.passed, leaving: ["1 packets", "a timer"], line: 3)
        == .failed(
          DrillFailure(line: 3, reason: "the stack is left with 1 packets, a timer after the script")))
  }

  @Test(arguments: [
    ("+0 write(4, ..., 10) = 11", "write: expected 11, got 10"),
    ("+0 write(4, ..., 10) = -1 EPIPE", "write: expected -1 EPIPE, got 10"),
    ("+0 write(9, ..., 10) = -1 EPIPE", "write: expected EPIPE, got EBADF"),
    ("+0 getsockopt(4, SOL_TCP, TCP_NODELAY, [1], [4]) = 0", "getsockopt: the option: expected 1, got 0"),
    (
      "+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLIN}], 1, 0) = 1",
      "poll: revents: expected POLLIN, got 4"
    ),
    ("+0 fcntl(4, F_GETFL) = 0x802", "fcntl: expected 2050, got 2"),
    ("+0 bind(3) = 0", "bind: bind wants more than 1 arguments"),
    (
      "+0 %{ assert tcpi_state == TCP_CLOSE, 'it is %d' % tcpi_state }%",
      "assertion failed: tcpi_state == TCP_CLOSE: it is 1"
    ),
  ])
  func whatCallsAndCodeTellIsCompared(event: String, reason: String) {
    #expect(failure(event)?.reason == reason)
  }

  @Test(arguments: [
    ("+0 frobnicate(4) = 0", "line 8: frobnicate: the system call frobnicate"),
    ("+0 setsockopt(4, SOL_TCP, TCP_NOSUCH, [1], 4) = 0", "line 8: setsockopt: the constant TCP_NOSUCH"),
    ("+0 `frobnicate --all`", "line 8: command: frobnicate --all"),
    ("+0 %{ for x in y: pass }%", "line 8: code: the statement 'for'"),
    ("+0 %{ assert tcpi_nosuch == 1 }%", "line 8: code: tcpi_nosuch has no value"),
    ("+0 < gre: udp (1)", "line 8: packets inside of other headers"),
    ("+0 > . 1:1(0) ack NOBODY", "line 8: NOBODY is not defined; --define NOBODY=VALUE does"),
    ("+0 < icmp unreachable nonsense [1:1(0)]", "line 8: ICMP code nonsense"),
    ("+0 write(9, ..., 1) = -1 ENOSUCH", "line 8: write: the error ENOSUCH"),
  ])
  func whatIsNotSupportedIsSkippedWithItsReason(event: String, reason: String) {
    switch outcome(event) {
    case .skipped(let why): #expect(why == reason)
    case .passed, .failed: Issue.record("\(outcome(event))")
    }
  }

  @Test func fastOpenIsSkippedWhereTheStackHasNone() {
    var settings = HostSettings()
    guard case .unsupported = settings.apply(sysctl: "net.ipv4.tcp_fastopen", value: "0x70403") else {
      return
    }
    let script = "`defaults.sh`\n0 < S 0:0(0) win 1 <mss 1000,FO 0102030405060708,nop,nop>"
    #expect(run(script).outcome == .skipped("line 2: TCP fast open"))
  }

  @Test func optionsThatNobodyKnowsAreSkipped() {
    #expect(outcome("", options: "--nosuch=1\n") == .skipped("there is no option --nosuch=1"))
    #expect(
      outcome("", options: "--ip_version=ipv5\n") == .skipped("the option --ip_version=ipv5 makes no sense"))
    #expect(outcome("", options: "--wire_client\n") == .skipped("the option --wire_client is not supported"))
    #expect(
      outcome("", options: "--local_ip=fd00::1\n")
        == .skipped("the address fd00::1 is not one of --ip_version=ipv4"))
  }

  @Test func whatIsNotFatalIsNoted() {
    let text = Self.accepted + "+0 write(4, ..., 10) = 11\n+0 > P. 1:12(11) ack 1\n"
    let report = run("--non_fatal=packet,syscall\n" + text)
    #expect(report.outcome == .passed && report.warnings.count == 2)
    #expect(report.warnings.map(\.line) == [9, 10])
    guard case .failed(let failure) = run("--non_fatal=packet\n" + text).outcome else {
      Issue.record("a call is fatal")
      return
    }
    #expect(failure.line == 9)
  }

  @Test func aFailureShowsWhatCameBefore() {
    guard case .failed(let failure) = outcome("+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 2") else {
      Issue.record("ack 2 passes")
      return
    }
    #expect(failure.expected == "> P. 1:11(10) ack 2")
    #expect(failure.actual?.hasPrefix("0.100000 > P. 1:11(10) ack 1 win") == true)
    #expect(failure.context.contains("0.100000 write = 10"))
    #expect(failure.context.last?.hasPrefix("0.100000 > P. 1:11(10) ack 1") == true)
  }

  // MARK: Dialects

  @Test func theDialectIsWhatTheScriptLooksLike() throws {
    #expect(try Script("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3").personality == .linux)
    #expect(try Script("0 > S 0:0(0) <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 6>").personality == .linux)
    #expect(try Script("0 `sysctl -q net.ipv4.tcp_sack=1`").personality == .linux)
    for text in [
      "0 `sysctl -w net.inet.tcp.sack.enable=1`", "0 `kldload tcp_rack`",
      "0 setsockopt(3, IPPROTO_TCP, TCP_FUNCTION_BLK, ..., 4) = 0",
      "--udp_encapsulation=tcp\n0 a() = 0", "`sockstat`\n0 a() = 0",
      "0 > S 0:0(0) <mss 1460,nop,wscale 6,sackOK,TS val 1 ecr 0>", "0 > S. 0:0(0) <mss 1460,sackOK,eol,eol>",
    ] { #expect(try Script(text).personality == .bsd) }
  }

  /// What a script expects tells of its machine where nothing else does, unless that is not wanted.
  @Test func theMachineIsWhatTheScriptExpects() throws {
    let scale = "0 > S 0:0(0) <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 6>"
    #expect(try Script(scale).scaleOfItsMachine == 6)
    #expect(try Script("0 `sysctl -q net.ipv4.tcp_rmem=\"1 2 3\"`\n" + scale).scaleOfItsMachine == nil)
    #expect(try Script("`../defaults.sh`\n" + scale).scaleOfItsMachine == nil)
    let syn = "0 < S 0:0(0) win 1000 <mss 1000>\n"
    #expect(try Script(syn + "0 > . 1:10001(10000) ack 1").pushesBursts == false)
    #expect(try Script(syn + "0 > P. 1:10001(10000) ack 1\n0 > . 10001:30001(20000) ack 1").pushesBursts)
    #expect(try !Script(syn + "0 > P. 1:2001(2000) ack 1\n0 > . 2001:12001(10000) ack 1").pushesBursts)
    #expect(try Script(syn + "0 > . 1:2001(2000) ack 1\n0 > P. 2001:12001(10000) ack 1").pushesBursts)
    #expect(try Script("0 > . 1:1(0) ack 1 win 1026").expectsEarlierBSD)
    #expect(try !Script("0 < . 1:2(1) ack 1 win 9\n0 > . 1:1(0) ack 2 win 1026").expectsEarlierBSD)
    #expect(try !Script("0 > . 1:1(0) ack 1 win 1027").expectsEarlierBSD)
    #expect(try Script("0 < S. 0:0(0) ack 0 win 9 <mss 1>\n0 > R 0:0(0) win 0").expectsEarlierBSD)
    #expect(try !Script("0 < . 0:0(0) ack 0 win 9\n0 > R 0:0(0) win 0").expectsEarlierBSD)
    #expect(run("0 > udplite(1000, 0)").outcome == .skipped("line 1: UDP-Lite"))
    #expect(run("0 < sctp: COOKIE_ACK[flgs=0]").outcome == .skipped("line 1: SCTP"))
    #expect(try Script("0 `sysctl -q net.ipv4.tcp_ecn=3`").hasAccurateFeedback)
    #expect(try !Script("0 `sysctl -q net.ipv4.tcp_ecn=2`").hasAccurateFeedback)
  }

  /// A comment that names the suite of FreeBSD 11 says whose script it is, and whose timers.
  @Test func theSuiteThatAScriptIsOfTellsItsMachine() {
    let script = """
      // Source: https://github.com/freebsd-net/TCP-IP-Regression-TestSuite
      0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
      +0 bind(3, ..., ...) = 0
      +0 listen(3, 1) = 0
      +0 < S 0:0(0) win 65535 <mss 1460>
      +0 > S. 0:0(0) ack 1 <mss 1460>
      +3 > S. 0:0(0) ack 1 <mss 1460>
      """
    #expect(run(script).outcome == .passed)
    guard case .failed = run("--given_machine\n" + script).outcome else {
      Issue.record("the host's own timers are those of FreeBSD 11")
      return
    }
  }

  // MARK: Mutations

  /// A script that passes, with one thing in it wrong, must fail: for every packet that the stack is expected to send,
  /// each of its fields; for every call, its result; for every assertion, its opposite. Of each script a third of them,
  /// another third of another's, and of each packet one flag and one option to leave out; SLUICE_MUTANTS=all takes all,
  /// which is a minute of work.
  @Test(arguments: ScriptFolder.files)
  func oneThingWrongIsNoticed(file: ScriptFolder.File) throws {
    let script = try Script(parsing: file.bytes, definitions: ["FreeBSD": "1"])
    let takesAll = ProcessInfo.processInfo.environment["SLUICE_MUTANTS"] == "all"
    let step = takesAll ? 1 : 3
    var count = file.bytes.count % 3
    for index in script.events.indices {
      for (what, event) in wrong(script.events[index], takesAll ? nil : file.bytes.count + index) {
        count += 1
        guard count % step == 0 else { continue }
        var mutant = script
        mutant.events[index] = event
        // What is expected wrongly must not make the machine another one.
        let outcome = Drill.run(mutant, overriding: [ScriptOption(name: "given_machine")]).outcome
        if case .failed = outcome { continue }
        Issue.record("\(file.name):\(script.events[index].line): \(what): \(outcome) with \(event)")
      }
    }
    #expect(count >= 4)
  }

  /// What may be wrong in an event. With a `turn`, of things that are looked at alike the one whose turn it is.
  private func wrong(_ event: ScriptEvent, _ turn: Int?) -> [(String, ScriptEvent)] {
    var mutants: [(String, ScriptEvent)] = []
    func add(_ what: String, _ action: EventAction) {
      var mutant = event
      mutant.action = action
      mutants.append((what, mutant))
    }
    switch event.action {
    case .packet(let packet):
      guard packet.direction == .outbound, let segment = packet.segment else { return [] }
      func addSegment(_ what: String, _ change: (inout SegmentDescription) -> Void) {
        var changed = segment
        change(&changed)
        var other = packet
        other.content = .tcp(changed)
        add(what, .packet(other))
      }
      let flags = [(TCPFlag.fin, "FIN"), (.rst, "RST"), (.psh, "PSH"), (.urg, "URG"), (.ece, "ECE")]
      for (place, (flag, name)) in flags.enumerated() where turn.map({ $0 % flags.count == place }) ?? true {
        addSegment(name) { $0.flags.formSymmetricDifference(flag.flags) }
      }
      // The first SYN gives the local numbers their names: another name is as good.
      if !segment.flags.contains(.syn) { addSegment("seq") { $0.sequence.start &+= 1 } }
      addSegment("payload") { $0.sequence.length += 1 }
      if segment.flags.contains(.ack) {
        addSegment("ack") { $0.acknowledgment = ($0.acknowledgment ?? 0) &+ 1 }
      }
      addSegment("win") { $0.window = 12345 }
      if let options = segment.options {
        // Not padding alone, which with BSD's habits may lie where it likes.
        addSegment("an option more") { $0.options = options + [.noOperation, .noOperation, .sackPermitted] }
        // Padding may lie where it likes, with BSD's habits.
        let places = options.indices.filter { options[$0] != .noOperation }
        for (number, place) in places.enumerated() where turn.map({ $0 % places.count == number }) ?? true {
          addSegment("an option less") { $0.options?.remove(at: place) }
        }
        for (place, option) in options.enumerated() {
          if let other = option.other { addSegment("another option") { $0.options?[place] = other } }
        }
      }
      // Late by more than what is tolerated.
      if case .relative(let time) = event.time {
        var mutant = event
        mutant.time = .relative(Nanoseconds(time.count * 2) + .milliseconds(50))
        mutants.append(("time", mutant))
      }
    case .call(let call):
      guard case .number(let result, _) = call.result,
        !(CallCheck.returnsDescriptor(call.name) && result >= 0)
      else { return [] }
      var other = call
      other.result = .integer(result + 1)
      add("result", .call(other))
      if call.errorName != nil {
        other = call
        other.errorName = "EDOM"
        add("error", .call(other))
      }
    case .code(let code):
      for (from, to) in [(" == ", " != "), (" < ", " > "), (" and ", " and not ")] where code.contains(from) {
        add("assertion", .code(code.replacing(from, with: to, maxReplacements: 1)))
      }
    case .shell: break
    }
    return mutants
  }

  private enum TCPFlag {
    case fin, rst, psh, urg, ece
    var flags: TCPFlags {
      switch self {
      case .fin: .fin
      case .rst: .rst
      case .psh: .psh
      case .urg: .urg
      case .ece: .ece
      }
    }
  }
}

extension OptionDescription {
  /// The same option with another value; nil if it has none that is compared.
  fileprivate var other: OptionDescription? {
    switch self {
    case .maximumSegmentSize(let size): .maximumSegmentSize(size + 1)
    case .windowScale(let shift): .windowScale(shift + 1)
    case .timestamps(let value, let echo): .timestamps(value: value, echo: echo + 1)
    case .sack(let blocks): .sack(blocks.map { SequencePair($0.left, $0.right + 1) })
    case .authentication(let key, let next, let code):
      .authentication(key: key, next: next ^ 1, code)
    case .noOperation, .endOfList, .sackPermitted, .fastOpen, .fastOpenExperimental, .md5, .md5Wrong,
      .accurateECN, .other:
      nil
    case .md5Valid: .md5Wrong
    }
  }
}
