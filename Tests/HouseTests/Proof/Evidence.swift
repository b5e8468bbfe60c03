/// A test function whose name begins with ids.
struct NamedTest: Equatable {
  var name: String
  /// The target that it stands in.
  var target: String
  var ids: [String]
}

/// A program that the explorer runs under many schedules, and the mutations of the shipped code that it finds.
struct ExploredScenario: Equatable {
  var id: String
  var mutations: [String]
}

/// A defect that can be switched on in the shipped code, under the trait `Explore`.
struct DeclaredMutation: Equatable {
  var name: String
  /// The target whose code has it.
  var target: String
}

/// What the sources have to show for the claims.
struct Evidence {
  var tests: [NamedTest] = []
  var explored: [ExploredScenario] = []
  var mutations: [DeclaredMutation] = []
  /// Names of tests that look as if they began with an id, of which there is none.
  var strangers: [String] = []
  /// Whether the house has an explorer: only then its half can be asked for.
  var hasExplorer = false

  init(_ house: House) {
    let known = Set(house.claims.map(\.id))
    for target in house.description.targets {
      for file in house.files(of: target) where file.isSwift {
        if target.isTest {
          collectTests(file, known)
        } else {
          collectMutations(file)
          if file.path.hasPrefix("Sources/Explorer/Scenarios/") {
            hasExplorer = true
            collectScenarios(file)
          }
        }
      }
    }
    tests.sort { ($0.name, $0.target) < ($1.name, $1.target) }
    explored.sort { $0.id < $1.id }
    mutations.sort { $0.name < $1.name }
  }

  private mutating func collectTests(_ file: SourceFile, _ known: Set<String>) {
    for line in file.lines where line.words.contains("func") {
      guard let match = line.code.firstMatch(of: #/\bfunc (?<name>[A-Z][A-Z0-9]*_\w+)/#) else { continue }
      let name = String(match.name)
      let ids = Claim.ids(named: name, known: known)
      if !ids.isEmpty {
        tests.append(NamedTest(name: name, target: file.target, ids: ids))
      }
      // A section of the protocols' description is no claim, but a name of its own.
      else if !name.hasPrefix("PROTOCOL_") {
        strangers.append("\(file.path): \(name)")
      }
    }
  }

  private mutating func collectMutations(_ file: SourceFile) {
    // A regular expression is made anew at each look, which costs more than the look.
    guard file.lines.contains(where: { $0.words.contains("Mutation") }) else { return }
    for match in file.text.matches(of: #/static let \w+\s*=\s*Mutation\(\s*"(?<name>\w+)"/#) {
      mutations.append(DeclaredMutation(name: String(match.name), target: file.target))
    }
  }

  private mutating func collectScenarios(_ file: SourceFile) {
    let starts = file.text.matches(of: #/\bScenario\(\s*id:\s*"(?<id>[^"]+)"/#)
    for (index, start) in starts.enumerated() {
      // What belongs to a scenario ends where the next one begins.
      let end = index + 1 < starts.count ? starts[index + 1].range.lowerBound : file.text.endIndex
      let body = file.text[start.range.upperBound..<end]
      var names: [String] = []
      if let list = body.firstMatch(of: #/\bmutations:\s*\[(?<list>[^\]]*)\]/#) {
        names = list.list.matches(of: #/"(?<name>\w+)"/#).map { String($0.name) }
      }
      explored.append(ExploredScenario(id: String(start.id), mutations: names))
    }
  }

  // MARK: Of one claim

  func tests(of id: String) -> [NamedTest] { tests.filter { $0.ids.contains(id) } }

  /// A scenario is for the id that its own begins with: `X2`, `X2-lockless` and `X2 with two drivers` are for X2;
  /// several ids are joined by `+`.
  func explored(of id: String) -> [ExploredScenario] {
    explored.filter { scenario in
      scenario.id.split(separator: "+").contains { part in
        let part = part.drop { $0 == " " }
        guard part.hasPrefix(id) else { return false }
        let rest = part.dropFirst(id.count)
        return rest.first.map { !$0.isNumber && !$0.isUppercase } ?? true
      }
    }
  }

  func mutations(of id: String) -> [String] {
    var names: [String] = []
    for scenario in explored(of: id) { names += scenario.mutations.filter { !names.contains($0) } }
    return names
  }
}
