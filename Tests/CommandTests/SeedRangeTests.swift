import Testing

@testable import SluiceCommand

@Suite struct SeedRangeTests {
  @Test func oneSeedOrARange() {
    #expect(SeedRange(argument: "7")?.seeds == 7...7)
    #expect(SeedRange(argument: "1..100")?.seeds == 1...100)
    #expect(SeedRange(argument: "18446744073709551615")?.seeds.lowerBound == .max)
  }

  @Test(arguments: ["", "a", "-1", "1..", "..2", "2..1", "1...3", "1.2", "1..2..3", "18446744073709551616"])
  func whatIsNoneIsRefused(_ text: String) {
    #expect(SeedRange(argument: text) == nil)
  }
}
