import Sluice
import Sockets

/// A byte there and a byte back.
enum PairExchange {
  static let benchmark = Benchmark(
    "pair-rr", "exchanges of a byte on one connection between two stacks stepped by one thread",
    unitOfWork: "exchanges"
  ) { options in try round(options) }

  private static func round(_ options: BenchmarkOptions) throws -> [BenchmarkSample] {
    let pair = try SteppedPair(options)
    let measured = try exchange(pair, options)
    try pair.end()
    return measured.samples("pair-rr", .perSecond)
  }

  /// The sockets go with its end.
  private static func exchange(_ pair: SteppedPair, _ options: BenchmarkOptions) throws -> Measured {
    let limits = BufferLimits(send: options.buffer, receive: options.buffer)
    let listener = try pair.listen(limits)
    let (near, far) = try pair.connect(limits, listener)
    near.setNoDelay(true)
    far.setNoDelay(true)
    var work = Exchanges(pair, near, far)
    let measured = try pair.measure(&work, options, warm: 1000)
    near.close()
    far.close()
    listener.close()
    return measured
  }
}

/// One exchange a turn.
struct Exchanges: SteppedWork {
  static var turnsPerLook: Int { 16 }
  private let pair: SteppedPair
  private let near: StreamSocket
  private let far: StreamSocket
  private var next: UInt8 = 0

  init(_ pair: SteppedPair, _ near: StreamSocket, _ far: StreamSocket) {
    (self.pair, self.near, self.far) = (pair, near, far)
  }

  mutating func turn(limit: Int) throws(BenchmarkFailure) -> Int {
    next &+= 1
    try near.put(next)
    pair.settle()
    try far.put(~far.get(next))
    pair.settle()
    _ = try near.get(~next)
    return 1
  }
}

extension StreamSocket {
  /// Writes one byte, for which there is room.
  func put(_ byte: UInt8) throws(BenchmarkFailure) {
    var byte = byte
    let outcome = unsafe withUnsafeBytes(of: &byte) { unsafe tryWrite($0) }
    guard outcome == .bytes(1) else { throw BenchmarkFailure("a byte was not taken: \(outcome).") }
  }
  /// Reads one byte, which is there.
  func get(_ expected: UInt8) throws(BenchmarkFailure) -> UInt8 {
    var byte: UInt8 = 0
    let outcome = unsafe withUnsafeMutableBytes(of: &byte) { unsafe tryRead(into: $0) }
    guard outcome == .bytes(1), byte == expected else {
      throw BenchmarkFailure("byte \(expected) was not there: \(outcome), \(byte).")
    }
    return byte
  }
}
