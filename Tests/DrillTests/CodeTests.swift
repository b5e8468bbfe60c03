import Testing

@testable import Drill

@Suite struct CodeTests {
  private func run(_ code: String, _ names: [String: Int64] = [:]) throws(CodeProblem) -> CodeInterpreter {
    var interpreter = CodeInterpreter()
    try interpreter.run(code) { names[$0] }
    return interpreter
  }

  @Test(arguments: [
    ("1 + 2 * 3", CodeValue.integer(7)), ("(1 + 2) * 3", .integer(9)),
    ("7 // 2, -7 // 2", .tuple([.integer(3), .integer(-4)])),
    ("7 % -3", .integer(-2)), ("-7 % 3", .integer(2)), ("7 / 2", .real(3.5)), ("2 ** 10", .integer(1024)),
    ("-2 ** 2", .integer(-4)), ("1 << 4 | 3 & 2", .integer(18)), ("~5 ^ 1", .integer(-5)),
    ("0x7fffffff", .integer(0x7FFF_FFFF)),
    ("1 < 2 <= 2 != 3", .truth(true)), ("3 > 2 > 2", .truth(false)), ("not 0 and 5", .integer(5)),
    ("0 or 'x'", .text("x")), ("1 or unknown", .integer(1)), ("0 and unknown", .integer(0)),
    ("1.5e3", .real(1500)),
    ("'%d of %s, 0x%x, 5%%' % (3, 'x', 255)", .text("3 of x, 0xff, 5%")), ("'a' \"b\" + 'c'", .text("abc")),
    ("max(1, 5, 3) - min(4, 2)", .integer(3)), ("abs(-4) + int(2.9) + round(2.5)", .integer(8)),
    ("len('abc')", .integer(3)),
    ("1 == 1.0", .truth(true)), ("'a' == 1", .truth(false)), ("True + 1", .integer(2)),
    ("a_b * 2", .integer(8)),
  ])
  func expressionsHaveValues(code: String, value: CodeValue) throws {
    #expect(try run("x = \(code)", ["a_b": 4]).variables["x"] == value)
  }

  @Test func assertionsSayWhatTheyWanted() throws {
    _ = try run("assert n == 3, n", ["n": 3])
    #expect(throws: CodeProblem.assertion("n == 3", message: "4")) { try run("assert n == 3, n", ["n": 4]) }
    #expect(throws: CodeProblem.assertion("2 <= n <= 3", message: nil)) {
      try run(" assert 2 <= n <= 3", ["n": 4])
    }
    #expect(throws: CodeProblem.assertion("n == 3", message: "n is 4, not 3")) {
      try run("assert n == 3, 'n is %d, not %d' % (n, 3)", ["n": 4])
    }
    // The message is made only where the assertion fails.
    _ = try run("assert 1, unknown")
  }

  @Test func statementsFollowEachOther() throws {
    #expect(try run("a = 1; a += 2; print(a, 'x')\nprint()\nprint(a)").output == ["3 x", "", "3"])
    let code = """
        import sys
        if n > 5:
          r = 'large'
          s = 1
        elif n > 2: r = 'middle'
        else:
          r = 'small'
        pass
        t = (1 +
           2)
        u = 1 + \\
           1   # two
      """
    for (n, word) in [(9, "large"), (4, "middle"), (1, "small")] {
      let done = try run(code, ["n": Int64(n)])
      #expect(done.variables["r"] == .text(word))
      #expect(done.variables["s"] == (n == 9 ? .integer(1) : nil))
      #expect(done.variables["t"] == .integer(3) && done.variables["u"] == .integer(2))
    }
  }

  @Test func valuesStayFromOnePieceToTheNext() throws {
    var interpreter = CodeInterpreter()
    try interpreter.run("cwnd = 10") { _ in nil }
    try interpreter.run("cwnd += 1; assert cwnd == 11, cwnd") { _ in nil }
    #expect(interpreter.variables["cwnd"] == .integer(11))
  }

  @Test(arguments: [
    ("for i in x: pass", CodeProblem.unsupported("the statement 'for'")),
    ("assert tcpi_x == 1", .unknownName("tcpi_x")),
    ("x = 1 / 0", .type("division by zero")), ("x = 1 % 0", .type("division by zero")),
    ("x = 9223372036854775807 + 1", .type("9223372036854775807 + 1 is too large")),
    ("x = 1 << 70", .type("1 << 70 is out of range")),
    ("x = 'a' - 1", .type("a - 1 makes no sense")),
    ("x = open('f')", .unsupported("the function open with 1 arguments")),
    ("x = 'never", .unsupported("a string that is never closed")), ("x = [1]", .unsupported("'['")),
    ("x = 1 2", .unsupported("'2' after a statement")),
    ("x = (1", .unsupported("')' was expected, not the end")),
    ("if 1:", .unsupported("a block without a statement")),
    ("x = '%d %d' % 1", .type("'%d %d' wants more values")),
  ])
  func whatIsNotUnderstoodIsNamed(code: String, problem: CodeProblem) {
    #expect(throws: problem) { try run(code) }
  }

  @Test func deepCodeIsRefusedNotFollowed() {
    let code = "x = " + String(repeating: "(", count: 5000) + "1" + String(repeating: ")", count: 5000)
    #expect(throws: CodeProblem.unsupported("code that is nested so deep")) { try run(code) }
    #expect(throws: CodeProblem.self) { try run("x = " + String(repeating: "not ", count: 5000) + "1") }
    #expect(throws: CodeProblem.self) { try run("x = " + String(repeating: "-", count: 5000) + "1") }
  }
}
