public import Timing

/// How the transmit queues of a device behave.
public struct TransmitConfiguration: Sendable, Hashable {
  /// In which order packets wait for the driver, and how many.
  public var discipline: DisciplineChoice
  /// How many bytes a device that completes later may have in flight.
  public var byteLimit: ByteLimitParameters
  /// How long a queue may stand still with packets waiting before that is reported, and the driver told; zero:
  /// for ever.
  public var watchdog: Nanoseconds

  /// First in, first out; byte limits where they apply; five seconds.
  public init(
    discipline: DisciplineChoice = .fifo, byteLimit: ByteLimitParameters = ByteLimitParameters(),
    watchdog: Nanoseconds = .seconds(5)
  ) {
    self.discipline = discipline
    self.byteLimit = byteLimit
    self.watchdog = watchdog
  }
}
