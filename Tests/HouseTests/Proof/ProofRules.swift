/// Rules over what the claims have to show.
extension Rule {
  /// No claim is without a test, and no test names a claim that there is not.
  func claimsAreTested(_ house: House) -> Findings {
    var findings = Findings()
    let evidence = Evidence(house)
    for claim in house.claims {
      let isMissing = evidence.tests(of: claim.id).isEmpty
      findings.look(at: claim.id, isMissing ? "has no test" : nil)
    }
    for stranger in evidence.strangers { findings.look(at: stranger, "names a scenario that is not listed") }
    return findings
  }

  /// What is about order is explored, with a mutation; each mutation is somebody's to find.
  func orderIsExplored(_ house: House) -> Findings {
    var findings = Findings()
    let evidence = Evidence(house)
    for claim in house.claims where claim.isAboutOrder {
      var complaint: String?
      if evidence.hasExplorer {
        if evidence.explored(of: claim.id).isEmpty {
          complaint = "is not explored"
        } else if evidence.mutations(of: claim.id).isEmpty {
          complaint = "is explored without a mutation"
        }
      }
      findings.look(at: claim.id, complaint)
    }
    let declared = Set(evidence.mutations.map(\.name))
    let wanted = Set(evidence.explored.flatMap(\.mutations))
    for name in declared.sorted() where evidence.hasExplorer {
      findings.look(at: name, wanted.contains(name) ? nil : "is a mutation that nobody has to find")
    }
    for name in wanted.subtracting(declared).sorted() {
      findings.look(at: name, "is a mutation that no code has")
    }
    return findings
  }
}
