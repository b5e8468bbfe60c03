/// `Documentation/Proof.md`: for each claim what it says and what shows it.
enum ProofPage {
  static let path = "Documentation/Proof.md"
  static let list = "Documentation/scenarios.txt"
  /// Set, it makes the test write the page instead of comparing it.
  static let variable = "SLUICE_WRITE_PROOF"
  static let command = "\(variable)=1 swift test --filter HouseTests.ProofTests"

  static func render(_ claims: [Claim], _ evidence: Evidence) -> String {
    var lines = [
      "# What must hold, and what shows it",
      "",
      "Made from `\(list)` and from the names in the sources; `swift test` compares. To make it again:",
      "",
      "```",
      command,
      "```",
      "",
      "A test belongs to each number that its name begins with. What is marked ⇄ depends on the order in which",
      "threads do things; such a number is explored under many schedules too, and each of its mutations, a defect",
      "switched on in the shipped code, must be found.",
    ]
    var heading: String?
    for claim in claims {
      if claim.heading != heading {
        heading = claim.heading
        lines += ["", "## \(claim.heading)", "", "| | what must hold | tests | explored, with mutations |"]
        lines.append("|---|---|---|---|")
      }
      lines.append(row(claim, evidence))
    }
    if evidence.hasExplorer {
      lines += ["", "## Mutations", "", "| mutation | of | found by |", "|---|---|---|"]
      for mutation in evidence.mutations {
        let finders = evidence.explored.filter { $0.mutations.contains(mutation.name) }.map(\.id)
        lines.append("| `\(mutation.name)` | \(mutation.target) | \(finders.joined(separator: ", ")) |")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func row(_ claim: Claim, _ evidence: Evidence) -> String {
    let tests = evidence.tests(of: claim.id).map { "\($0.target) `\($0.name)`" }
    let explored = evidence.explored(of: claim.id).map { scenario in
      ([scenario.id] + scenario.mutations.map { "`\($0)`" }).joined(separator: " ")
    }
    let cells = [
      claim.id + (claim.isAboutOrder ? " ⇄" : ""), claim.text, tests.joined(separator: "<br>"),
      explored.joined(separator: "<br>"),
    ]
    return "| \(cells.joined(separator: " | ")) |"
  }
}
