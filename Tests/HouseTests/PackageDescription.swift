import Foundation

/// What `swift package dump-package` says about the house, as far as the checks need it.
struct PackageDescription: Decodable, Equatable {
  var targets: [TargetDescription]

  func target(_ name: String) -> TargetDescription? {
    targets.first { $0.name == name }
  }
}

/// One target: its name, what it may import and how it is compiled.
struct TargetDescription: Decodable, Equatable {
  var name: String
  var type: String
  var path: String?
  var dependencies: [DependencyDescription]
  var settings: [SettingDescription]

  var isTest: Bool { type == "test" }
  /// Relative to the root of the package; SwiftPM's rule where the manifest does not say.
  var folder: String { path ?? (isTest ? "Tests/" : "Sources/") + name }
  /// Names of targets of this package (products of other packages are not among them).
  var targetNames: [String] { dependencies.filter { !$0.isProduct }.map(\.name) }
}

/// `{"byName": ["Wire", null]}`, `{"target": …}` or `{"product": ["ArgumentParser", "…", …]}`.
struct DependencyDescription: Decodable, Equatable {
  var name: String
  var isProduct: Bool

  init(target: String) {
    name = target
    isProduct = false
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: AnyKey.self)
    guard let key = container.allKeys.first, container.allKeys.count == 1 else {
      throw HouseError("a dependency of an unknown shape: \(container.allKeys)")
    }
    var list = try container.nestedUnkeyedContainer(forKey: key)
    name = try list.decode(String.self)
    isProduct = key.stringValue == "product"
  }
}

/// `{"kind": {"treatAllWarnings": {"_0": "error"}}, "tool": "swift"}` as `treatAllWarnings` and `error`.
struct SettingDescription: Decodable, Equatable {
  var tool: String
  var name: String
  var value: String?

  init(tool: String = "swift", name: String, value: String? = nil) {
    self.tool = tool
    self.name = name
    self.value = value
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: AnyKey.self)
    tool = try container.decode(String.self, forKey: AnyKey("tool"))
    let kind = try container.nestedContainer(keyedBy: AnyKey.self, forKey: AnyKey("kind"))
    guard let key = kind.allKeys.first else { throw HouseError("a setting without a kind") }
    name = key.stringValue
    let values = try kind.nestedContainer(keyedBy: AnyKey.self, forKey: key)
    // The value of a list (unsafeFlags) matters to nobody: such a setting is refused by its name.
    value = try? values.decodeIfPresent(String.self, forKey: AnyKey("_0"))
  }
}

struct AnyKey: CodingKey {
  var stringValue: String
  var intValue: Int? { nil }
  init(_ name: String) { stringValue = name }
  init?(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

/// A check could not be made at all: louder than a violation, and never a pass.
struct HouseError: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}
