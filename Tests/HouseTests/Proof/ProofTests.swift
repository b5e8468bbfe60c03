import Foundation
import Testing

@Suite("The proof")
struct ProofTests {
  @Test("page says what the sources show")
  func page() throws {
    let house = try House.current.get()
    let page = ProofPage.render(house.claims, Evidence(house))
    let file = House.packageRoot.appendingPathComponent(ProofPage.path)
    if ProcessInfo.processInfo.environment[ProofPage.variable] != nil {
      try page.write(to: file, atomically: true, encoding: .utf8)
    }
    let committed = try String(contentsOf: file, encoding: .utf8)
    #expect(committed == page, "\(ProofPage.path) is out of date; make it again: \(ProofPage.command)")
  }

  private func evidence(_ files: [SourceFile]) throws -> Evidence {
    var house = try House.current.get()
    house.claims = try Claim.parse(
      "[Rooms]\nX1 one\nX2* two\nX12 twelve\nAQ-CLOSE* close\nR2 loop\nTX-NOREC no")
    house.files = files
    return Evidence(house)
  }

  @Test("list is read line by line, and refused where it makes no sense")
  func list() throws {
    let claims = try Claim.parse("# why\n\n[Rooms]\nX1 one thing\nX2* another\n[Halls]\nAQ-CLOSE* closes\n")
    #expect(claims.map(\.id) == ["X1", "X2", "AQ-CLOSE"])
    #expect(claims.map(\.isAboutOrder) == [false, true, true])
    #expect(claims.map(\.heading) == ["Rooms", "Rooms", "Halls"])
    #expect(claims[0].text == "one thing")
    for nonsense in ["X1 before a heading", "[Rooms]\nX1", "[Rooms]\nx1 small", "[Rooms]\nX1 a\nX1 b"] {
      #expect(throws: HouseError.self) { try Claim.parse(nonsense) }
    }
  }

  @Test("finds tests by all the ids that their names begin with")
  func tests() throws {
    let text = """
      @Test func X1_X2_givesBack() {}
      @Test(arguments: 1...2) func R2_TX_NOREC_loops(_ a: Int) {}
      @Test func AQ_CLOSE_closes() {}
      @Test func PROTOCOL_3_turns() {}
      @Test func X3_nobodyKnows() {}
      // @Test func X12_inAComment() {}
      func plain() {}
      """
    let evidence = try evidence([
      SourceFile(target: "WireTests", path: "Tests/WireTests/A.swift", text: text)
    ])
    #expect(
      evidence.tests.map(\.ids) == [["AQ-CLOSE"], ["R2", "TX-NOREC"], ["X1", "X2"]])
    #expect(evidence.tests(of: "X2").map(\.name) == ["X1_X2_givesBack"])
    #expect(evidence.strangers == ["Tests/WireTests/A.swift: X3_nobodyKnows"])
    #expect(!evidence.hasExplorer)
  }

  @Test("finds scenarios and mutations where there is an explorer")
  func explored() throws {
    let scenarios = """
      Scenario(
        id: "X2", title: "stop", search: .exhaustive,
        mutations: ["stopWithoutRecheck", "missingFence"]) { Program() }
      Scenario(id: "X12+AQ-CLOSE", title: "x", search: .sampled, mutations: []) { Program() }
      Scenario(id: "X2-lockless", title: "x", search: .sampled, mutations: ["missingFence"]) { p }
      """
    let code = """
      extension Mutation { static let stopWithoutRecheck = Mutation("stopWithoutRecheck") }
      extension Mutation { static let missingFence = Mutation(
        "missingFence") }
      """
    let files = [
      SourceFile(target: "Wire", path: "Sources/Explorer/Scenarios/A.swift", text: scenarios),
      SourceFile(target: "Wire", path: "Sources/Wire/Mutations.swift", text: code),
    ]
    let evidence = try evidence(files)
    #expect(evidence.hasExplorer)
    #expect(evidence.explored(of: "X2").map(\.id) == ["X2", "X2-lockless"])
    #expect(evidence.mutations(of: "X2") == ["stopWithoutRecheck", "missingFence"])
    #expect(evidence.explored(of: "X1").isEmpty)
    #expect(evidence.explored(of: "AQ-CLOSE").map(\.id) == ["X12+AQ-CLOSE"])
    #expect(evidence.mutations.map(\.name) == ["missingFence", "stopWithoutRecheck"])
  }
}
