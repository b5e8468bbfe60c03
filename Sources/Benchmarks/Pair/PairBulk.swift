import Devices
import Sluice
import Sockets

/// Bytes one way, as fast as they go.
enum PairBulk {
  static let benchmark = Benchmark(
    "pair-bulk", "bytes through one connection between two stacks stepped by one thread, MTU 1500",
    unitOfWork: "full segments"
  ) { options in try round("pair-bulk", options) }
  static let benchmarkOffloaded = Benchmark(
    "pair-bulk-gso", "the same over a link that takes super-segments of up to 64 KiB, and needs no checksums",
    unitOfWork: "full segments"
  ) { options in try round("pair-bulk-gso", options, .inMemory) }

  /// A full segment's text: 1500 bytes less IPv4's and TCP's headers and the time stamps.
  static var segment: Int { 1448 }
  /// Every byte is compared before the clock runs; then congestion control has opened up as well.
  private static var warm: Int { 4 << 20 }

  private static func round(
    _ name: String, _ options: BenchmarkOptions, _ offloads: DeviceOffloads = []
  ) throws -> [BenchmarkSample] {
    let pair = try SteppedPair(options, offloads: offloads)
    let (measured, sent, frames) = try transfer(pair, options)
    try pair.end()
    return measured.samples(name, .bitsPerSecond, factor: 8)
      + [
        BenchmarkSample("\(name).fill", Double(measured.units) / Double(sent) / Double(segment), .ratio)
      ]
      + (offloads.isEmpty
        ? [] : [BenchmarkSample("\(name).segments-per-frame", Double(sent) / Double(max(1, frames)), .ratio)])
  }

  /// Bytes, how many segments carried them, and how many frames those. The sockets go with its end.
  private static func transfer(
    _ pair: SteppedPair, _ options: BenchmarkOptions
  ) throws -> (bytes: Measured, segments: UInt64, frames: UInt64) {
    let limits = BufferLimits(send: options.buffer, receive: options.buffer)
    let listener = try pair.listen(limits)
    let (writer, reader) = try pair.connect(limits, listener)
    // The last piece of a fixed amount would else wait for a delayed acknowledgment.
    writer.setNoDelay(true)
    var work = Transfer(pair, writer, reader, copies: options.copies)
    work.comparesAll = true
    var bytes = options
    bytes.count = 0
    _ = try pair.measure(&work, bytes, warm: warm)
    work.comparesAll = false
    let (before, framesBefore) = (segments(pair), pair.framesSent)
    bytes.count = options.count.map { $0 * segment }
    let measured = try pair.measure(&work, bytes, warm: 0)
    let (sent, frames) = (segments(pair) - before, pair.framesSent - framesBefore)
    // And again, so that what the clock saw is followed by bytes that are in their places.
    work.comparesAll = true
    bytes.count = 0
    _ = try pair.measure(&work, bytes, warm: 1 << 20)
    writer.close()
    reader.close()
    listener.close()
    return (measured, sent, frames)
  }

  private static func segments(_ pair: SteppedPair) -> UInt64 {
    pair.near.layer.withCounters(0) { $0.segmentsSent.value }
  }
}

/// Writes until there is no room, lets the stacks pass it on, reads until there is nothing: where it lies, or by a copy.
@safe
struct Transfer<Stacks: Settling>: SteppedWork, ~Copyable {
  static var turnsPerLook: Int { 1 }
  private static var piece: Int { 64 << 10 }

  private let stacks: Stacks
  private let writer: StreamSocket
  private let reader: StreamSocket
  private let text = Text(longest: 64 << 10)
  private let buffer: UnsafeMutableRawBufferPointer
  private var written = 0
  private var read = 0
  /// Everything that was read is what was sent.
  private var isRight = true
  /// What arrives is copied out, not looked at where it lies.
  private let copies: Bool
  /// Every byte is compared, not the edges of each piece alone.
  var comparesAll = false

  init(_ stacks: Stacks, _ writer: StreamSocket, _ reader: StreamSocket, copies: Bool) {
    (self.stacks, self.writer, self.reader, self.copies) = (stacks, writer, reader, copies)
    unsafe buffer = .allocate(byteCount: Self.piece, alignment: 64)
  }
  deinit { unsafe buffer.deallocate() }

  /// Units are bytes.
  mutating func turn(limit: Int) throws(BenchmarkFailure) -> Int {
    try write(limit)
    stacks.settle()
    return try readAll()
  }

  private mutating func write(_ limit: Int) throws(BenchmarkFailure) {
    // What is under way counts: at the end exactly as much has arrived as was asked for.
    let end = limit == .max ? Int.max : read + limit
    while written < end {
      let count = min(Self.piece, end - written)
      switch unsafe writer.tryWrite(text.piece(from: written, count: count)) {
      case .bytes(let taken): written += taken
      case .wouldBlock: return
      case .failed(let error): throw BenchmarkFailure("a write failed: \(error).")
      }
    }
  }

  private mutating func readAll() throws(BenchmarkFailure) -> Int {
    let before = read
    while true {
      switch copies ? readCopying() : readInPlace() {
      case .bytes:
        guard isRight else { throw BenchmarkFailure("bytes arrived that were not sent, before \(read).") }
      case .wouldBlock: return read - before
      case .endOfStream: throw BenchmarkFailure("the stream ended.")
      case .failed(let error): throw BenchmarkFailure("a read failed: \(error).")
      }
    }
  }
  private mutating func readInPlace() -> ReadOutcome {
    reader.tryConsume { piece in
      check(piece)
      return piece.byteCount
    }
  }
  private mutating func readCopying() -> ReadOutcome {
    let outcome = unsafe reader.tryRead(into: buffer)
    if case .bytes(let count) = outcome {
      check(unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(buffer)).extracting(0..<count))
    }
    return outcome
  }
  @inline(__always) private mutating func check(_ piece: RawSpan) {
    let matches = comparesAll ? text.matches(piece, at: read) : text.edgesMatch(piece, at: read)
    if !matches { isRight = false }
    read += piece.byteCount
  }
}
