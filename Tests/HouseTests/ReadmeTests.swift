import Foundation
import Testing

@Suite("The README")
struct ReadmeTests {
  private func lines(_ path: String) throws -> [String] {
    try String(contentsOf: House.packageRoot.appendingPathComponent(path), encoding: .utf8)
      .split(separator: "\n").map(String.init)
  }

  @Test("promises the two commands that CI runs, the tests last")
  func commands() throws {
    let first = "swift run -c release sluice run -- curl -s http://10.0.2.2/"
    let readme = try lines("README.md")
    let checks = try lines(".ci/run")
    #expect(readme.contains(first) && readme.contains("swift test"))
    #expect(checks.contains { $0.contains(first) })
    #expect(checks.last == "swift test")
  }

  @Test("has sanitizers leave out what are tests, by the name that they have")
  func leftOut() throws {
    let mark = "unthreaded=\""
    let line = try #require(try lines(".ci/run").first { $0.hasPrefix(mark) })
    let names = line.dropFirst(mark.count).dropLast().split(separator: " ").map(String.init)
    let tests = try House.current.get().description.targets.filter(\.isTest).map(\.name)
    #expect(!names.isEmpty && Set(names).count == names.count && Set(names).isStrictSubset(of: tests))
  }

  @Test("maps every target that is not a test")
  func map() throws {
    let readme = try lines("README.md")
    let targets = try House.current.get().description.targets.filter { !$0.isTest }
    for target in targets {
      #expect(readme.contains { $0.hasPrefix("| `\(target.name)` |") }, "\(target.name) is not in the map")
    }
    #expect(!targets.isEmpty)
  }
}
