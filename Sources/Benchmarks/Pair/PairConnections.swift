import Sluice
import Sockets
import Timing

/// Connections that carry one byte.
enum PairConnections {
  static let benchmark = Benchmark(
    "pair-crr", "connect, a byte, close: connections between two stacks stepped by one thread",
    unitOfWork: "connections"
  ) { options in try round(options) }

  private static func round(_ options: BenchmarkOptions) throws -> [BenchmarkSample] {
    var virtual = options
    virtual.count = options.count ?? 0  // time is virtual either way
    let pair = try SteppedPair(virtual)
    let measured = try connect(pair, options)
    try pair.end()
    return measured.samples("pair-crr", .perSecond)
  }

  /// The listener goes with its end.
  private static func connect(_ pair: SteppedPair, _ options: BenchmarkOptions) throws -> Measured {
    let limits = BufferLimits(send: options.buffer, receive: options.buffer)
    let listener = try pair.listen(limits)
    var work = Connections(pair, limits, listener)
    // Until as many are in TIME-WAIT as there will be.
    let measured = try pair.measure(&work, options, warm: 60_000 / Connections.milliseconds + 200)
    listener.close()
    return measured
  }
}

/// One connection a turn, and 20 ms of virtual time, so that 3,000 are in TIME-WAIT, which lasts its minute: what
/// its end costs is in the numbers, and addresses do not run out.
struct Connections: SteppedWork {
  static var turnsPerLook: Int { 1 }
  static var milliseconds: Int { 20 }
  private let pair: SteppedPair
  private let limits: BufferLimits
  private let listener: ListeningSocket
  private var next: UInt8 = 0

  init(_ pair: SteppedPair, _ limits: BufferLimits, _ listener: ListeningSocket) {
    (self.pair, self.limits, self.listener) = (pair, limits, listener)
  }

  mutating func turn(limit: Int) throws(BenchmarkFailure) -> Int {
    next &+= 1
    let near = try pair.take(pair.near.layer.connect(to: listener.address, limits: limits))
    let far: StreamSocket
    switch listener.tryAccept() {
    case .success(let child): far = child
    case .failure(let error): throw BenchmarkFailure("a connection was not there: \(error).")
    }
    try near.put(next)
    pair.settle()
    _ = try far.get(next)
    near.close()
    pair.settle()
    try far.expectEnd()
    far.close()
    pair.settle()
    pair.pass(.milliseconds(Int64(Self.milliseconds)))
    return 1
  }
}

extension StreamSocket {
  /// The peer has closed, and everything was read.
  func expectEnd() throws(BenchmarkFailure) {
    var byte: UInt8 = 0
    let outcome = unsafe withUnsafeMutableBytes(of: &byte) { unsafe tryRead(into: $0) }
    guard outcome == .endOfStream else {
      throw BenchmarkFailure("the end of the stream was not there: \(outcome).")
    }
  }
}
