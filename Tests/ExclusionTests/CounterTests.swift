import Testing

@testable import Exclusion

/// Counters that many threads increment.
@Suite struct CounterTests {
  private final class Holder: Sendable { let counter = StripedCounter() }

  @Test func nothingThatThreadsCountIsLost() throws {
    let holder = Holder()
    // More threads than places: some share one.
    let body: @Sendable () -> Void = { for _ in 0..<500 { holder.counter.increment() } }
    try together(Array(repeating: body, count: 20))
    #expect(holder.counter.value == 10_000)
  }
}
