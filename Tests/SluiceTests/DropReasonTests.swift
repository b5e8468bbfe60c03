import Testing

@testable import Sluice

/// What was thrown away, by the names that users see.
@Suite struct DropReasonTests {
  /// Each name is a counter's, so that none is left out for being written otherwise.
  @Test func everyReasonIsACounter() throws {
    let stack = try Stack(StackConfiguration())
    let statistics = stack.statistics()
    let counted = Set(statistics.sockets.map(\.name))
    #expect(counted.count == statistics.sockets.count, "no name twice")
    #expect(DropReasons.socketCounters.subtracting(counted) == [])
    let drops = Set(statistics.drops.map(\.name))
    #expect(drops.count == statistics.drops.count && drops.isSuperset(of: DropReasons.socketCounters))
    #expect(drops.isSuperset(of: ["ingressForgedSource", "lo transmit"]))
    // One way of writing: letters and digits, as the fields of programs.
    for name in counted { #expect(name.allSatisfy { $0.isLetter || $0.isNumber }, "\(name)") }
    stack.shutdown()
  }
}
