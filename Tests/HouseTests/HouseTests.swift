import Testing

@Suite("The house")
struct HouseTests {
  @Test("keeps its rule", arguments: Rule.allCases)
  func keeps(_ rule: Rule) throws {
    let findings = rule.findings(in: try House.current.get())
    #expect(findings.violations.isEmpty, "\(findings.violations.joined(separator: "\n"))")
    #expect(findings.seen >= rule.floor, "\(rule.rawValue) looked at \(findings.seen) places only")
  }

  @Test("notices when a rule is broken", arguments: Rule.allCases)
  func notices(_ rule: Rule) throws {
    // Files are judged one by one: a few of each target stand for all.
    var house = try House.current.get()
    house.files = house.description.targets.flatMap { house.files(of: $0).prefix(2) }
    let before = rule.findings(in: house).violations.count
    #expect(!rule.mutations.isEmpty)
    for mutation in rule.mutations {
      var broken = house
      mutation.apply(&broken)
      #expect(
        rule.findings(in: broken).violations.count > before,
        "\(rule.rawValue) does not see: \(mutation.name)")
    }
  }

  @Test("is not taken in by an empty house", arguments: Rule.allCases)
  func floor(_ rule: Rule) throws {
    var empty = try House.current.get()
    empty.description.targets = []
    empty.files = []
    empty.folders = []
    empty.claims = []
    #expect(rule.findings(in: empty).seen < rule.floor)
  }
}

@Suite("Source files")
struct SourceFileTests {
  private func file(_ text: String) -> SourceFile {
    SourceFile(target: "Wire", path: "Sources/Wire/File.swift", text: text)
  }

  @Test("are split into code and comments; strings are neither")
  func split() {
    let file = file(
      #"""
      let a = "Mutex // not a comment" // a comment
      /* one /* two */ still */ let b = 1
      let c = #"raw " Mutex"# + "\(Atomic("x")) tail"
      let d = """
        Mutex "quoted"
        """ + e
      """#)
    #expect(
      file.lines.map(\.code) == ["let a =  ", " let b = 1", "let c =  + (Atomic())", "let d = ", "", " + e"])
    #expect(file.lines[0].comment == "// a comment")
    #expect(file.lines[1].comment == "/* one /* two */ still */")
  }

  @Test("know their imports, whatever stands before them")
  func imports() {
    let file = file(
      """
      import Wire
      @testable import Timing
      public import struct Buffers.Packet
      @_spi(Explore) @preconcurrency internal import Exclusion
      // import Foundation
      let text = "import Glibc"
      """)
    #expect(file.imports.map(\.module) == ["Wire", "Timing", "Buffers", "Exclusion"])
    #expect(file.imports.map(\.line) == [1, 2, 3, 4])
  }

  @Test("end cleanly wherever they are cut off")
  func cutOff() {
    let text = """
      let a = "x \\(b("y")) z" /* c /* d */ */ + #"raw"# + \"""
        several lines
        \""" // end
      """
    for end in 0...text.count {
      #expect(!file(String(text.prefix(end))).lines.isEmpty)
    }
  }
}
