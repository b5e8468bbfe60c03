/// How much a socket may buffer each way, in bytes. What it occupies is bounded beside that:
/// `Documentation/Memory.md`.
public struct BufferLimits: Sendable, Hashable {
  /// Submitted and not yet acknowledged bytes, 4 KiB...16 MiB.
  public var send: Int
  /// Received and not yet read bytes, 4 KiB...16 MiB: the largest window that is offered.
  public var receive: Int

  /// 256 KiB each way unless told otherwise.
  public init(send: Int = 256 << 10, receive: Int = 256 << 10) {
    self.send = Self.clamp(send)
    self.receive = Self.clamp(receive)
  }

  static func clamp(_ bytes: Int) -> Int { min(max(bytes, 4 << 10), 16 << 20) }
}
