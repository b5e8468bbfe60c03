import Exclusion
import Foundation
import Testing

/// The compiler that built these tests, and the modules beside them.
struct Compiler {
  struct NotFound: Error, CustomStringConvertible {
    let description: String
  }

  let executable: String
  /// Where `Exclusion.swiftmodule` is, and the C module that it imports.
  let modules: String
  let moduleMap: String
  let moduleCache: String

  /// Throws, so that the tests fail, if something is not where it must be.
  init() throws {
    let files = FileManager.default
    let tests = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    let products = tests.deletingLastPathComponent().path
    let folders = [products + "/Modules", products]
    guard let modules = folders.first(where: { files.fileExists(atPath: $0 + "/Exclusion.swiftmodule") })
    else { throw NotFound(description: "no Exclusion.swiftmodule beside \(tests.path)") }
    moduleMap = products + "/CLinux.build/module.modulemap"
    guard files.fileExists(atPath: moduleMap) else { throw NotFound(description: "no \(moduleMap)") }
    guard let executable = Self.candidates.first(where: { files.isExecutableFile(atPath: $0) })
    else { throw NotFound(description: "no swiftc among \(Self.candidates)") }
    self.modules = modules
    self.executable = executable
    moduleCache = products + "/ModuleCache"
  }

  /// The one whose runtime library this process runs with, then those on the path.
  private static let candidates: [String] = {
    var found: [String] = []
    let maps = (try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8)) ?? ""
    let lines = maps.split(separator: "\n")
    if let line = lines.first(where: { $0.hasSuffix("/lib/swift/linux/libswiftCore.so") }),
      let slash = line.firstIndex(of: "/")
    {
      let library = URL(fileURLWithPath: String(line[slash...]))
      found.append(library.appendingPathComponent("../../../../bin/swiftc").standardizedFileURL.path)
    }
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    return found + path.split(separator: ":").map { $0 + "/swiftc" }
  }()

  /// Compiles `source` as a client in another package would, as far as the last pass that can refuse it: token
  /// lifetimes, exclusivity and regions are checked after types. Returns the errors, one a line.
  func errors(in source: String) throws -> [String] {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("misuse-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent("Misuse.swift")
    try source.write(to: file, atomically: false, encoding: .utf8)
    let log = folder.appendingPathComponent("log")
    _ = FileManager.default.createFile(atPath: log.path, contents: nil)
    let output = try FileHandle(forWritingTo: log)

    let process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = [
      "-emit-sil", file.path, "-o", folder.appendingPathComponent("sil").path, "-module-name", "Misuse",
      "-swift-version", "6", "-enable-experimental-feature", "Lifetimes", "-diagnostic-style=llvm",
      "-I", modules, "-Xcc", "-fmodule-map-file=" + moduleMap, "-module-cache-path", moduleCache,
    ]
    process.standardOutput = output
    process.standardError = output
    try process.run()
    process.waitUntilExit()
    let text = try String(contentsOf: log, encoding: .utf8)
    let errors = text.split(separator: "\n").map(String.init).filter { $0.contains("error: ") }
    if process.terminationStatus != 0 && errors.isEmpty {
      throw NotFound(description: "the compiler failed without an error: \(text)")
    }
    return errors
  }
}
