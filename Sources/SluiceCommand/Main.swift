import ArgumentParser
import Glibc

/// `sluice`: the command line.
struct SluiceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice",
    abstract: "A TCP/IP stack in user space, and programs that talk to it.",
    discussion: """
      Examples:
        sluice run -- curl -s http://10.0.2.2/
        sluice run -- ping -c 3 10.0.2.2
        sluice run -p 8080:80 -- python3 -m http.server 80
        sluice run --help
        sluice gateway --pid 1234
        sluice serve --tap tap0 --address 10.0.5.2/24
        sluice top
        sluice bench pair-bulk pair-rr
        sluice sim --seeds 1..10
      """,
    version: "sluice \(Version.text)",
    subcommands: [
      RunCommand.self, GatewayCommand.self, ForwardCommand.self, ServeCommand.self, SocketsCommand.self,
      StatCommand.self, TopCommand.self, BenchCommand.self, DrillCommand.self, SimCommand.self,
      FloodCommand.self,
    ])
}

extension SluiceCommand {
  /// The command that arguments begin with, as far as it is known: `sluice sim` for `sim --seeds x`.
  static func name(of arguments: [String]) -> String {
    var command: any ParsableCommand.Type = SluiceCommand.self
    var words = ["sluice"]
    for argument in arguments {
      guard
        let next = command.configuration.subcommands.first(where: { $0.configuration.commandName == argument }
        )
      else { break }
      command = next
      words.append(argument)
    }
    return words.joined(separator: " ")
  }
}

/// Of this program.
enum Version {
  static let text = "0.1.0"
}

@main
enum Main {
  static func main() {
    // A link of that name is what container engines look for.
    var arguments = Array(CommandLine.arguments.dropFirst())
    if CommandLine.arguments.first?.split(separator: "/").last == "slirp4netns" {
      arguments.insert("gateway", at: 0)
    }
    do {
      var command = try SluiceCommand.parseAsRoot(arguments)
      try command.run()
    } catch let failure as Failure {
      complain(failure.message)
      exit(failure.code)
    } catch let status as ExitCode {
      exit(status.rawValue)
    } catch {
      if SluiceCommand.exitCode(for: error).isSuccess {
        print(SluiceCommand.fullMessage(for: error))
        exit(0)
      }
      let asked = SluiceCommand.name(of: arguments)
      let message = SluiceCommand.message(for: error)
      complain("\(message)\(message.hasSuffix(".") ? "" : ".") See `\(asked) --help`.")
      exit(Failure.ownCode)
    }
  }
}

/// Why `sluice` itself gives up, in words that say what to do.
struct Failure: Error {
  var message: String
  /// 125 for what is ours, 126 and 127 for a command that cannot be executed or found, as `env` has it.
  var code = Self.ownCode

  static let ownCode: Int32 = 125

  init(_ message: String, code: Int32 = Failure.ownCode) {
    self.message = message
    self.code = code
  }
}

/// One line on standard error.
func complain(_ message: String) {
  let line = Array("sluice: \(message)\n".utf8)
  _ = unsafe write(STDERR_FILENO, line, line.count)
}
