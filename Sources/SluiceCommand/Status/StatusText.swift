extension Status {
  /// `/` for curl: tables in columns.
  var text: String {
    var out = summary + "\n"
    for table in tables { out += "\n" + table.text }
    return out + "\nThe same for programs: /stats.json\n"
  }
}

extension StatusTable {
  fileprivate var text: String {
    let all = [columns] + rows
    let widths = columns.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    func line(_ cells: [String]) -> String {
      var out = ""
      for (column, cell) in cells.enumerated() {
        let space = String(repeating: " ", count: widths[column] - cell.count)
        out += "  " + (numbers.contains(column) ? space + cell : cell + space)
      }
      let end = out.lastIndex { $0 != " " }.map { out.index(after: $0) } ?? out.startIndex
      return String(out[..<end]) + "\n"
    }
    return title + "\n" + all.map(line).joined()
  }
}
