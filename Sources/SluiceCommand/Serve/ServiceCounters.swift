import Exclusion

/// What a loop of services counted; one writer, its thread, and anyone reads.
struct ServiceCounters: ~Copyable, Sendable {
  /// Connections now.
  let open = Counter()
  /// Connections that were taken.
  let accepted = Counter()
  /// Connections that were reset because there were too many.
  let refused = Counter()
  /// Connections that ended in order.
  let finished = Counter()
  /// Connections that broke.
  let failed = Counter()
  /// Bytes that peers sent.
  let bytesTaken = Counter()
  /// Bytes that were handed to the stack for peers.
  let bytesGiven = Counter()
  /// Times that the loop looked for news.
  let turns = Counter()
  /// Times that it slept.
  let sleeps = Counter()
}
