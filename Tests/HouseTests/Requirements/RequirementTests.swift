import Foundation
import Testing

@Suite("The RFCs' rules")
struct RequirementTests {
  private static func files(_ folder: String, _ suffix: String) throws -> [(path: String, text: String)] {
    let root = House.packageRoot.appendingPathComponent(folder)
    let names = FileManager.default.enumerator(atPath: root.path)?.compactMap { $0 as? String } ?? []
    return try names.filter { $0.hasSuffix(suffix) }.sorted().map { name in
      ("\(folder)/\(name)", try String(contentsOf: root.appendingPathComponent(name), encoding: .utf8))
    }
  }

  private static func standards() throws -> [Standard] {
    try files(RulesPage.folder, ".rules").map { file in
      try Standard.parse(file.text, file: String(file.path.dropFirst(RulesPage.folder.count + 1)))
    }
  }

  private static func evidence() throws -> RequirementEvidence {
    var evidence = RequirementEvidence()
    for file in try files("Tests/Scripts", ".pkt") { evidence.collect(script: file.text, path: file.path) }
    let house = try House.current.get()
    for file in house.files where file.isSwift {
      if file.path.hasPrefix("Tests/") || file.path.hasPrefix("Sources/Simulation/Profiles/") {
        evidence.collect(source: file)
      }
    }
    return evidence
  }

  @Test("are all shown, or it is said why not")
  func complete() throws {
    let standards = try Self.standards()
    let complaints = RulesPage.complaints(standards, try Self.evidence())
    #expect(complaints.isEmpty, "\(complaints.joined(separator: "\n"))")
    // Fewer, and the check has gone blind.
    #expect(standards.flatMap(\.requirements).count >= 300)
  }

  @Test("are on the page, with what shows them")
  func page() throws {
    let page = RulesPage.render(try Self.standards(), try Self.evidence())
    let file = House.packageRoot.appendingPathComponent(RulesPage.path)
    if ProcessInfo.processInfo.environment[RulesPage.variable] != nil {
      try page.write(to: file, atomically: true, encoding: .utf8)
    }
    let committed = try String(contentsOf: file, encoding: .utf8)
    #expect(committed == page, "\(RulesPage.path) is out of date; make it again: \(RulesPage.command)")
  }

  // MARK: Bad copies

  private let good = """
    # A comment.
    RFC 17  Lost Property

    1.2-1  MUST  what is found is given back
    1.2-2  SHOULD NOT  the finder waits
      not here: nobody finds anything
    MUST-3 (4.1)  MUST NOT  it is sold
    """

  @Test("are read line by line")
  func list() throws {
    let standard = try Standard.parse(good, file: "rfc17.rules")
    #expect(standard.number == 17 && standard.title == "Lost Property")
    #expect(standard.requirements.map(\.id) == ["1.2-1", "1.2-2", "MUST-3"])
    #expect(standard.requirements.map(\.level) == ["MUST", "SHOULD NOT", "MUST NOT"])
    #expect(standard.requirements.map(\.section) == [nil, nil, "4.1"])
    #expect(standard.requirements.map(\.notHere) == [nil, "nobody finds anything", nil])
    #expect(standard.requirements[0].words == "what is found is given back")
  }

  @Test(
    "are refused where a line makes no sense",
    arguments: [
      "1.2-4 MUST  one space", "1.2-4  MIGHT  no such level", "1.2  MUST  no number", "1.2-4  MUST",
      "  1.2-4  MUST  in",
      "1.2-4  MUST  a | b", "  not here:", "1.2-1  MUST  twice", "RFC 18  Second Head",
    ])
  func malformed(_ line: String) {
    #expect(throws: HouseError.self) { try Standard.parse(good + "\n" + line, file: "rfc17.rules") }
  }

