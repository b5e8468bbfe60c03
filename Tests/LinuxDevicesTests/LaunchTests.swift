import Glibc
import LinuxDevices
import Testing

@Suite("A command in a network of its own")
struct LaunchTests {
  /// Runs a shell script to its end.
  static func run(
    _ script: String, link: LinkChoice = .automatic, network: IsolatedNetwork = IsolatedNetwork()
  ) throws(LaunchError) -> CommandStatus {
    let command = try IsolatedCommand.launch(["sh", "-c", script], network: network, link: link)
    command.start()
    return try command.wait()
  }

  @Test func exitStatusPassesThrough() throws {
    #expect(try Self.run("exit 0") == .exited(0))
    #expect(try Self.run("exit 7") == .exited(7))
    #expect(try Self.run("kill -9 $$") == .signaled(9))
    #expect(CommandStatus.signaled(9).code == 137)
  }

  @Test(arguments: [LinkChoice.automatic, .veth])
  func theCommandFindsItsNetwork(link: LinkChoice) throws {
    // The gateway 10.0.2.2 and the address fd00:2::100, usable at once, as /proc tells them.
    let script = """
      grep -q '^sluice0.00000000.0202000A' /proc/net/route || exit 1
      grep -Eq '^fd000002000000000000000000000100 [0-9a-f]+ 40 00 82 +sluice0' /proc/net/if_inet6 || exit 2
      grep -q '^00000000000000000000000000000000 00 .* fd000002000000000000000000000002 .*sluice0' \
        /proc/net/ipv6_route || exit 3
      test "$(cat /sys/class/net/lo/flags 2>/dev/null || echo 0x9)" = 0x9 || exit 4
      """
    let command = try IsolatedCommand.launch(["sh", "-c", script], link: link)
    command.start()
    #expect(try command.wait() == .exited(0))
    #expect(command.hasIPv6)
    #expect(command.device.mtu == 1500)
  }

  @Test func theCommandKeepsItsUserAndHasItsNetwork() throws {
    // NET_BIND_SERVICE, NET_ADMIN and NET_RAW are ambient.
    let script = """
      test "$(id -u)" = \(geteuid()) || exit 1
      test "$(id -g)" = \(getegid()) || exit 2
      grep -q '^CapAmb:.0000000000003400' /proc/self/status || exit 3
      """
    #expect(try Self.run(script) == .exited(0))
  }

  @Test func theCommandHasItsOwnSignals() throws {
    // Nothing blocked, nothing ignored, whatever the keeper needs.
    let script = "grep -q '^SigBlk:.0000000000000000' /proc/self/status || exit 1"
    #expect(try Self.run(script) == .exited(0))
  }

  @Test func commandsAreFoundAsAShellFindsThem() throws {
    let folder = "/tmp/sluice-test-\(getpid())-\(UInt64.random(in: 0..<(.max)))"
    unsafe mkdir(folder, 0o755)
    defer { for name in ["plain", "bare", "lost", ""] { unsafe remove(folder + "/" + name) } }
    func write(_ name: String, _ text: String, mode: mode_t) -> String {
      let path = folder + "/" + name
      let file = unsafe open(path, O_CREAT | O_WRONLY | O_CLOEXEC, mode)
      _ = unsafe Glibc.write(file, text, text.utf8.count)
      close(file)
      return path
    }
    let plain = write("plain", "not a program", mode: 0o644)
    let bare = write("bare", "exit $1", mode: 0o755)
    let lost = write("lost", "#!/nonexistent/interpreter\n", mode: 0o755)

    #expect(throws: LaunchError.commandNotFound("no-such-program")) {
      try IsolatedCommand.launch(["no-such-program"])
    }
    #expect(throws: LaunchError.commandNotExecutable(plain, errno: EACCES)) {
      try IsolatedCommand.launch([plain])
    }
    // Without an interpreter line the shell runs it, as execvp does.
    let script = try IsolatedCommand.launch([bare, "5"])
    script.start()
    #expect(try script.wait() == .exited(5))
    let orphan = try IsolatedCommand.launch([lost])
    orphan.start()
    let refusal = #expect(throws: LaunchError.self) { try orphan.wait() }
    #expect(refusal == .executionRefused(path: lost, errno: ENOENT))
    #expect(refusal?.code == 127)
  }

  @Test func signalsReachTheCommand() throws {
    let signpost = Signpost()
    let script = "\(signpost.open9); trap 'exit 9' TERM; echo ready >&9; sleep 1000 & wait"
    let command = try IsolatedCommand.launch(["sh", "-c", script])
    command.start()
    #expect(signpost.waitFor("ready"))
    command.send(signal: SIGTERM)
    #expect(try command.wait() == .exited(9))
  }

  @Test func whatTheCommandLeavesBehindIsKilled() throws {
    let signpost = Signpost()
    // Sessions of their own, parents that end before their children: only a subreaper finds them all.
    let script = """
      \(signpost.open9)
      setsid sleep 1000 &
      (sleep 1000 &)
      setsid sh -c 'trap "" TERM HUP; sleep 1000 & echo deep >&9; sleep 1000' &
      read line < \(signpost.path).reply
      exit 5
      """
    unsafe mkfifo(signpost.path + ".reply", 0o600)
    defer { unsafe unlink(signpost.path + ".reply") }
    let command = try IsolatedCommand.launch(["sh", "-c", script])
    command.start()
    #expect(signpost.waitFor("deep"))
    let reply = unsafe open(signpost.path + ".reply", O_WRONLY | O_CLOEXEC)
    close(reply)
    #expect(try command.wait() == .exited(5))
    #expect(signpost.waitForEnd())
  }

  @Test func aCommandThatIsDroppedIsKilled() throws {
    let signpost = Signpost()
    do {
      let command = try IsolatedCommand.launch(["sh", "-c", "\(signpost.open9); echo up >&9; sleep 1000"])
      command.start()
      #expect(signpost.waitFor("up"))
      #expect(command.processIdentifier > 0)
    }
    #expect(signpost.waitForEnd())
    // One that was never started, too: it returns here only when it is gone.
    _ = try IsolatedCommand.launch(["sleep", "1000"])
  }

  @Test func manyLaunchesAtOnce() async throws {
    try await withThrowingTaskGroup(of: CommandStatus.self) { group in
      for code in 0..<16 {
        group.addTask { try Self.run("exit \(code)", link: code % 2 == 0 ? .automatic : .veth) }
      }
      var codes: Set<Int32> = []
      for try await status in group { codes.insert(status.code) }
      #expect(codes == Set(0..<16))
    }
  }
}

