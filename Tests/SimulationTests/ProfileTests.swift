import Testing

@testable import Simulation

@Suite("Profiles")
struct ProfileTests {
  /// What a test can afford in a debug build.
  static let bytes = 64 << 10

  @Test("two seeds of every profile: every byte arrives, and everything is back", arguments: Profile.all)
  func everyProfile(_ profile: Profile) {
    var options = RunOptions()
    options.bytes = Self.bytes
    for seed in 1...2 as ClosedRange<UInt64> {
      let result = Simulation.run(profile, seed: seed, options)
      #expect(result.failure == nil, "\(profile.name) seed \(seed): \(result.states)")
      #expect(result.bytes > 0 && result.frameEvents > 20, "\(profile.name) seed \(seed) did nothing")
    }
  }

  @Test(
    "every workload, both ways through a link that loses, doubles and disorders; segments in IP, and in UDP",
    arguments: [false, true])
  func everyWorkload(encapsulates: Bool) throws {
    let profile = try #require(Profile.named("loss-3"))
    for workload in Workload.allCases {
      var options = RunOptions()
      options.bytes = Self.bytes
      options.workload = workload
      options.encapsulates = encapsulates
      let result = Simulation.run(profile, seed: encapsulates ? 6 : 5, options)
      #expect(result.failure == nil, "\(workload): \(result.states)")
      #expect(result.workload == workload && result.bytes > 0)
    }
  }

  @Test(
    "segments in UDP: every byte arrives through losses, narrow paths, crashes and attacks",
    arguments: [
      "delay-20", "loss-3", "reorder-strong", "duplicate", "corrupt", "mtu-change", "mtu-blackhole",
      "crash-restart", "chaos", "fuzz",
    ])
  func encapsulated(_ name: String) throws {
    let profile = try #require(Profile.named(name))
    var options = RunOptions()
    options.bytes = Self.bytes
    options.encapsulates = true
    options.traceLimit = 200
    for seed in 1...2 as ClosedRange<UInt64> {
      let result = Simulation.run(profile, seed: seed, options)
      #expect(result.failure == nil, "\(name) seed \(seed): \(result.states)")
      #expect(result.bytes > 0 && result.trace.contains { $0.isEncapsulated }, "\(name) seed \(seed)")
    }
  }

  @Test("the same seed is the same run, another one is not", arguments: ["chaos", "wifi", "fuzz", "lan"])
  func determinism(_ name: String) throws {
    let profile = try #require(Profile.named(name))
    var options = RunOptions()
    options.bytes = Self.bytes
    options.traceLimit = 100_000
    let (first, again, other) = (
      Simulation.run(profile, seed: 3, options), Simulation.run(profile, seed: 3, options),
      Simulation.run(profile, seed: 4, options)
    )
    #expect(first.json == again.json)
    #expect(first.trace.map(\.text) == again.trace.map(\.text))
    #expect(first.trace.count > 20)
    #expect(first.fingerprint != other.fingerprint)
  }

  @Test("names are different, and every profile says what it is for")
  func names() {
    #expect(Set(Profile.all.map(\.name)).count == Profile.all.count)
    #expect(Profile.all.count >= 25)
    for profile in Profile.all {
      #expect(profile.purpose.count > 10)
      #expect(Profile.named(profile.name)?.name == profile.name)
    }
  }
}
