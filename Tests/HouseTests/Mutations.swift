/// For every rule, changes to the house that must make it complain, and nothing but it.
extension Rule {
  struct Mutation: Sendable {
    var name: String
    var apply: @Sendable (inout House) -> Void

    init(_ name: String, _ apply: @escaping @Sendable (inout House) -> Void) {
      self.name = name
      self.apply = apply
    }
  }

  var mutations: [Mutation] {
    switch self {
    case .knownTargets:
      [.init("a target nobody planned") { $0.description.targets[0].name = "Utilities" }]
    case .upwardArrows:
      [
        .init("Wire depends on TCP") { $0.depend("Wire", on: "TCP") },
        .init("Buffers depends on itself") { $0.depend("Buffers", on: "Buffers") },
        .init("Devices depends on LinuxDevices") { $0.depend("Devices", on: "LinuxDevices") },
      ]
    case .sidewaysArrows:
      [
        .init("TCP depends on Devices") { $0.depend("TCP", on: "Devices") },
        .init("TCP depends on Internet") { $0.depend("TCP", on: "Internet") },
        .init("Internet depends on LinuxDevices") { $0.depend("Internet", on: "LinuxDevices") },
        .init("Sockets depends on CLinux") { $0.depend("Sockets", on: "CLinux") },
      ]
    case .settings:
      HouseOrder.settings.map { setting in
        .init("Wire without \(setting.name)") { house in
          house.add("Wire", "let one = 1")
          house.change("Wire") { $0.settings.removeAll { $0 == setting } }
        }
      } + [
        .init("unsafe flags for the linker") { house in
          house.change("Wire") { $0.settings.append(.init(tool: "linker", name: "unsafeFlags")) }
        }
      ]
    case .noStrayFolders:
      [.init("a folder without a target") { $0.folders.append("Sources/Attic") }]
    case .declaredImports:
      [
        .source("Wire", "import TCP"), .source("Wire", "@testable import Timing"),
        .source("Devices", "public import struct Foundation.Data"), .source("Buffers", "import Glibc"),
        .source("TCP", "import Synchronization"), .source("Timing", "internal import _Concurrency"),
      ]
    case .concurrencyStaysAbove:
      Self.concurrencyWords.sorted().filter { !Self.synchronisationWords.contains($0) }.map {
        .source("Sockets", "  let it = \($0)")
      }
    case .synchronisationInExclusion:
      Self.synchronisationWords.sorted().filter { !Self.concurrencyWords.contains($0) }.map {
        .source("Sluice", "  let it: \($0)<Int>")
      }
        + Self.synchronisationPrefixes.map { .source("LinuxDevices", "  unsafe \($0)_do(\"it\")") }
    case .tokenRoots:
      [
        .source("TCP", "withApplication { held in"), .source("Internet", "try withContextRoot(core) {"),
        .source("Sockets", "return withGuestRoot(core) {"),
        .source("Sockets", "var held = Held<Unlocked>()"), .source("Sockets", "let cx = SoftInterrupt(core)"),
        .source("Sluice", "return ContextRoot.init(core)"),
        .source("Sockets", "names._lock(&held) { $0 = it }"),
      ]
    case .explainedDoors:
      [
        .source("Wire", "\nstruct Word: @unchecked Sendable {}"),
        .source("Wire", "// why\n\nnonisolated(unsafe) var word = 1"),
        .source("Wire", "let a = 1\n@frozen\nstruct Word: @unchecked Sendable {}"),
      ]
    case .finishedWork:
      Self.marks.sorted().map { .source("Wire", "let a = \"\" // \($0): later") }
        + Self.marks.sorted().map { .source("WireTests", "/*\n * \($0) later\n */") }
    case .claimsAreTested:
      [
        .init("a scenario without a test") { $0.claim("Z1") },
        .init("a test of an unknown scenario") { $0.add("WireTests", "@Test func Z1_nobodyAsked() {}") },
      ]
    case .orderIsExplored:
      [
        .init("an order that is not explored") { house in
          house.explore("")
          house.claim("Z1", isAboutOrder: true)
        },
        .init("an order without a mutation") { house in
          house.claim("Z1", isAboutOrder: true)
          house.explore(#"Scenario(id: "Z1", title: "none", search: .sampled, mutations: []) {}"#)
        },
        .init("a mutation that nobody finds") { house in
          house.explore("")
          house.add("Wire", #"extension Mutation { static let forgotten = Mutation("forgotten") }"#)
        },
        .init("a mutation that no code has") { house in
          house.explore(##"Scenario(id: "Z1", title: "one", search: .sampled, mutations: ["invented"]) {}"##)
        },
      ]
    }
  }
}

extension Rule.Mutation {
  static func source(_ target: String, _ text: String) -> Self {
    .init("\(target) with: \(text)") { $0.add(target, text) }
  }
}

extension House {
  /// A target is added where the real house does not have it yet, so that a mutation always takes.
  fileprivate mutating func change(_ name: String, _ body: (inout TargetDescription) -> Void) {
    guard let index = description.targets.firstIndex(where: { $0.name == name }) else {
      var target = TargetDescription(
        name: name, type: name.hasSuffix("Tests") ? "test" : "regular", path: nil, dependencies: [],
        settings: HouseOrder.settings)
      body(&target)
      description.targets.append(target)
      return
    }
    body(&description.targets[index])
  }

  fileprivate mutating func depend(_ name: String, on other: String) {
    change(name) { $0.dependencies.append(.init(target: other)) }
  }

  fileprivate mutating func claim(_ id: String, isAboutOrder: Bool = false) {
    claims.append(Claim(id: id, isAboutOrder: isAboutOrder, text: "something new", heading: "News"))
  }

  /// A file of the explorer's, in a target that every house has.
  fileprivate mutating func explore(_ text: String) {
    files.append(SourceFile(target: "Wire", path: "Sources/Explorer/Scenarios/Mutation.swift", text: text))
  }

  fileprivate mutating func add(_ target: String, _ text: String) {
    change(target) { _ in }
    files.append(SourceFile(target: target, path: "Sources/\(target)/Mutation.swift", text: text))
  }
}
