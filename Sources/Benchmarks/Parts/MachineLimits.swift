import Glibc
import Timing
import Wire

/// What no stack can be faster than on this machine.
enum MachineLimits {
  static let checksum = Benchmark(
    "checksum", "the Internet checksum over the text of a segment, and over 64 KiB"
  ) { options in
    let buffer = Bytes(65_536)
    return [1460, 65_536].map { count in
      let rate = Repeated.rate(seconds: Double(options.seconds) / 4, batch: 1000) {
        var sum: UInt64 = 0
        for _ in 0..<1000 { sum &+= UInt64(buffer.checksum(count)) }
        consume(sum)
      }
      return BenchmarkSample("checksum.\(count)", rate * Double(count) * 8, .bitsPerSecond)
    }
  }

  static let memory = Benchmark(
    "limits", "this machine's memcpy over the text of a segment, and over 64 KiB; readings of its clock"
  ) { options in
    let (from, to) = (Bytes(65_536), Bytes(65_536))
    var samples = [1460, 65_536].map { count in
      let rate = Repeated.rate(seconds: Double(options.seconds) / 4, batch: 1000) {
        for _ in 0..<1000 { to.copy(from, count) }
        consume(UInt64(to.checksum(64)))
      }
      return BenchmarkSample("limits.memcpy-\(count)", rate * Double(count) * 8, .bitsPerSecond)
    }
    let clock = RealClock()
    let rate = Repeated.rate(seconds: Double(options.seconds) / 4, batch: 1000) {
      var sum: UInt64 = 0
      for _ in 0..<1000 { sum &+= clock.now().nanoseconds }
      consume(sum)
    }
    samples.append(BenchmarkSample("limits.clock", rate, .perSecond))
    return samples
  }
}

/// Memory that is there and warm.
@safe
private final class Bytes {
  private let memory: UnsafeMutableRawBufferPointer

  init(_ count: Int) {
    unsafe memory = .allocate(byteCount: count, alignment: 64)
    for place in unsafe memory.indices { unsafe memory[place] = UInt8(truncatingIfNeeded: place &* 31) }
  }
  deinit { unsafe memory.deallocate() }

  @inline(never) func checksum(_ count: Int) -> UInt16 {
    unsafe InternetChecksum.of(
      RawSpan(_unsafeStart: UnsafeRawPointer(memory.baseAddress!), byteCount: count))
  }
  @inline(never) func copy(_ from: Bytes, _ count: Int) {
    unsafe memcpy(memory.baseAddress!, from.memory.baseAddress!, count)
  }
}
