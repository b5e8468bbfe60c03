import Foundation

/// The house as it stands on disk: the package description and every source file of its targets.
struct House {
  var description: PackageDescription
  var files: [SourceFile]
  /// Folders below `Sources` and `Tests`: each must be a target, or nothing would look into it.
  var folders: [String]
  /// What must hold, by number: scenarios and invariants.
  var claims: [Claim]

  func files(of target: TargetDescription) -> [SourceFile] {
    files.filter { $0.target == target.name }
  }

  /// Read once for all checks.
  static let current = Result { try House(root: packageRoot) }

  /// Two folders above this file's own.
  static var packageRoot: URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
  }

  init(root: URL) throws {
    description = try Self.describe(root)
    files = []
    for target in description.targets {
      files += try Self.sources(of: target, root)
    }
    claims = try Claim.parse(
      String(contentsOf: root.appendingPathComponent(ProofPage.list), encoding: .utf8))
    folders = try ["Sources", "Tests"].flatMap { parent in
      let parentFolder = root.appendingPathComponent(parent)
      return try FileManager.default.contentsOfDirectory(atPath: parentFolder.path).map { "\(parent)/\($0)" }
    }
  }

  /// Asks SwiftPM itself, with a scratch path of its own: the running test holds the lock of the usual one.
  private static func describe(_ root: URL) throws -> PackageDescription {
    let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("house-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: scratch) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
      "swift", "package", "--package-path", root.path, "--scratch-path", scratch.path,
      "--manifest-cache", "none", "dump-package",
    ]
    let output = Pipe()
    process.standardOutput = output
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let text = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw HouseError("swift package dump-package ended with status \(process.terminationStatus)")
    }
    return try JSONDecoder().decode(PackageDescription.self, from: text)
  }

  private static func sources(of target: TargetDescription, _ root: URL) throws -> [SourceFile] {
    let folder = root.appendingPathComponent(target.folder)
    guard let walk = FileManager.default.enumerator(atPath: folder.path) else {
      throw HouseError("target \(target.name) has no folder \(folder.path)")
    }
    var found: [SourceFile] = []
    for case let path as String in walk where isSource(path) {
      let text = try String(contentsOf: folder.appendingPathComponent(path), encoding: .utf8)
      found.append(SourceFile(target: target.name, path: "\(target.folder)/\(path)", text: text))
    }
    return found.sorted { $0.path < $1.path }
  }

  private static func isSource(_ path: String) -> Bool {
    ["swift", "c", "h", "S"].contains((path as NSString).pathExtension)
  }
}
