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

/// The commands of a text for the shell. Redirections are dropped, and comments; nothing is expanded.
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
        word?.append(bytes[at])
        at += 1
      }
      at += 1
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
