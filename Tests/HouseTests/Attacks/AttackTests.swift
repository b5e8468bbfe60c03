import Foundation
import Testing

@Suite("What a guest cannot do")
struct AttackTests {
  @Test("is shown, row by row, with counters that there are")
  func complete() throws {
    let page = House.packageRoot.appendingPathComponent("Documentation/Security.md")
    let table = try AttackTable(String(contentsOf: page, encoding: .utf8))
    let complaints = table.complaints(try AttackTable.Known(House.current.get()))
    #expect(complaints.isEmpty, "\(complaints.joined(separator: "\n"))")
    // Fewer, and the check has gone blind.
    #expect(table.rows.count >= 50)
    #expect(table.rows.count { $0.proofs.contains(AttackTable.script) } >= 40)
  }

  private static let head =
    "| what a guest tried | what it got | what moved | shown by |\n|---|---|---|---|\n"
  private static let known = AttackTable.Known(
    tests: ["GuardTests.dropped"], counters: ["forged", "switch.rogue"], attacks: ["a lie"])

  @Test(
    "is complained of where it is not",
    arguments: [
      ("| a lie | nothing | `forged` | `hostile.py`, `GuardTests.dropped` |", 0),
      ("| a lie | nothing | `switch.rogue` | `hostile.py` |\n| peace | it | | `hostile.py` |", 0),
      ("| a lie | nothing | `forged` | `hostile.py`, `GuardTests.gone` |", 1),
      ("| a lie | nothing | `forgery` | `hostile.py` |", 1),
      ("| a lie | nothing | `forged` | `hostile.py` |\n| another | nothing | `forged` | |", 1),
      ("| another | nothing | `forged` | `hostile.py` |", 2),
      ("| a lie | nothing | `forged` | `GuardTests.dropped` |", 1),
    ])
  func complaints(rows: String, count: Int) throws {
    let table = try AttackTable("before\n\n" + Self.head + rows + "\n\nafter | it |\n")
    #expect(table.complaints(Self.known).count == count, "\(table.complaints(Self.known))")
  }

  @Test("is read from the sources")
  func sources() throws {
    #expect(throws: HouseError.self) { try AttackTable("| what a guest tried |\n") }
    #expect(throws: HouseError.self) { try AttackTable(Self.head + "| one | two |\n") }
    let swift =
      "@Suite(.timeLimit(.minutes(2))) struct A {\n  @Test func b() {}\n}\nextension C {\n  @Test(x) func d(e: F) {\n"
    #expect(AttackTable.Known.tests(swift) == ["A.b", "C.d"])
    #expect(AttackTable.Known.groups("document[\"dhcp\"] = 1\n$0[\"pool\"] = 2") == ["dhcp.pool"])
    let script =
      "x\nATTACKS = [\n    (\"one, two\", \"c\", [f], 1, \"\"),\n        (\"no\", 1)],\n]\n    (\"no\", 1)\n"
    #expect(AttackTable.Known.attacks(script) == ["one, two"])
  }
}
