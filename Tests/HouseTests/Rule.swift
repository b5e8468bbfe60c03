/// A rule of the house. Every rule looks at the whole house, says how much it looked at, and has a mutation
/// that breaks it (`Rule.mutations`).
enum Rule: String, CaseIterable, Sendable {
  // What the package description must say.
  case knownTargets, upwardArrows, sidewaysArrows, settings, noStrayFolders
  // What the sources must not contain.
  case declaredImports, concurrencyStaysAbove, synchronisationInExclusion, tokenRoots, explainedDoors
  case finishedWork
  // What the numbered scenarios and invariants have to show.
  case claimsAreTested, orderIsExplored

  /// Fewer things looked at than this, and the check has gone blind.
  var floor: Int {
    switch self {
    case .knownTargets: HouseOrder.bottomToTop.count
    case .upwardArrows, .sidewaysArrows: 40
    case .settings: 60
    case .noStrayFolders: 20
    case .declaredImports: 500
    case .concurrencyStaysAbove, .synchronisationInExclusion, .finishedWork: 100
    case .tokenRoots: 10
    case .explainedDoors: 20
    case .claimsAreTested: 120
    case .orderIsExplored: 20
    }
  }

  func findings(in house: House) -> Findings {
    switch self {
    case .knownTargets: knownTargets(house)
    case .upwardArrows: upwardArrows(house)
    case .sidewaysArrows: sidewaysArrows(house)
    case .settings: settings(house)
    case .noStrayFolders: noStrayFolders(house)
    case .declaredImports: declaredImports(house)
    case .concurrencyStaysAbove: concurrencyStaysAbove(house)
    case .synchronisationInExclusion: synchronisationInExclusion(house)
    case .tokenRoots: tokenRoots(house)
    case .explainedDoors: explainedDoors(house)
    case .finishedWork: finishedWork(house)
    case .claimsAreTested: claimsAreTested(house)
    case .orderIsExplored: orderIsExplored(house)
    }
  }
}

/// What a rule saw: how many things it looked at, and what is wrong with which of them.
struct Findings {
  var seen = 0
  var violations: [String] = []

  mutating func look(at place: String, _ complaint: String?) {
    seen += 1
    if let complaint { violations.append("\(place): \(complaint)") }
  }
}
