import Glibc

extension CommandSignals {
  /// What a wait ended with.
  public enum Event: Sendable, Hashable {
    /// A signal, by its number.
    case signal(Int32)
    /// The descriptor at this index has news.
    case descriptor(Int)
  }
  /// A descriptor to wait for.
  public struct Watched: Sendable, Hashable {
    /// The descriptor.
    public var descriptor: Int32
    /// Whether something to read is news, or only the other side's end, or a failure.
    public var reads: Bool
    /// A descriptor.
    public init(_ descriptor: Int32, reads: Bool) {
      self.descriptor = descriptor
      self.reads = reads
    }
  }

  /// Blocks until a signal comes, or a descriptor has news. Application context.
  public func wait(for watched: [Watched]) -> Event {
    var polled = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
    polled += watched.map { pollfd(fd: $0.descriptor, events: $0.reads ? Int16(POLLIN) : 0, revents: 0) }
    while true {
      _ = unsafe poll(&polled, nfds_t(polled.count), -1)
      if let index = polled.dropFirst().firstIndex(where: { $0.revents != 0 }) {
        return .descriptor(index - 1)
      }
      // Number, code and sender of each.
      var caught: (Int32, Int32, Int32) = (0, 0, 0)
      let size = MemoryLayout.size(ofValue: caught)
      if unsafe read(descriptor, &caught, size) == size { return .signal(caught.0) }
    }
  }
}
