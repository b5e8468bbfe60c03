import Testing
import Foundation

/// The scripts in Tests/Scripts.
enum ScriptFolder {
  struct File: Sendable, CustomTestStringConvertible {
    var name: String
    var bytes: [UInt8]
    var testDescription: String { name }
  }

  static let url = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Scripts")

  /// All of them, by name.
  static let files: [File] = {
    let names = FileManager.default.enumerator(atPath: url.path)?.compactMap { $0 as? String } ?? []
    return names.filter { $0.hasSuffix(".pkt") }.sorted().compactMap { name in
      (try? Data(contentsOf: url.appending(path: name))).map { File(name: name, bytes: Array($0)) }
    }
  }()
}
