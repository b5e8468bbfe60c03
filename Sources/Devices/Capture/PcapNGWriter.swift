public import Timing

/// One captured interface: how it is described in the file, and the rings that its frames come through.
public struct CaptureInterface: Sendable {
  /// The name that users see.
  public let name: String
  /// What its frames begin with.
  public let linkType: PcapNG.LinkType
  /// Bytes kept of each frame.
  public let snapLength: Int
  /// Each has one producer.
  public let rings: [CaptureRing]

  /// An interface whose frames come through `rings`, all made with the same snap length and the number that
  /// the interface has in the file.
  public init(name: String, linkType: PcapNG.LinkType, snapLength: Int, rings: [CaptureRing]) {
    self.name = name
    self.linkType = linkType
    self.snapLength = snapLength
    self.rings = rings
  }
}

/// Empties capture rings into one pcapng file, ordered by time among what is there. Owned by one consumer,
/// which runs at the bio level or in a thread of its own.
///
/// Where the bytes go is the caller's affair: `write` takes all that it is given or throws. It gets whole
/// blocks only, so a file that is cut off between two calls is still a file.
public struct PcapNGWriter: ~Copyable {
  private let interfaces: [CaptureInterface]
  private let application: String
  private let epoch: UInt64
  private let start: UInt64
  private var batch: [UInt8] = []

  /// Blocks gathered for one call of `write`, in bytes.
  private static let batchCount = 65_536

  /// - Parameters:
  ///   - interfaces: in the order of their numbers.
  ///   - application: what the file says wrote it.
  ///   - start: the beginning of the capture.
  ///   - epoch: nanoseconds from 1970 to the beginning of the clock that stamps packets.
  public init(interfaces: [CaptureInterface], application: String = "Sluice", start: Instant, epoch: UInt64) {
    self.interfaces = interfaces
    self.application = application
    self.epoch = epoch
    self.start = start.nanoseconds &+ epoch
    batch.reserveCapacity(Self.batchCount)
  }

  /// Writes the section header and the descriptions of the interfaces. Once, first.
  public mutating func begin<Failure>(
    into write: (RawSpan) throws(Failure) -> Void
  ) throws(Failure) {
    batch += PcapNG.sectionHeader(application: application)
    for interface in interfaces {
      batch += PcapNG.interfaceDescription(
        name: interface.name, linkType: interface.linkType, snapLength: interface.snapLength)
    }
    try flush(into: write)
  }

  /// Writes up to `limit` frames, oldest first.
  ///
  /// - Returns: whether more are waiting.
  /// - Throws: what `write` throws; the frames it was given are lost.
  public mutating func drain<Failure>(
    limit: Int, into write: (RawSpan) throws(Failure) -> Void
  ) throws(Failure) -> Bool {
    var left = limit
    while left > 0, let ring = oldestRing() {
      _ = ring.takeFirst { block in
        unsafe block.withUnsafeBytes { bytes in unsafe batch.append(contentsOf: bytes) }
      }
      left -= 1
      if batch.count >= Self.batchCount { try flush(into: write) }
    }
    try flush(into: write)
    return left == 0 && oldestRing() != nil
  }

  /// Writes what is left in the rings, then the statistics of each interface. Once, last, when nothing is
  /// recorded any more.
  public mutating func finish<Failure>(
    at end: Instant, into write: (RawSpan) throws(Failure) -> Void
  ) throws(Failure) {
    while try drain(limit: 1024, into: write) {}
    for (number, interface) in interfaces.enumerated() {
      let statistics = PcapNG.Statistics(
        start: start, end: end.nanoseconds &+ epoch,
        frames: interface.rings.reduce(0) { $0 + $1.frames.value },
        drops: interface.rings.reduce(0) { $0 + $1.drops.value })
      batch += PcapNG.interfaceStatistics(interface: UInt32(number), statistics)
    }
    try flush(into: write)
  }

  /// The ring whose first frame is the oldest.
  private func oldestRing() -> CaptureRing? {
    var oldest: (ring: CaptureRing, time: UInt64)?
    for interface in interfaces {
      for ring in interface.rings {
        guard let time = ring.firstTime, time < oldest?.time ?? .max else { continue }
        oldest = (ring, time)
      }
    }
    return oldest?.ring
  }

  private mutating func flush<Failure>(
    into write: (RawSpan) throws(Failure) -> Void
  ) throws(Failure) {
    guard !batch.isEmpty else { return }
    defer { batch.removeAll(keepingCapacity: true) }
    // `bytes` is unsafe for elements with padding only.
    try unsafe write(batch.span.bytes)
  }
}
