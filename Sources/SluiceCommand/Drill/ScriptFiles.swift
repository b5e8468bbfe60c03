import Glibc

/// The scripts that a command line names: files as they are, folders with every `.pkt` file below them in order
/// of their names.
enum ScriptFiles {
  /// The paths of scripts, and what could not be looked at.
  static func find(_ names: [String]) throws -> [String] {
    var paths: [String] = []
    for name in names { try collect(name, isNamed: true, depth: 0, into: &paths) }
    return paths
  }

  /// Folders deeper than this are a loop of links.
  private static let depthLimit = 40

  private static func collect(_ path: String, isNamed: Bool, depth: Int, into paths: inout [String]) throws {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else {
      // A link to nowhere below a folder is nobody's script.
      if !isNamed { return }
      throw Failure("\(path): \(unsafe String(cString: strerror(errno))).")
    }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      if isNamed || path.hasSuffix(".pkt") { paths.append(path) }
      return
    }
    guard depth < depthLimit else { throw Failure("\(path): folders are nested too deep.") }
    for name in try entries(path) {
      try collect("\(path)/\(name)", isNamed: false, depth: depth + 1, into: &paths)
    }
  }

  private static func entries(_ path: String) throws -> [String] {
    guard let folder = unsafe opendir(path) else {
      throw Failure("\(path): \(unsafe String(cString: strerror(errno))).")
    }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafePointer(to: entry.pointee.d_name) {
        unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
  }

  /// A larger file is no script.
  static let byteLimit = 4 << 20

  /// The bytes of a file.
  static func read(_ path: String) throws -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure("\(path): \(unsafe String(cString: strerror(errno))).") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe Glibc.read(descriptor, &part, part.count)
      if count == 0 { return bytes }
      guard count > 0 else { throw Failure("\(path): \(unsafe String(cString: strerror(errno))).") }
      bytes += part[..<count]
      guard bytes.count <= byteLimit else {
        throw Failure("\(path): larger than \(byteLimit) bytes, no script.")
      }
    }
  }
}
