import Chance
import Wire

/// One parser, as something that takes any bytes. The tests feed it seeded random bytes; `Fuzz/run` compiles
/// these same files and lets libFuzzer choose.
struct Exercise: Sendable, CustomStringConvertible {
  enum Outcome: Equatable {
    case refused
    case understood
    /// What was found wrong.
    case wrong(String)
  }

  let name: String
  /// A well-formed message of random values, which parse back to themselves.
  let sample: @Sendable (inout SeededGenerator) -> [UInt8]
  /// Parses any bytes, reads all that can be read, and finds it wrong if what was understood does not survive
  /// being emitted and parsed again. Must not trap, whatever the bytes.
  let read: @Sendable (RawSpan) -> Outcome

  var description: String { name }

  static let all: [Exercise] = [
    .ethernet, .arp, .ipv4, .ipv6, .icmpv4, .icmpv6, .neighborOptions, .udp, .tcp, .text, .checksum, .slip,
    .virtio, .framing, .dhcp, .vhostUser,
  ]
}

/// What `value` becomes when it is emitted into `count` bytes and parsed again; nil if it is refused.
func again<Value>(
  _ count: Int, _ emit: (inout MutableRawSpan) -> Void, _ parse: (RawSpan) throws(WireError) -> Value
) -> Value? {
  let bytes = emitting(count, emit)
  return try? reading(bytes, parse)
}

/// What comes of a value that was emitted and parsed again.
func compare<Value: Equatable>(_ first: Value, _ second: Value?) -> Exercise.Outcome {
  first == second ? .understood : .wrong("\(first) became \(String(describing: second))")
}

/// Keeps the optimiser from dropping reads whose only purpose is not to trap.
@inline(never) func consume<Value>(_ value: Value) {}
