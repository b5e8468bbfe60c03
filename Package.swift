// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableExperimentalFeature("Lifetimes"),
]

/// A target of the house, by what it imports: only what stands below it.
func house(_ name: String, _ imports: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: imports, swiftSettings: settings)
}
func tests(_ name: String, _ imports: [Target.Dependency], resources: [Resource] = []) -> Target {
  .testTarget(name: name, dependencies: imports, resources: resources, swiftSettings: settings)
}
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let targets: [Target] = [
  .target(name: "CLinux"),
  .target(name: "CFiber"),
  house("Chance"),
  house("Wire", ["CLinux"]),
  house("Exclusion", ["CLinux"]),
  house("Timing", ["CLinux", "Exclusion"]),
  house("Buffers", ["Wire", "Exclusion", "Timing"]),
  house("Devices", ["Wire", "Exclusion", "Timing", "Buffers"]),
  house("DeviceTesting", ["Wire", "Exclusion", "Timing", "Buffers", "Devices"]),
  house("LinuxDevices", ["CLinux", "Wire", "Exclusion", "Timing", "Buffers", "Devices"]),
  house("SoftInterrupts", ["Wire", "Exclusion", "Timing", "Buffers", "Devices"]),
  house("Internet", ["Wire", "Exclusion", "Timing", "Buffers", "Devices", "SoftInterrupts"]),
  house("TCP", ["Wire", "Exclusion", "Timing", "Buffers"]),
  house(
    "Sockets",
    ["Wire", "Exclusion", "Timing", "Buffers", "Devices", "SoftInterrupts", "Internet", "TCP"]),
  house(
    "Simulation",
    [
      "Chance", "Wire", "Exclusion", "Timing", "Buffers", "Devices", "SoftInterrupts", "Internet", "TCP",
      "Sockets",
    ]),
  house(
    "Sluice",
    [
      "CLinux", "Wire", "Exclusion", "Timing", "Buffers", "Devices", "LinuxDevices", "SoftInterrupts",
      "Internet", "TCP", "Sockets",
    ]),
  house(
    "Forwarding", ["CLinux", "Wire", "Exclusion", "Timing", "SoftInterrupts", "TCP", "Sockets", "Sluice"]),
  house(
    "Benchmarks",
    [
      "CLinux", "Wire", "Exclusion", "Timing", "Buffers", "Devices", "LinuxDevices", "SoftInterrupts", "TCP",
      "Sockets", "Sluice",
    ]),
  .executableTarget(
    name: "SluiceCommand",
    dependencies: [
      "Benchmarks", "Drill", "Simulation", "Forwarding", "Sluice", "Sockets", "TCP", "SoftInterrupts",
      "LinuxDevices",
      "Devices", "Buffers", "Exclusion",
      "CLinux", "Wire", "Timing", arguments,
    ],
    swiftSettings: settings),
  house(
    "Explorer",
    [
      "CFiber", "Chance", "Wire", "Exclusion", "Timing", "Buffers", "Devices", "DeviceTesting",
      "SoftInterrupts",
      "Internet", "TCP", "Sockets", "Sluice",
    ]),
  house(
    "Drill",
    ["Wire", "Exclusion", "Timing", "Buffers", "Devices", "SoftInterrupts", "Internet", "TCP", "Sockets"]),
  .executableTarget(
    name: "SluiceExplore", dependencies: ["Explorer", "Exclusion", arguments], swiftSettings: settings),
  tests("WireTests", ["Chance", "Wire"]),
  tests("ExclusionTests", ["Chance", "Exclusion"]),
  tests("TimingTests", ["Chance", "Timing", "Exclusion"]),
  tests("BuffersTests", ["Chance", "Buffers", "Wire", "Exclusion", "Timing"]),
  tests("DevicesTests", ["Chance", "DeviceTesting", "Devices", "Wire", "Buffers", "Exclusion", "Timing"]),
  tests(
    "LinuxDevicesTests",
    ["LinuxDevices", "Devices", "CLinux", "Wire", "Buffers", "Exclusion", "Timing"]),
  tests(
    "SoftInterruptsTests",
    ["SoftInterrupts", "DeviceTesting", "Devices", "Buffers", "Exclusion", "Timing", "Wire"]),
  tests(
    "InternetTests",
    ["Chance", "Internet", "SoftInterrupts", "Devices", "Wire", "Buffers", "Exclusion", "Timing"]),
  tests("TCPTests", ["Chance", "TCP", "Wire", "Buffers", "Exclusion", "Timing"]),
  tests(
    "SocketsTests",
    [
      "Chance", "Sockets", "DeviceTesting", "TCP", "Internet", "SoftInterrupts", "Devices", "Wire", "Buffers",
      "Exclusion", "Timing",
    ]),
  tests(
    "SluiceTests",
    [
      "Chance", "Sluice", "LinuxDevices", "Sockets", "Internet", "SoftInterrupts", "Devices", "Wire",
      "Timing",
      "Exclusion",
    ]),
  tests("SimulationTests", ["Chance", "Simulation", "Timing", "Buffers", "Wire"]),
  tests(
    "ForwardingTests",
    [
      "CLinux", "Forwarding", "Sluice", "Sockets", "Internet", "SoftInterrupts", "Devices", "Buffers",
      "Exclusion",
      "Timing", "Wire",
    ]),
  tests("BenchmarksTests", ["Benchmarks"]),
  tests(
    "CommandTests",
    ["Benchmarks", "Chance", "Drill", "Forwarding", "LinuxDevices", "SluiceCommand", "Sluice", "Wire"]),
  tests("DrillTests", ["Chance", "Drill", "Wire", "Timing"]),
  tests("HouseTests", []),
]

/// Targets of tests that are not built, by name: `.ci/run` does without those that no sanitizer runs where it builds for one.
let without = (Context.environment["SLUICE_WITHOUT"] ?? "").split(separator: " ").map(String.init)

let package = Package(
  name: "sluice",
  products: [
    .library(name: "Sluice", targets: ["Sluice"]),
    .executable(name: "sluice", targets: ["SluiceCommand"]),
    .executable(name: "sluice-explore", targets: ["SluiceExplore"]),
  ],
  traits: [
    .trait(
      name: "LockDep", description: "Check the lock order at run time and draw the graph that was seen."),
    .trait(
      name: "Explore",
      description: "Every atomic, fence, lock and park is a scheduling point of the schedule explorer."),
    .default(enabledTraits: []),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: targets.filter { !$0.isTest || !without.contains($0.name) }
)
