#if canImport(Drill)
  @testable import Drill
#endif

/// What may be done with any bytes that could be a script, and what must hold then. The tests feed it damaged scripts;
/// `Fuzz/run` compiles this same file and lets libFuzzer choose.
enum ScriptReading {
  enum Outcome: Equatable {
    case refused
    case understood
    /// What was found wrong.
    case wrong(String)
  }

  /// Reads a script, writes it down and reads that: it must be the same. What its commands and its code mean is found
  /// out, too. Must not trap, whatever the bytes.
  static func read(_ bytes: [UInt8]) -> Outcome {
    var script: Script
    do throws(ScriptError) {
      script = try Script(parsing: bytes)
    } catch {
      let lines = bytes.count { $0 == UInt8(ascii: "\n") } + 1
      guard (1...lines).contains(error.position.line), error.position.column >= 1 else {
        return .wrong("the place \(error.position) is not in the text")
      }
      return .refused
    }
    // What was defined stands in its places now, and would change them again.
    script.options.removeAll { $0.name == "define" }
    let text = script.description
    do throws(ScriptError) {
      let again = try Script(text)
      guard again.withoutLines == script.withoutLines else { return .wrong("became another: \(text)") }
    } catch {
      return .wrong("cannot be read again: \(error): \(text)")
    }
    for event in script.events {
      if case .shell(let command) = event.action { _ = command.effects }
      if case .code(let code) = event.action { _ = run(code) }
    }
    return .understood
  }

  /// Runs code of which every name has a value.
  static func run(_ code: String) -> Outcome {
    var interpreter = CodeInterpreter()
    do throws(CodeProblem) {
      try interpreter.run(code) { Int64($0.utf8.count) }
      return .understood
    } catch {
      return .refused
    }
  }
}

extension Script {
  /// The same with every line 0: where it stands is not what it says.
  var withoutLines: Script {
    var script = self
    script.setUp?.line = 0
    script.cleanUp?.line = 0
    script.events = script.events.map { event in
      var event = event
      event.line = 0
      if case .shell(var command) = event.action {
        command.line = 0
        event.action = .shell(command)
      }
      return event
    }
    return script
  }
}
