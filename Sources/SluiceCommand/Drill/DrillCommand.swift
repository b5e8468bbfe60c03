import ArgumentParser
import Drill
import Glibc

/// `sluice drill`.
struct DrillCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drill",
    abstract: "Run packetdrill scripts against the stack, in virtual time.")

  @Argument(help: ArgumentHelp("Scripts, or folders with scripts.", valueName: "FILE.pkt"))
  var files: [String]

  @Flag(name: .customLong("dry_run"), help: "Only read the scripts.")
  var dryRun = false

  func run() throws {
    var failed = 0
    let paths = try ScriptFiles.find(files)
    for path in paths {
      do {
        let script = try Script(parsing: try ScriptFiles.read(path), definitions: ["STANDARD": ""])
        let again = try Script(parsing: Array(script.description.utf8));
        if again.description != script.description { print("DIFFERS", path) }
      } catch let error as ScriptError {
        print("FAIL \(path):\(error)")
        failed += 1
      }
    }
    print("\(paths.count - failed) parsed, \(failed) failed")
  }
}
