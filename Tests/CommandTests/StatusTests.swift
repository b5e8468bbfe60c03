import Foundation
import Sluice
import Testing

@testable import SluiceCommand

@Suite struct StatusTests {
  @Test func jsonSurvivesAParser() throws {
    let text = "a\"b\\c\n\t\u{1}é\u{2028}"
    let document = JSON.object {
      $0["text"] = .text(text)
      $0["numbers"] = .array([.number(Int64.min), .number(UInt64.max), .null, .bool(true)])
      $0["empty"] = .object([])
      $0["deep"] = .array([.array([]), .object { $0["a"] = .array([.number(1)]) }])
    }
    let parsed = try JSONSerialization.jsonObject(with: Data(document.text.utf8)) as? [String: Any]
    #expect(parsed?["text"] as? String == text)
    #expect((parsed?["numbers"] as? [Any])?.count == 4)
    #expect((parsed?["deep"] as? [Any])?.count == 2)
  }

  @Test func htmlShowsTextAsText() {
    #expect(escaped("<a href='x'>&\"") == "&lt;a href=&#39;x&#39;&gt;&amp;&quot;")
  }

  @Test func theDateIsAsTheStandardWantsIt() {
    let date = HTTPResponse.now()
    #expect(date.wholeMatch(of: #/[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT/#) != nil)
  }

  @Test func chargenIsTheStandardsPattern() {
    let lines = String(decoding: ChargenService.lines, as: UTF8.self).split(separator: "\r\n")
    #expect(lines.count == 95 * 9)
    #expect(lines.allSatisfy { $0.utf8.count == 72 })
    #expect(lines[0].hasPrefix(" !\"#") && lines[1].hasPrefix("!\"#$") && lines[95] == lines[0])
  }
}
