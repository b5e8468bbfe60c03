/// A rule of an RFC, in our words.
struct Requirement: Equatable {
  /// What every rule is called by: `3.1-2` (section, running number), or the RFC's own, as `MUST-14`.
  var id: String
  /// Where it stands, if the id does not say so.
  var section: String?
  /// `MUST`, `SHOULD NOT`, …; `says` where the RFC does without such words.
  var level: String
  var words: String
  /// Why this stack does not have to show it.
  var notHere: String?
}

/// The rules of one RFC, as a file in `Documentation/Rules` lists them.
struct Standard: Equatable {
  var number: Int
  var title: String
  var requirements: [Requirement]

  static let levels = ["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "says"]

  /// Reads one file. Throws where a line is of none of the kinds, or a rule comes twice.
  static func parse(_ text: String, file: String) throws -> Standard {
    var standard: Standard?
    var seen: Set<String> = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      func refuse(_ why: String) -> HouseError { HouseError("\(file):\(index + 1): \(why): \(line)") }
      if line.isEmpty || line.hasPrefix("#") { continue }
      guard standard != nil else {
        guard let match = line.wholeMatch(of: #/RFC (?<number>[1-9][0-9]*)  (?<title>\S.*)/#),
          let number = Int(match.number), file == "rfc\(number).rules"
        else { throw refuse("not the head of this file") }
        standard = Standard(number: number, title: String(match.title), requirements: [])
        continue
      }
      if let match = line.wholeMatch(of: #/ +not here: (?<why>\S.*)/#) {
        guard let last = standard?.requirements.indices.last,
          standard?.requirements[last].notHere == nil
        else { throw refuse("belongs to no rule") }
        standard?.requirements[last].notHere = String(match.why)
      } else if let match = line.wholeMatch(of: requirementLine), levels.contains(String(match.level)),
        !line.contains("|")
      {
        guard seen.insert(String(match.id)).inserted else { throw refuse("is there twice") }
        standard?.requirements.append(
          Requirement(
            id: String(match.id), section: match.section.map(String.init), level: String(match.level),
            words: String(match.words)))
      } else {
        throw refuse("not a rule")
      }
    }
    guard let standard, !standard.requirements.isEmpty else { throw HouseError("\(file): no rules") }
    return standard
  }

  /// `3.1-2  MUST  words`, `MUST-14 (3.7.1)  MUST  words`: two spaces or more between the columns.
  private static var requirementLine:
    Regex<(Substring, id: Substring, section: Substring?, level: Substring, words: Substring)>
  {
    #/(?<id>[0-9A-Z]+(?:\.[0-9]+)*-[0-9]+)(?: \((?<section>[^)]+)\))? {2,}(?<level>[A-Za-z]+(?: NOT)?) {2,}(?<words>\S.*)/#
  }
}
