import Chance
import Testing
import Wire

/// SCENARIOS R6: any bytes give a value or a typed error.
struct TotalityTests {
  @Test(arguments: Exercise.all)
  func R6_anyBytesGiveAValueOrATypedError(exercise: Exercise) {
    var random = SeededGenerator(seed: 0x51_1CE)
    // Well-formed messages to damage: random bytes alone seldom get past the first length field.
    let samples = (0..<64).map { _ in exercise.sample(&random) }
    var (refused, understood) = (0, 0)
    var buffer = [UInt8](repeating: 0, count: 1024)
    // The fuzzers look at millions, and at where they lead.
    for round in 0..<60_000 {
      var count: Int
      if round % 4 == 0 {
        count = random.below(120)
        unsafe buffer.withUnsafeMutableBytes { memory in
          for place in stride(from: 0, to: count, by: 8) {
            unsafe memory.storeBytes(of: random.next(), toByteOffset: place, as: UInt64.self)
          }
        }
      } else {
        let sample = samples[random.below(samples.count)]
        count = sample.count
        unsafe buffer.withUnsafeMutableBytes { unsafe $0.copyBytes(from: sample) }
        for _ in 0..<random.below(4) where count > 0 { buffer[random.below(count)] = random.any() }
        if random.below(4) == 0 { count = random.below(count + 1) }
      }
      switch reading(buffer, { bytes in exercise.read(bytes.extracting(0..<count)) }) {
      case .refused: refused += 1
      case .understood: understood += 1
      case .wrong(let what):
        Issue.record("\(exercise): \(what); bytes \(buffer[0..<count])")
        return
      }
    }
    // A floor, so that the test cannot come to try one side only.
    #expect(refused > 500 && understood > 500, "\(refused) refused, \(understood) understood")
  }

  @Test(arguments: Exercise.all)
  func whatIsWellFormedIsUnderstood(exercise: Exercise) {
    var random = SeededGenerator(seed: 0xB0A7)
    for _ in 0..<2_000 {
      let bytes = exercise.sample(&random)
      let outcome = reading(bytes) { span in exercise.read(span) }
      guard outcome == .understood else {
        Issue.record("\(exercise): \(outcome); bytes \(bytes)")
        return
      }
    }
  }
}
