/// A script, a test or a profile, and the rules that it says it shows.
struct RequirementProof: Equatable {
  struct Reference: Hashable {
    var standard: Int
    var id: String
  }

  /// From the root of the package.
  var path: String
  /// The test's or the profile's; a script has none but its path.
  var name: String?
  var references: [Reference]
}

/// What says of itself that it shows rules.
struct RequirementEvidence {
  var proofs: [RequirementProof] = []
  /// Citations that cannot be read, or stand where they belong to nothing.
  var strays: [String] = []

  /// Whether a comment cites rules, and which: `Rules: RFC 5681 3.1-2, 3.1-3; RFC 6298 5-1`. Nil: it does not.
  static func references(_ comment: some StringProtocol) -> Result<[RequirementProof.Reference], HouseError>?
  {
    // Asked of every line: most have no word of it.
    guard comment.utf8.contains(UInt8(ascii: ":")), comment.contains("Rules:"),
      let match = String(comment).wholeMatch(of: #/\s*//+\s*Rules:(?<list>.*)/#)
    else { return nil }
    var references: [RequirementProof.Reference] = []
    for group in match.list.split(separator: ";", omittingEmptySubsequences: false) {
      guard let parts = group.wholeMatch(of: #/\s*RFC (?<number>[0-9]+) (?<ids>[^ ,]+(?:, [^ ,]+)*)\s*/#),
        let number = Int(parts.number)
      else { return .failure(HouseError("not a list of rules: \(group)")) }
      references += parts.ids.split(separator: ",").map {
        .init(standard: number, id: String($0.drop { $0 == " " }))
      }
    }
    return .success(references)
  }

  /// A script's head: its comments and options (`--ip_version=ipv6`) before the first line of another kind.
  mutating func collect(script text: String, path: String) {
    var isHead = true
    var found: [RequirementProof.Reference] = []
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      let isHeadLine = line.hasPrefix("//") || line.hasPrefix("--") || line.allSatisfy(\.isWhitespace)
      if !isHeadLine { isHead = false }
      switch Self.references(line) {
      case nil: break
      case .failure(let error): strays.append("\(path): \(error.description)")
      case .success where !isHead: strays.append("\(path): rules are named below the head: \(line)")
      case .success(let references): found += references
      }
    }
    if !found.isEmpty { proofs.append(RequirementProof(path: path, name: nil, references: found)) }
  }

  /// Tests, with their rules in a comment right above `@Test`; profiles, right above `Profile("…"`.
  mutating func collect(source file: SourceFile) {
    var pending: [RequirementProof.Reference] = []
    let texts = file.text.split(separator: "\n", omittingEmptySubsequences: false)
    for (index, line) in file.lines.enumerated() {
      let isCode = !line.code.allSatisfy(\.isWhitespace)
      if !isCode, let references = Self.references(line.comment) {
        switch references {
        case .failure(let error): strays.append("\(file.path):\(index + 1): \(error.description)")
        case .success(let references): pending += references
        }
        continue
      }
      // Other comments may stand between, and attributes.
      guard !pending.isEmpty, isCode || line.comment.isEmpty else { continue }
      if let name = Self.name(file, texts, from: index) {
        proofs.append(RequirementProof(path: file.path, name: name, references: pending))
      } else if line.words.first != "Test", line.code.drop(while: { $0 == " " }).first == "@" {
        continue
      } else {
        strays.append("\(file.path):\(index + 1): rules are named above neither test nor profile")
      }
      pending = []
    }
    if !pending.isEmpty { strays.append("\(file.path): rules are named above nothing") }
  }

  /// The name of the test or the profile that begins at a line.
  private static func name(_ file: SourceFile, _ texts: [Substring], from index: Int) -> String? {
    if texts[index].firstMatch(of: #/^\s*@Test\b/#) != nil {
      for line in file.lines[index...].prefix(12) {
        if let match = line.code.firstMatch(of: #/\bfunc (?<name>\w+)/#) { return String(match.name) }
      }
      return nil
    }
    return texts[index].firstMatch(of: #/\bProfile\("(?<name>[^"]+)"/#).map { String($0.name) }
  }
}
