/// How much a socket may buffer each way, in bytes. What it occupies is bounded beside that:
/// `Documentation/Memory.md`.
public struct BufferLimits: Sendable, Hashable {
  /// Submitted and not yet acknowledged bytes, 4 KiB...16 MiB.
  public var send: Int
  /// Received and not yet read bytes, 4 KiB...16 MiB: the largest window that is offered.
  public var receive: Int
  /// As far as `send` grows by itself while the path takes more (two congestion windows are of use); `send`: it does
  /// not. Linux: the third value of net.ipv4.tcp_wmem.
  public var sendMaximum: Int
  /// As far as `receive` grows by itself while the reader keeps up with more in a round trip; `receive`: it does not.
  /// Linux: the third value of net.ipv4.tcp_rmem.
  public var receiveMaximum: Int

  /// 256 KiB each way at first; they grow to 4 and 6 MiB where that is of use.
  public init() { self.init(send: 256 << 10, upTo: 4 << 20, receive: 256 << 10, upTo: 6 << 20) }

  /// Limits that stay as they are.
  public init(send: Int, receive: Int) { self.init(send: send, upTo: 0, receive: receive, upTo: 0) }

  /// Limits that grow as far as they are told.
  public init(send: Int, upTo sendMaximum: Int, receive: Int, upTo receiveMaximum: Int) {
    self.send = Self.clamp(send)
    self.receive = Self.clamp(receive)
    self.sendMaximum = max(self.send, Self.clamp(sendMaximum))
    self.receiveMaximum = max(self.receive, Self.clamp(receiveMaximum))
  }

  static func clamp(_ bytes: Int) -> Int { min(max(bytes, 4 << 10), 16 << 20) }
}
