import Testing
import Timing

@testable import Simulation

/// Networks and applications that are broken on purpose: each must show, or the runs that pass mean nothing.
@Suite("What is broken shows")
struct BrokenNetworkTests {
  private func run(
    _ name: String = "delay-20", _ workload: Workload = .upload, _ adjust: (inout Profile) -> Void = { _ in },
    _ break: (Run) -> Void = { _ in }
  ) throws -> RunResult {
    var profile = try #require(Profile.named(name))
    profile.bytes = 64 << 10
    adjust(&profile)
    var options = RunOptions()
    options.traceLimit = 50
    let run = Run(profile, seed: 1, options)
    `break`(run)
    return run.run()
  }

  @Test("whole networks pass")
  func whole() throws {
    #expect(try run().failure == nil)
  }

  @Test("bytes that are changed behind the checksum's back are not what was sent")
  func changedBytes() throws {
    let result = try run(
      "delay-20", .upload, { _ in },
      { run in run.assembly.network.pipes[0].mutator = FrameMutator(seed: 1, share: 0.2, only: [.payload]) })
    #expect(result.failure?.contains("is not what was sent") == true, "\(result.failure ?? "passed")")
    #expect(!result.trace.isEmpty && !result.states.isEmpty)
  }

  @Test("a link that is cut for good is a run that is stuck")
  func cutForGood() throws {
    let result = try run("delay-20", .upload) { profile in
      profile.timeline = { _ in [(.milliseconds(30), .cut)] }
      profile.limit = .seconds(120)
    }
    #expect(result.failure?.hasPrefix("stuck") == true, "\(result.failure ?? "passed")")
  }

  @Test("a black hole that nobody fills is a run that is stuck")
  func blackHole() throws {
    let result = try run("mtu-blackhole", .upload) { profile in
      profile.timeline = { _ in [(.zero, .mute), (.milliseconds(45), .mtu(400))] }
      profile.limit = .seconds(60)
    }
    #expect(result.failure != nil)
  }

  @Test("segments become as small as a black hole takes, in a few seconds")
  func blackHoleIsFound() throws {
    let result = try run("mtu-blackhole", .upload) { profile in
      profile.timeline = { _ in [(.zero, .mute), (.milliseconds(45), .mtu(1280))] }
      profile.limit = .seconds(10)
    }
    #expect(result.failure == nil)
  }

  @Test("a connection that somebody keeps is a leak")
  func keptConnection() throws {
    var kept: Endpoint?
    var socketKept: Any?
    let result = try run(
      "delay-20", .upload, { _ in },
      { run in
        run.observer = {
          kept = kept ?? run.traffic.sessions.first?.endpoints.first
          socketKept = socketKept ?? kept?.socket
        }
      })
    #expect(socketKept != nil)
    #expect(result.failure?.contains("connections") == true, "\(result.failure ?? "passed")")
  }

  @Test("a stream that ends early, or late, is not what the script says")
  func wrongLength() throws {
    for change in [-1, 1] {
      let result = try run(
        "delay-20", .upload, { _ in }, { $0.traffic.sessions.first?.shiftExpectation(by: change) })
      #expect(result.failure != nil)
    }
  }

  @Test("a wake-up that helps nobody is counted")
  func uselessWakeup() throws {
    let result = try run(
      "delay-20", .upload, { _ in },
      { run in
        run.assembly.network.hosts[0].stack?.sockets.wakeAccount.counters.wasted.increment()
      })
    #expect(result.failure?.contains("SB-EXACT") == true, "\(result.failure ?? "passed")")
  }

  @Test("memory that an attack may not take is refused by name")
  func memoryBound() throws {
    let result = try run("fuzz", .upload, { _ in }, { $0.packetBound = 1 })
    #expect(result.failure?.contains("memory") == true, "\(result.failure ?? "passed")")
  }
}