@Suite("Launches from a process of its own")
struct LaunchProcessTests {
  /// The same place for the test and for the process that it starts.
  static func place(_ test: String, _ process: Int32) -> String { "/tmp/sluice-\(test)-\(process)" }

  @Test func aCrashOfTheCallerKillsAll() async {
    let signpost = Signpost(path: Self.place("crash", getpid()))
    await #expect(processExitsWith: .signal(SIGKILL)) {
      let place = LaunchProcessTests.place("crash", getppid())
      let ready = Signpost(path: place + ".ready")
      let command = try IsolatedCommand.launch([
        "sh", "-c", "\(signpost9(place)); (setsid sleep 1000 &); echo up > \(ready.path); sleep 1000",
      ])
      command.start()
      guard ready.waitFor("up") else { return }
      ready.remove()
      kill(getpid(), SIGKILL)
    }
    #expect(signpost.waitForEnd())
  }

  @Test func signalsToTheCallerAreForwarded() async {
    await #expect(processExitsWith: .exitCode(9)) {
      guard let signals = CommandSignals() else { exit(1) }
      let ready = Signpost()
      let command = try IsolatedCommand.launch([
        "sh", "-c", "trap 'exit 9' TERM; echo up > \(ready.path); sleep 1000 & wait",
      ])
      command.start()
      guard ready.waitFor("up") else { exit(2) }
      ready.remove()
      kill(getpid(), SIGTERM)
      exit(try command.wait(forwarding: signals).code)
    }
  }

  @Test func theDeathOfTheKeeperKillsTheCommand() async {
    let signpost = Signpost(path: Self.place("keeper", getpid()))
    await #expect(processExitsWith: .exitCode(0)) {
      let place = LaunchProcessTests.place("keeper", getppid())
      let ready = Signpost(path: place + ".ready")
      // The keeper is the command's parent.
      let command = try IsolatedCommand.launch([
        "sh", "-c", "\(signpost9(place)); echo up > \(ready.path); kill -9 $PPID; exec sleep 1000",
      ])
      command.start()
      guard ready.waitFor("up") else { exit(2) }
      ready.remove()
      let refusal = #expect(throws: LaunchError.self) { try command.wait() }
      exit(refusal == .keeperKilled ? 0 : 3)
    }
    #expect(signpost.waitForEnd())
  }

  @Test(.enabled(if: getuid() == 0, "only root can become somebody else"))
  func anOrdinaryUserNeedsNoPrivilege() async {
    await #expect(processExitsWith: .exitCode(0)) {
      _ = setgroups(0, nil)
      guard setgid(65534) == 0, setuid(65534) == 0 else { exit(2) }
      let command = try IsolatedCommand.launch(["sh", "-c", "test $(id -u):$(id -g) = 65534:65534"])
      command.start()
      exit(try command.wait().code)
    }
  }
}

/// What a shell says to open the pipe at `place` as descriptor 9.
func signpost9(_ place: String) -> String { "exec 9>\(place)" }
