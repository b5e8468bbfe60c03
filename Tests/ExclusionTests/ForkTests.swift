import Exclusion
import Glibc
import Testing

@Suite struct ForkTests {
  /// L6: a stack stays its parent's; a child is known as one before it touches anything.
  @Test func L6_aForkedChildIsKnownAsOne() throws {
    #expect(!isForkedChild())
    // Swift hides fork; the child does nothing but look and leave.
    let symbol = unsafe try #require(unsafe dlsym(UnsafeMutableRawPointer(bitPattern: 0), "fork"))
    let fork = unsafe unsafeBitCast(symbol, to: (@convention(c) () -> pid_t).self)
    let child = fork()
    if child == 0 { _exit(isForkedChild() ? 7 : 1) }
    try #require(child > 0)
    var status: Int32 = 0
    #expect(unsafe waitpid(child, &status, 0) == child)
    #expect(status >> 8 & 0xFF == 7)
    #expect(!isForkedChild())
  }
}
