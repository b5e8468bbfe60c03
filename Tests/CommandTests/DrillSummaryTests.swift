import Drill
import Foundation
import Testing

@testable import SluiceCommand

@Suite struct DrillSummaryTests {
  private let failed = DrillReport(
    outcome: .failed(
      DrillFailure(
        line: 7, reason: "ack: expected 2, sent 1", expected: "> . 1:1(0) ack 2", actual: "a\nb",
        context: ["c"])),
    log: ["c", "d"], warnings: [DrillFailure(line: 3, reason: "late")])

  @Test func eachOutcomeHasItsLine() {
    let passed = DrillReport(outcome: .passed, log: ["x"], warnings: [])
    let skipped = DrillReport(outcome: .skipped("line 2: no"), log: [], warnings: [])
    #expect(DrillSummary.text("a.pkt", passed, isVerbose: false) == ["PASS a.pkt"])
    #expect(DrillSummary.text("a.pkt", passed, isVerbose: true) == ["  x", "PASS a.pkt"])
    #expect(DrillSummary.text("a.pkt", skipped, isVerbose: false) == ["SKIP a.pkt: line 2: no"])
    #expect(
      DrillSummary.text("a.pkt", failed, isVerbose: false) == [
        "WARN a.pkt:3: late", "FAIL a.pkt:7: ack: expected 2, sent 1", "  expected  > . 1:1(0) ack 2",
        "  actual    a\n            b", "  before:", "    c",
      ])
  }

  @Test func outcomesAreCounted() {
    var summary = DrillSummary(isJSON: true, isVerbose: false)
    summary.add("a", failed)
    summary.add("b", DrillReport(outcome: .passed, log: [], warnings: []))
    summary.add("c", DrillReport(outcome: .skipped("x"), log: [], warnings: []))
    summary.add("d", DrillReport(outcome: .skipped("x"), log: [], warnings: []))
    #expect(summary.passed == 1 && summary.failed == 1 && summary.skipped == 2)
  }

  @Test func theJSONIsJSON() throws {
    let text = "{\"a\": \(DrillSummary.quoted("q\"\\\n\t\u{1}é"))}"
    let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: String]
    #expect(object?["a"] == "q\"\\\n\t\u{1}é")
  }

  @Test func foldersAreSearchedForScripts() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "drill-\(UUID())")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(
      at: folder.appending(path: "b/c"), withIntermediateDirectories: true)
    for name in ["z.pkt", "b/a.pkt", "b/c/x.pkt", "b/readme.md", "b/.hidden.pkt"] {
      try Data("# \(name)".utf8).write(to: folder.appending(path: name))
    }
    let root = folder.path
    #expect(try ScriptFiles.find([root]) == ["\(root)/b/a.pkt", "\(root)/b/c/x.pkt", "\(root)/z.pkt"])
    #expect(
      try ScriptFiles.find(["\(root)/b/readme.md"]) == ["\(root)/b/readme.md"], "what is named is meant")
    #expect(try ScriptFiles.read("\(root)/z.pkt") == Array("# z.pkt".utf8))
    #expect(throws: Failure.self) { try ScriptFiles.find(["\(root)/none"]) }
    #expect(throws: Failure.self) { try ScriptFiles.read("\(root)/none") }
  }
}
