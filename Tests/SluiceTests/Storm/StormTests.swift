import Testing

@Suite(.serialized, .timeLimit(.minutes(10))) struct StormTests {
  /// Everything at once, for a while: every byte that is read is the right one, nobody waits for what is there,
  /// and afterwards nothing is left.
  @Test func L8_L9_aStormOfThreadsLeavesNothing() throws {
    try Storm(.current).run()
  }
}
