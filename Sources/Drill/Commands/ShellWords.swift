/// A simple command of a shell script: its words without quotes, and how it hangs on the one before.
struct ShellStep: Equatable {
  /// What stands before a command.
  enum Link: Equatable {
    /// `;`, `&&` or a new line.
    case after
    /// `||`: only where the one before failed.
    case orElse
    /// `|`: reads what the one before prints.
    case pipe
  }
  var link: Link
  var words: [String]
}

/// The commands of a text for the shell. Redirections are dropped, and comments; of what a shell expands only whole numbers
/// are, `$((15*1024))`.
func shellSteps(_ text: String) -> [ShellStep] {
  let bytes = Array(text.utf8)
  var steps: [ShellStep] = []
  var words: [String] = []
  var word: [UInt8]?
  var link = ShellStep.Link.after
  var isTarget = false
  var at = 0
  func byte(_ ahead: Int) -> UInt8? { at + ahead < bytes.count ? bytes[at + ahead] : nil }
  func endWord() {
    guard let letters = word else { return }
    word = nil
    if isTarget {
      isTarget = false
    } else {
      words.append(String(decoding: letters, as: UTF8.self))
    }
  }
  func endStep(_ following: ShellStep.Link, taking count: Int) {
    endWord()
    if !words.isEmpty { steps.append(ShellStep(link: link, words: words)) }
    if !words.isEmpty || following != .after { link = following }
    words = []
    at += count
  }
  while at < bytes.count {
    let letter = bytes[at]
    switch letter {
    case UInt8(ascii: "\\") where byte(1) == UInt8(ascii: "\n"): at += 2
    case UInt8(ascii: "\\") where byte(1) != nil:
      word = (word ?? []) + [bytes[at + 1]]
      at += 2
    case UInt8(ascii: "'"), UInt8(ascii: "\""):
      at += 1
      word = word ?? []
      while at < bytes.count, bytes[at] != letter {
        if letter == UInt8(ascii: "\""), let sum = shellSum(bytes, at: at) {
          word?.append(contentsOf: sum.digits)
          at += sum.count
        } else {
          word?.append(bytes[at])
          at += 1
        }
      }
      at += 1
    case UInt8(ascii: "$") where byte(1) == UInt8(ascii: "("):
      guard let sum = shellSum(bytes, at: at) else {
        word = (word ?? []) + [letter]
        at += 1
        continue
      }
      word = (word ?? []) + sum.digits
      at += sum.count
    case UInt8(ascii: "|") where byte(1) == letter: endStep(.orElse, taking: 2)
    case UInt8(ascii: "|"): endStep(.pipe, taking: 1)
    case UInt8(ascii: "&") where byte(1) == letter: endStep(.after, taking: 2)
    case UInt8(ascii: "&") where byte(1) == UInt8(ascii: ">"): at += 1
    case UInt8(ascii: "&") where isTarget: at += 1
    case UInt8(ascii: "&"), UInt8(ascii: ";"), UInt8(ascii: "\n"): endStep(.after, taking: 1)
    case UInt8(ascii: ">"), UInt8(ascii: "<"):
      // `2>`: the digit is no word.
      if let digits = word, digits.allSatisfy(\.isDigit) { word = nil }
      endWord()
      // Where the output goes to matters of `echo` alone, which keeps its target.
      isTarget = words.first != "echo"
      if !isTarget { words.append(">") }
      at += 1
      while byte(0) == letter { at += 1 }
    case UInt8(ascii: "#") where word == nil:
      while at < bytes.count, bytes[at] != UInt8(ascii: "\n") { at += 1 }
    case _ where letter.isBlank:
      endWord()
      at += 1
    default:
      word = (word ?? []) + [letter]
      at += 1
    }
  }
  endStep(.after, taking: 0)
  return steps
}

/// The value of `$((…))` at a place of a text, and how many bytes it takes there; nil: no such thing is there, or its value
/// is no whole number.
private func shellSum(_ bytes: [UInt8], at start: Int) -> (digits: [UInt8], count: Int)? {
  let opening = Array("$((".utf8)
  guard bytes[start...].starts(with: opening) else { return nil }
  var end = start + opening.count
  var depth = 0
  while end < bytes.count {
    if bytes[end] == UInt8(ascii: "(") { depth += 1 }
    if bytes[end] == UInt8(ascii: ")") {
      if depth == 0 { break }
      depth -= 1
    }
    end += 1
  }
  guard end + 1 < bytes.count, bytes[end + 1] == UInt8(ascii: ")") else { return nil }
  var interpreter = CodeInterpreter()
  let text = String(decoding: bytes[(start + opening.count)..<end], as: UTF8.self)
  guard (try? interpreter.run("sum = \(text)") { _ in nil }) != nil,
    case .integer(let sum) = interpreter.variables["sum"]
  else { return nil }
  return (Array("\(sum)".utf8), end + 2 - start)
}
