import Benchmarks
import Testing

@testable import SluiceCommand

@Suite("Benchmarks beside earlier ones")
struct BaselineTests {
  private func result(_ name: String, _ value: Double, _ unit: BenchmarkSample.Unit) -> BenchmarkResult {
    BenchmarkResult.summary(of: [[BenchmarkSample(name, value, unit)]])[0]
  }

  @Test("are read as they were printed")
  func roundTrip() throws {
    let before = [result("bulk", 7.5e10, .bitsPerSecond), result("idle.each", 900, .bytes)]
    let baseline = try #require(Baseline(BenchText.json(before)))
    let same = baseline.compare(before, tolerance: 0)
    #expect(same.map(\.name) == ["bulk", "idle.each"])
    #expect(same.map(\.ratio) == [1, 1])
    #expect(same.allSatisfy { !$0.isWorse })
  }

  @Test("are worse where less is done, or more is taken, beyond what is tolerated")
  func worse() throws {
    let before = [
      result("rate", 100, .perSecond), result("time", 100, .seconds), result("share", 100, .ratio),
    ]
    let baseline = try #require(Baseline(BenchText.json(before)))
    func judge(_ rate: Double, _ time: Double) -> [Bool] {
      baseline.compare(
        [result("rate", rate, .perSecond), result("time", time, .seconds), result("share", 1, .ratio)],
        tolerance: 0.1
      ).map(\.isWorse)
    }
    #expect(judge(95, 105) == [false, false])
    #expect(judge(80, 105) == [true, false])
    #expect(judge(200, 120) == [false, true])
  }

  @Test("say so when there was nothing to compare with")
  func new() throws {
    let baseline = try #require(Baseline(BenchText.json([])))
    let all = baseline.compare([result("rate", 1, .perSecond)], tolerance: 0.1)
    #expect(all.count == 1 && all[0].ratio == nil && !all[0].isWorse)
  }

  @Test(
    "are refused when they are something else",
    arguments: [
      "", "{}", "{\"results\": [1]}", "{\"results\": []", "[[[[", "{\"results\": [{\"name\": \"x\"}]}",
    ])
  func refused(_ text: String) { #expect(Baseline(text) == nil) }
}

@Suite("JSON, read")
struct JSONReadingTests {
  @Test("is what was written")
  func roundTrip() throws {
    let text = JSON.object {
      $0["text"] = .text("a \"quoted\" \\ line\n\u{1}")
      $0["list"] = .array([.null, .bool(true), .real(-1.5e-3), .array([])])
    }.text
    #expect(try #require(JSON(parsing: text)).text == text)
  }

  @Test(
    "refuses what is none",
    arguments: [
      "", "nul", "[1,", "[1 2]", "{\"a\" 1}", "\"open", "\"\\x\"", "1 1", "[1],",
      String(repeating: "[", count: 100),
    ])
  func refused(_ text: String) { #expect(JSON(parsing: text) == nil) }
}
