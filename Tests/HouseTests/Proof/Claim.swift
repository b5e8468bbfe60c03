/// A numbered scenario or invariant: what must hold, as `Documentation/scenarios.txt` lists it.
struct Claim: Equatable, Sendable {
  /// `W6`, `AQ-CLOSE`.
  var id: String
  /// It depends on the order in which threads do things: schedules are explored, with mutations.
  var isAboutOrder: Bool
  /// What must hold, in a few words.
  var text: String
  /// Under which heading it stands.
  var heading: String

  /// Reads the list. Throws where a line is of none of the kinds that its head explains, or an id comes twice.
  static func parse(_ list: String) throws -> [Claim] {
    var heading: String?
    var claims: [Claim] = []
    for (number, line) in list.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      if line.isEmpty || line.hasPrefix("#") { continue }
      if let match = line.wholeMatch(of: #/\[(?<heading>[^\]]+)\]/#) {
        heading = String(match.heading)
      } else if let heading,
        let match = line.wholeMatch(of: #/(?<id>[A-Z][A-Z0-9-]*)(?<star>\*?) (?<text>\S.*)/#)
      {
        let id = String(match.id)
        guard !claims.contains(where: { $0.id == id }) else { throw HouseError("\(id) is listed twice") }
        claims.append(
          Claim(id: id, isAboutOrder: !match.star.isEmpty, text: String(match.text), heading: heading))
      } else {
        throw HouseError(
          "line \(number + 1) of the list of scenarios is neither heading nor scenario: \(line)")
      }
    }
    return claims
  }

  /// The ids that the name of a test begins with: `X1_X2_givesBack` and `R2_TX_NOREC_own…` name two each. The
  /// rest of the name is what the test says. `known` are all ids.
  static func ids(named name: String, known: Set<String>) -> [String] {
    let words = name.split(separator: "_").map(String.init)
    var ids: [String] = []
    var index = 0
    while index < words.count {
      if index + 1 < words.count, known.contains("\(words[index])-\(words[index + 1])") {
        ids.append("\(words[index])-\(words[index + 1])")
        index += 2
      } else if known.contains(words[index]) {
        ids.append(words[index])
        index += 1
      } else {
        break
      }
    }
    return ids
  }
}
