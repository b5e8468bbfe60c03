/// Random numbers that are the same from the same seed on every machine, so that what failed is found again
/// (SplitMix64: Steele, Lea and Flood, 2014). Not for secrets. A value type: each thread, and each part of a
/// simulation, has its own.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64
  /// Any seed; neighbouring seeds have nothing in common.
  public init(seed: UInt64) { state = seed }

  /// Any word.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mixed(state)
  }
  /// 0..<`bound`, which is at least 1.
  public mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
  /// True `percent` times of 100.
  public mutating func chance(percent: Int) -> Bool { below(100) < percent }
  /// True with a probability of 0...1.
  public mutating func chance(_ probability: Double) -> Bool {
    Double(next() >> 11) < probability * Double(1 << 53)
  }

  /// A word in which every bit depends on every bit of `word`; different for different words.
  public static func mixed(_ word: UInt64) -> UInt64 {
    var word = word
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
}
