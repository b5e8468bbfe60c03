/// `Documentation/Rules.md`: for each RFC its rules, and what shows them.
enum RulesPage {
  static let path = "Documentation/Rules.md"
  static let folder = "Documentation/Rules"
  /// Set, it makes the test write the page instead of comparing it.
  static let variable = "SLUICE_WRITE_RULES"
  static let command = "\(variable)=1 swift test --filter HouseTests.RequirementTests"

  /// What is wrong: rules that nothing shows, proofs of what is no rule.
  static func complaints(_ standards: [Standard], _ evidence: RequirementEvidence) -> [String] {
    var complaints = evidence.strays
    var known: Set<RequirementProof.Reference> = []
    let shown = Set(evidence.proofs.flatMap(\.references))
    for standard in standards {
      for requirement in standard.requirements {
        let reference = RequirementProof.Reference(standard: standard.number, id: requirement.id)
        known.insert(reference)
        switch (requirement.notHere, shown.contains(reference)) {
        case (nil, false): complaints.append("RFC \(standard.number) \(requirement.id) has no proof")
        case (.some, true):
          complaints.append("RFC \(standard.number) \(requirement.id) is not here, and shown")
        default: break
        }
      }
    }
    for proof in evidence.proofs {
      for reference in proof.references where !known.contains(reference) {
        complaints.append("\(proof.path): there is no rule RFC \(reference.standard) \(reference.id)")
      }
      for (reference, times) in Dictionary(grouping: proof.references, by: \.self) where times.count > 1 {
        complaints.append("\(proof.path): names RFC \(reference.standard) \(reference.id) twice")
      }
    }
    return complaints
  }

  static func render(_ standards: [Standard], _ evidence: RequirementEvidence) -> String {
    let standards = standards.sorted { $0.number < $1.number }
    var shown: [RequirementProof.Reference: [RequirementProof]] = [:]
    for proof in evidence.proofs {
      for reference in proof.references { shown[reference, default: []].append(proof) }
    }
    var lines = [
      "# The RFCs, rule by rule", "",
      "Made from `\(folder)` and from what scripts, tests and profiles say they show; `swift test` compares. To make it",
      "again:", "", "```", command, "```", "",
      "A rule is called by its section and a number of ours, or by the RFC's own number. The words are ours.",
      "",
      "| | | rules | shown | not here |", "|---|---|---|---|---|",
    ]
    func row(_ name: String, _ title: String, _ standards: [Standard]) -> String {
      let all = standards.flatMap(\.requirements)
      let away = all.count { $0.notHere != nil }
      return "| \(name) | \(title) | \(all.count) | \(all.count - away) | \(away) |"
    }
    for standard in standards {
      lines.append(row("[RFC \(standard.number)](#rfc-\(standard.number))", standard.title, [standard]))
    }
    lines.append(row("", "all", standards))
    for standard in standards {
      lines += ["", "## RFC \(standard.number)", "", "\(standard.title).", ""]
      lines += ["| rule | | what | shown by |", "|---|---|---|---|"]
      for requirement in standard.requirements {
        let proofs = shown[.init(standard: standard.number, id: requirement.id)] ?? []
        let links = Set(proofs.map(link)).sorted()
        let cells = [
          requirement.id + (requirement.section.map { " (\($0))" } ?? ""), requirement.level,
          requirement.words, requirement.notHere.map { "not here: \($0)" } ?? links.joined(separator: "<br>"),
        ]
        lines.append("| \(cells.joined(separator: " | ")) |")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func link(_ proof: RequirementProof) -> String {
    let parts = proof.path.split(separator: "/")
    let text = proof.name.map { "\(parts[1]) `\($0)`" } ?? parts.dropFirst(2).joined(separator: "/")
    return "[\(text)](../\(proof.path))"
  }
}
