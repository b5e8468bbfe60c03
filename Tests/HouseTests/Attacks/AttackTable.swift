import Foundation

/// What Documentation/Security.md says was tried, row by row, and what there is to show it.
struct AttackTable {
  /// One row.
  struct Row: Equatable {
    var attack: String
    var counters: [String]
    /// Tests by suite and function, and the script.
    var proofs: [String]
  }
  /// What may be named.
  struct Known {
    /// `Suite.function` of every test.
    var tests: Set<String>
    /// Counters as /stats.json has them: of a group, or of the stack's layers without.
    var counters: Set<String>
    /// What the script tries.
    var attacks: Set<String>
  }
  static let script = "hostile.py"
  let rows: [Row]

  /// The rows below the head with these columns.
  init(_ page: String) throws {
    let lines = page.split(separator: "\n", omittingEmptySubsequences: false)
    let head = "| what a guest tried | what it got | what moved | shown by |"
    guard let start = lines.firstIndex(of: Substring(head)) else { throw HouseError("no table of attacks") }
    rows = try lines[(start + 2)...].prefix { $0.hasPrefix("|") }.map { line in
      let cells = line.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast()
      guard cells.count == 4 else { throw HouseError("\(line) has \(cells.count) columns") }
      let texts = cells.map { $0.trimmingCharacters(in: .whitespaces) }
      return Row(attack: texts[0], counters: Self.quoted(texts[2]), proofs: Self.quoted(texts[3]))
    }
  }

  private static func quoted(_ cell: String) -> [String] {
    cell.split(separator: "`", omittingEmptySubsequences: false).enumerated().compactMap {
      $0.offset % 2 == 1 ? String($0.element) : nil
    }
  }

  /// What is not as the table says.
  func complaints(_ known: Known) -> [String] {
    var found: [String] = []
    for row in rows {
      if row.proofs.isEmpty { found.append("nothing shows: \(row.attack)") }
      for proof in row.proofs where proof != Self.script && !known.tests.contains(proof) {
        found.append("\(row.attack): there is no test \(proof)")
      }
      for counter in row.counters where !known.counters.contains(counter) {
        found.append("\(row.attack): there is no counter \(counter)")
      }
    }
    // What the script tries only to see that nothing is there has no counter, and no name in it.
    let tried = Set(rows.filter { $0.proofs.contains(Self.script) && !$0.counters.isEmpty }.map(\.attack))
    found += tried.subtracting(known.attacks).sorted().map { "\(Self.script) does not try: \($0)" }
    found += known.attacks.subtracting(tried).sorted().map { "no row for: \($0)" }
    return found
  }
}

extension AttackTable.Known {
  /// What the sources have.
  init(_ house: House) throws {
    tests = []
    counters = []
    for file in house.files where file.isSwift {
      if file.path.hasPrefix("Tests/") { tests.formUnion(Self.tests(file.text)) }
      if file.path.hasSuffix("/InternetEvent.swift") {
        counters.formUnion(file.text.matches(of: #/\n  case (\w+)\n/#).map { String($0.1) })
      }
      if file.path.hasSuffix("/SocketCounters.swift") {
        counters.formUnion(file.text.matches(of: #/public let (\w+) = /#).map { String($0.1) })
      }
      if file.path.hasSuffix("/StatusJSON.swift") { counters.formUnion(Self.groups(file.text)) }
    }
    let script = House.packageRoot.appendingPathComponent("Tests/EndToEnd/\(AttackTable.script)")
    attacks = Self.attacks(try String(contentsOf: script, encoding: .utf8))
  }

  /// Functions of a file's suites, by name; an extension's are its suite's.
  static func tests(_ text: String) -> [String] {
    var suite = ""
    return text.split(separator: "\n").compactMap { line in
      if let match = line.firstMatch(of: #/^(?:@Suite\S* )?(?:struct|extension) (\w+)/#) {
        suite = String(match.1)
      }
      if let match = line.firstMatch(of: #/^@Suite.*struct (\w+)/#) { suite = String(match.1) }
      return line.firstMatch(of: #/\bfunc (\w+)\(/#).map { "\(suite).\($0.1)" }
    }
  }

  /// `group.key` for each group of the document and each key that any group has.
  static func groups(_ text: String) -> [String] {
    let groups = text.matches(of: #/document\["(\w+)"\]/#).map { $0.1 }
    let keys = text.matches(of: #/\$0\["(\w+)"\]/#).map { $0.1 }
    return groups.flatMap { group in keys.map { "\(group).\($0)" } }
  }

  /// The names that the script's list begins its rows with.
  static func attacks(_ text: String) -> Set<String> {
    guard let start = text.range(of: "\nATTACKS = [\n"),
      let end = text.range(of: "\n]\n", range: start.upperBound..<text.endIndex)
    else { return [] }
    let list = text[start.upperBound..<end.lowerBound]
    return Set(
      list.split(separator: "\n").compactMap {
        $0.firstMatch(of: #/^    \("([^"]+)", /#).map { String($0.1) }
      })
  }
}