  @Test("are refused without their head, in another's file, without rules")
  func heads() {
    #expect(throws: HouseError.self) { try Standard.parse("1.2-1  MUST  it", file: "rfc17.rules") }
    #expect(throws: HouseError.self) { try Standard.parse(good, file: "rfc18.rules") }
    #expect(throws: HouseError.self) { try Standard.parse("RFC 17  Lost Property\n", file: "rfc17.rules") }
    #expect(throws: HouseError.self) {
      try Standard.parse("RFC 17  Lost Property\n  not here: alone\n", file: "rfc17.rules")
    }
    #expect(throws: HouseError.self) {
      try Standard.parse(good.replacing("anything", with: "it\n  not here: again"), file: "rfc17.rules")
    }
  }

  private func evidence(script: String = "", source: String = "") -> RequirementEvidence {
    var evidence = RequirementEvidence()
    evidence.collect(script: script, path: "Tests/Scripts/close/a.pkt")
    evidence.collect(source: SourceFile(target: "TCPTests", path: "Tests/TCPTests/A.swift", text: source))
    return evidence
  }

  @Test("are named in a script's head and above tests and profiles")
  func proofs() {
    let evidence = evidence(
      script: """
        --ip_version=ipv6
        // Why.
        // Rules: RFC 17 1.2-1, MUST-3; RFC 18 5-1
        // Rules: RFC 19 1-1

         0 socket() = 3
        """,
      source: """
        // Rules: RFC 17 1.2-1
        // and why
        @Test("that it", arguments: [1])
        @available(Linux, *)
        func comesBack() {}
          // Rules: RFC 17 MUST-3; RFC 18 5-1
          @Test func isKept() { let text = "// Rules: nothing" }
          // Rules: RFC 17 1.2-1
          Profile("lost-things", "why") { _ in
        """)
    #expect(evidence.strays == [])
    #expect(evidence.proofs.map(\.name) == [nil, "comesBack", "isKept", "lost-things"])
    #expect(evidence.proofs.map(\.path).prefix(2) == ["Tests/Scripts/close/a.pkt", "Tests/TCPTests/A.swift"])
    #expect(
      evidence.proofs[0].references == [
        .init(standard: 17, id: "1.2-1"), .init(standard: 17, id: "MUST-3"), .init(standard: 18, id: "5-1"),
        .init(standard: 19, id: "1-1"),
      ])
    #expect(evidence.proofs.map(\.references.count) == [4, 1, 2, 1])
  }

  @Test("are not named where they belong to nothing, nor in another form")
  func strays() {
    #expect(evidence(script: " 0 socket() = 3\n// Rules: RFC 17 1.2-1\n").strays.count == 1)
    for list in ["RFC 17", "17 1.2-1", "RFC 17 1.2-1,", "RFC 17 1.2-1 MUST-3", "RFC 17 1.2-1; ", ""] {
      #expect(evidence(script: "// Rules: \(list)\n").strays.count == 1, "\(list)")
      #expect(evidence(source: "// Rules: \(list)\n@Test func it() {}\n").strays.count == 1, "\(list)")
    }
    for source in ["func it() {}", "", "\n@Test func it() {}", "let a = 1\n@Test func it() {}"] {
      let found = evidence(source: "// Rules: RFC 17 1.2-1\n\(source)")
      #expect(found.strays.count == 1 && found.proofs.isEmpty, "\(source)")
    }
  }

  @Test("need a proof or a reason, not both; a proof needs a rule")
  func complaints() throws {
    let standards = [try Standard.parse(good, file: "rfc17.rules")]
    func complaints(_ rules: String) -> [String] {
      RulesPage.complaints(standards, evidence(script: "// Rules: \(rules)\n"))
    }
    #expect(complaints("RFC 17 1.2-1, MUST-3") == [])
    #expect(complaints("RFC 17 1.2-1") == ["RFC 17 MUST-3 has no proof"])
    #expect(complaints("RFC 17 1.2-1, 1.2-2, MUST-3") == ["RFC 17 1.2-2 is not here, and shown"])
    #expect(
      complaints("RFC 17 1.2-1, MUST-3, 1.2-9") == [
        "Tests/Scripts/close/a.pkt: there is no rule RFC 17 1.2-9"
      ])
    #expect(
      complaints("RFC 17 1.2-1, MUST-3; RFC 18 1.2-1")
        == ["Tests/Scripts/close/a.pkt: there is no rule RFC 18 1.2-1"])
    #expect(
      complaints("RFC 17 1.2-1, MUST-3, 1.2-1") == ["Tests/Scripts/close/a.pkt: names RFC 17 1.2-1 twice"])
  }

  @Test("change the page when they, or what shows them, change")
  func pageChanges() throws {
    let standards = [try Standard.parse(good, file: "rfc17.rules")]
    let before = evidence(source: "// Rules: RFC 17 1.2-1\n@Test func it() {}\n")
    let page = RulesPage.render(standards, before)
    #expect(page.contains("| [RFC 17](#rfc-17) | Lost Property | 3 | 2 | 1 |"))
    #expect(
      page.contains(
        "| 1.2-1 | MUST | what is found is given back | [TCPTests `it`](../Tests/TCPTests/A.swift) |"))
    #expect(page.contains("| 1.2-2 | SHOULD NOT | the finder waits | not here: nobody finds anything |"))
    #expect(page.contains("| MUST-3 (4.1) | MUST NOT | it is sold |  |"))
    let after = evidence(
      script: "// Rules: RFC 17 MUST-3\n", source: "// Rules: RFC 17 1.2-1\n@Test func it() {}\n")
    let other = RulesPage.render(standards, after)
    #expect(other != page && other.contains("[close/a.pkt](../Tests/Scripts/close/a.pkt)"))
    let reworded = [try Standard.parse(good.replacing("sold", with: "lent"), file: "rfc17.rules")]
    #expect(RulesPage.render(reworded, before) != page)
  }
}
