import Chance

/// Where decisions come from: a seed, or a script of bytes that somebody else wrote, a fuzzer for one.
struct Decisions {
  private var random: SeededGenerator
  private let script: [UInt8]?
  private var position = 0

  init(seed: UInt64) {
    random = SeededGenerator(seed: seed)
    script = nil
  }
  init(script: [UInt8]) {
    random = SeededGenerator(seed: 0)
    self.script = script
  }

  /// The script has ended.
  var isExhausted: Bool { script.map { position >= $0.count } ?? false }

  /// A byte of the script; 0 after its end.
  private mutating func byte(_ script: [UInt8]) -> UInt64 {
    defer { position += 1 }
    return position < script.count ? UInt64(script[position]) : 0
  }

  /// Any word; of a script four bytes.
  mutating func next() -> UInt64 {
    guard let script else { return random.next() }
    return (0..<4).reduce(0) { word, _ in word << 8 | byte(script) }
  }
  /// 0..<`bound`, which is at least 1; of a script as many bytes as that takes.
  mutating func below(_ bound: Int) -> Int {
    guard let script else { return random.below(bound) }
    var (word, left) = (byte(script), UInt64(bound - 1) >> 8)
    while left > 0 {
      word = word << 8 | byte(script)
      left >>= 8
    }
    return Int(word % UInt64(bound))
  }
  /// True `percent` times of 100; never after the script's end, where everything else is 0.
  mutating func chance(percent: Int) -> Bool { !isExhausted && below(100) < percent }
  /// True with a probability of 0...1.
  mutating func chance(_ probability: Double) -> Bool {
    guard script != nil else { return random.chance(probability) }
    // Half of the frames, so that a script reaches beyond the handshake.
    return probability > 0 && below(2) == 1
  }
}
