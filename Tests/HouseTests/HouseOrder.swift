/// The order of the house, written once: DESIGN section 1, bottom to top.
enum HouseOrder {
  static let bottomToTop = [
    "CLinux", "CFiber", "Chance", "Wire", "Exclusion", "Timing", "Buffers", "Devices", "DeviceTesting",
    "LinuxDevices",
    "SoftInterrupts", "Internet", "TCP", "Sockets", "Drill", "Simulation", "Sluice", "Forwarding",
    "Benchmarks", "Explorer", "SluiceExplore", "SluiceCommand",
  ]

  static func height(_ target: String) -> Int? {
    bottomToTop.firstIndex(of: target)
  }

  /// What may not be imported although it stands below: the engine is pure, and nothing above `Devices`
  /// knows Linux before the stack is assembled.
  static let neighbours: [(importers: Set<String>, imported: Set<String>)] = [
    (["TCP"], ["Devices", "LinuxDevices", "SoftInterrupts", "Internet"]),
    (["SoftInterrupts", "Internet", "TCP", "Sockets"], ["LinuxDevices", "CLinux"]),
    (["Devices"], ["CLinux"]),
    (
      [
        "LinuxDevices", "SoftInterrupts", "Internet", "TCP", "Sockets", "Sluice", "Benchmarks",
        "SluiceCommand",
      ],
      ["DeviceTesting"]
    ),
    (Set(bottomToTop).subtracting(["Explorer", "Simulation"]), ["Chance"]),
    (["Simulation"], ["LinuxDevices", "CLinux", "DeviceTesting"]),
    (["Sluice", "Forwarding", "Benchmarks", "Explorer", "SluiceExplore"], ["Simulation"]),
  ]

  /// Modules that come with the toolchain, and who may import them. Whatever is not here is refused.
  static let toolchainModules: [String: Set<String>] = [
    "Swift": Set(bottomToTop),
    "Synchronization": ["Exclusion"],
    "Glibc": [
      "Exclusion", "Timing", "LinuxDevices", "Explorer", "Sluice", "Forwarding", "Benchmarks",
      "SluiceCommand",
    ],
    "Foundation": ["SluiceExplore", "Sluice", "SluiceCommand"],
    "FoundationEssentials": ["Sluice", "SluiceCommand"],
    "_Concurrency": ["Sluice", "SluiceCommand"],
  ]
  static let toolchainModulesOfTests: Set<String> = ["Testing", "Foundation", "Glibc", "Synchronization"]

  /// Whether the target may know Swift concurrency: `Sluice` and what stands above it.
  static func knowsConcurrency(_ target: String) -> Bool {
    guard let own = height(target), let edge = height("Sluice") else { return false }
    return own >= edge
  }

  /// How every Swift target is compiled.
  static let settings: [SettingDescription] = [
    .init(name: "swiftLanguageMode", value: "6"),
    .init(name: "strictMemorySafety"),
    .init(name: "treatAllWarnings", value: "error"),
  ]

  /// Where a token may come from nothing: the primitives themselves, the loop of a context, and the entries
  /// of the interface that programs call.
  static let tokenRoots: [String: Set<String>] = [
    "withContextRoot": ["Exclusion", "SoftInterrupts", "Explorer"],
    "withContextStep": ["Exclusion", "SoftInterrupts"],
    "withGuestRoot": ["Exclusion", "SoftInterrupts"],
    "withApplication": ["Exclusion", "Sockets", "Explorer", "Sluice"],
    "_lock": ["Exclusion"],  // takes a token of any level: behind the ordered ones only
  ]
  /// Tokens whose initialisers nobody but `Exclusion` calls.
  static let tokens: Set<String> = ["Held", "SoftInterrupt", "ContextRoot"]
}
