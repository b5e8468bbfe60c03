#if Explore
  import Chance

  /// One schedule from a seed. Half of them walk at random, changing threads often or seldom; the others give each
  /// thread a priority and run the highest, which a few random moments lower (PCT: Burckhardt and others, 2010):
  /// it finds a bug that needs d such moments with a probability that does not fall with the length's power.
  final class Sample: Chooser {
    private var generator: SeededGenerator
    private let isWalk: Bool
    private var changeOdds: UInt64 = 0
    private var priorities: [UInt64] = []
    private var changes: [Int] = []
    private var steps = 0

    /// `length`: how many choices a schedule has, roughly.
    init(seed: UInt64, length: Int) {
      generator = SeededGenerator(seed: seed)
      isWalk = generator.next() & 1 == 0
      if isWalk {
        let shift = [0, 1, 3, 5, 7][Int(generator.next() % 5)]
        changeOdds = UInt64.max >> UInt64(shift)
      } else {
        priorities = (0..<64).map { _ in generator.next() | 1 << 63 }
        let count = Int(generator.next() % 5) + 1
        changes = (0..<count).map { _ in Int(generator.next() % UInt64(max(length, 1))) }.sorted()
      }
    }

    func choose(among choices: UInt64, last: Int, _ machine: Machine) -> Int {
      steps += 1
      // Time passes early now and then, not as often as threads run.
      var choices = choices
      let time = UInt64(1) << UInt64(Machine.time)
      if choices & time != 0 && choices != time && generator.next() % 32 != 0 { choices &= ~time }
      return isWalk ? walk(choices, last) : highest(choices, last)
    }

    private func walk(_ choices: UInt64, _ last: Int) -> Int {
      if choices >> UInt64(last) & 1 != 0, generator.next() > changeOdds { return last }
      var rest = choices
      for _ in 0..<generator.next() % UInt64(choices.nonzeroBitCount) { rest &= rest - 1 }
      return rest.trailingZeroBitCount
    }

    private func highest(_ choices: UInt64, _ last: Int) -> Int {
      while let change = changes.first, change <= steps {
        changes.removeFirst()
        priorities[last] = UInt64(changes.count)
      }
      var (best, rest) = (choices.trailingZeroBitCount, choices & (choices - 1))
      while rest != 0 {
        let other = rest.trailingZeroBitCount
        rest &= rest - 1
        if priorities[other] > priorities[best] { best = other }
      }
      return best
    }
  }

  /// Counts how many choices a schedule has.
  final class Measure: Chooser {
    private(set) var choices = 0
    func choose(among enabled: UInt64, last: Int, _ machine: Machine) -> Int {
      choices += 1
      return enabled >> UInt64(last) & 1 != 0 ? last : enabled.trailingZeroBitCount
    }
  }
#endif
