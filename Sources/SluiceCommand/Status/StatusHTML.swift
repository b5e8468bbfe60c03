extension Status {
  /// `/` for browsers. Nothing is loaded from elsewhere.
  var html: String {
    var out = """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>Sluice</title>
      <style>
      :root { color-scheme: light dark; --line: #8884; --soft: #888; --accent: #0a7ea4; }
      body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2.5rem auto; padding: 0 1.25rem; }
      h1 { font-size: 1.7rem; margin: 0; }
      h1::before { content: ""; display: inline-block; width: .45em; height: .8em; margin-right: .45em; \
      background: var(--accent); border-radius: 2px; }
      h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; }
      p { margin: .3rem 0; color: var(--soft); }
      a { color: var(--accent); }
      .wide { overflow-x: auto; }
      table { border-collapse: collapse; min-width: 24rem; font-variant-numeric: tabular-nums; }
      th, td { text-align: left; padding: .25rem 1.1rem .25rem 0; border-bottom: 1px solid var(--line); \
      vertical-align: top; }
      th { font-weight: 500; color: var(--soft); white-space: nowrap; }
      .n { text-align: right; }
      \(StatusPlots.style)
      </style>
      </head>
      <body>
      <h1>Sluice</h1>
      <p>\(escaped(summary))</p>

      """
    out += StatusPlots.body
    for table in tables { out += table.html }
    out += """
      <p>The same for programs: <a href="/stats.json">/stats.json</a>; the plots': <a href="/events">/events</a></p>
      \(StatusPlots.script)</body>
      </html>

      """
    return out
  }
}

extension StatusTable {
  fileprivate var html: String {
    func row(_ cells: [String], _ tag: String) -> String {
      let inner = cells.enumerated().map { column, cell in
        "<\(tag)\(numbers.contains(column) ? " class=\"n\"" : "")>\(escaped(cell))</\(tag)>"
      }
      return "<tr>" + inner.joined() + "</tr>\n"
    }
    return "<h2>\(escaped(title))</h2>\n<div class=\"wide\"><table>\n" + row(columns, "th")
      + rows.map { row($0, "td") }.joined() + "</table></div>\n"
  }
}

/// Text as HTML content or attribute value.
func escaped(_ text: String) -> String {
  var out = ""
  for character in text {
    switch character {
    case "&": out += "&amp;"
    case "<": out += "&lt;"
    case ">": out += "&gt;"
    case "\"": out += "&quot;"
    case "'": out += "&#39;"
    default: out.append(character)
    }
  }
  return out
}
