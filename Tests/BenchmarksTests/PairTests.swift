import Benchmarks
import Testing

@Suite("Benchmarks of a pair")
struct PairTests {
  private func run(_ name: String, count: Int) throws -> [String: Double] {
    let benchmark = try #require(Benchmark.all.first { $0.name == name })
    var options = BenchmarkOptions()
    options.count = count
    let samples = try benchmark.round(options)
    return Dictionary(uniqueKeysWithValues: samples.map { ($0.name, $0.value) })
  }

  @Test("run their work, and give everything back", arguments: ["pair-rr", "pair-crr"])
  func run(_ name: String) throws {
    let samples = try run(name, count: 10)
    #expect(Set(samples.keys) == [name, "\(name).per-processor"])
    #expect(samples.values.allSatisfy { $0 > 0 })
  }

  @Test("run so on threads of their own", arguments: ["pair-rr-split", "scale"])
  func threads(_ name: String) throws {
    let samples = try run(name, count: 20)
    #expect(!samples.isEmpty && samples.values.allSatisfy { $0 > 0 })
  }

  @Test("send full segments")
  func segments() throws {
    let samples = try run("pair-bulk", count: 100)
    #expect(try #require(samples["pair-bulk.fill"]) > 0.9)
    let joined = try run("pair-bulk-gso", count: 1000)
    #expect(try #require(joined["pair-bulk-gso.fill"]) > 0.9)
    #expect(try #require(joined["pair-bulk-gso.segments-per-frame"]) > 8)
  }
}

@Suite("Idle connections")
struct IdleTests {
  @Test("are counted, and leave nothing behind")
  func idle() throws {
    let benchmark = try #require(Benchmark.all.first { $0.name == "idle-million" })
    var options = BenchmarkOptions()
    options.count = 10
    options.connections = 100
    let samples = try benchmark.round(options)
    let timers = try #require(samples.first { $0.name == "idle-million.timers" })
    #expect(timers.value == 0, "an idle connection has nothing to do")
    #expect(samples.contains { $0.name == "idle-million.each" })
  }
}

@Suite("Results")
struct ResultTests {
  @Test("have names that are there once, and begin with the benchmark's")
  func names() {
    let names = Benchmark.all.map(\.name)
    #expect(Set(names).count == names.count)
    #expect(Benchmark.all.contains { $0.isQuick })
  }
}
