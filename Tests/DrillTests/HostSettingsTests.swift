import Testing

@testable import Drill

@Suite struct HostNumberTests {
  @Test func errorsAreFoundByTheirSpelling() {
    for errno in Errno.allCases { #expect(Errno(name: errno.name) == errno) }
    #expect(Errno(name: "EWOULDBLOCK") == .EAGAIN)
    #expect(Errno(name: "EDOESNOTEXIST") == nil)
    #expect(Errno.ECONNREFUSED.name == "ECONNREFUSED")
  }
}
