public import Sockets
public import Wire

/// A TCP connection.
///
/// Any thread and any task may call it, several at once: readers get their turns in the order of their calls,
/// and so do writers, whose bytes never interleave. The `async` calls suspend the task while they wait;
/// ``blocking`` has the same calls for threads. The last reference closes the connection in order.
///
/// A call whose task is cancelled stops waiting and throws `SocketError.cancelled`; what would not have to wait
/// is done all the same. After ``close()``, on whatever thread, those who wait get `SocketError.closed`.
public final class TCPStream: Sendable {
  let socket: StreamSocket
  /// Keeps the stack while the connection is used.
  private let stack: Stack

  init(_ socket: StreamSocket, _ stack: Stack) {
    self.socket = socket
    self.stack = stack
  }

  /// The address and port of this host.
  public var localAddress: SocketAddress { socket.localAddress }
  /// The address and port of the peer.
  public var remoteAddress: SocketAddress { socket.remoteAddress }
  /// The peer's port of UDP, where segments go in UDP (`TCPEncapsulation`); 0: they go in IP.
  public var encapsulationPort: UInt16 { socket.encapsulationPort }
  /// The same connection for threads that may block.
  public var blocking: BlockingTCPStream { BlockingTCPStream(stream: self) }

  // MARK: Reading

  /// Waits for data and reads at most `limit` bytes, 1 or more. Nil at the end of the stream: the peer will send
  /// nothing further. Throws why the connection failed, after everything that had arrived was read.
  public nonisolated(nonsending) func read(atMost limit: Int = 65_536) async throws(SocketError) -> [UInt8]? {
    precondition(limit > 0, "a read of no bytes cannot tell the end of the stream")
    var operation = ReadChunk(socket: socket, limit: limit)
    return try await suspend(&operation)
  }

  /// Waits for data and reads into the front of `bytes`, which is not empty and keeps its size. Returns how many
  /// bytes were read, 0 at the end of the stream.
  public nonisolated(nonsending) func read(into bytes: inout [UInt8]) async throws(SocketError) -> Int {
    precondition(!bytes.isEmpty, "a read of no bytes cannot tell the end of the stream")
    var operation = ReadIntoArray(socket: socket, bytes: [])
    swap(&operation.bytes, &bytes)
    defer { swap(&operation.bytes, &bytes) }
    return try await suspend(&operation)
  }

  /// Waits for data and reads into `buffer`, which is not empty and stays valid until this returns. Returns how
  /// many bytes were read, 0 at the end of the stream.
  @unsafe public nonisolated(nonsending) func read(
    into buffer: UnsafeMutableRawBufferPointer
  ) async throws(SocketError) -> Int {
    unsafe precondition(!buffer.isEmpty, "a read of no bytes cannot tell the end of the stream")
    var operation = unsafe ReadIntoBuffer(socket, buffer)
    return try await suspend(&operation)
  }

  /// Waits for data and lends it where it lies, without a copy: calls `body` with one piece after the other, at most
  /// `limit` bytes, 1 or more, until it does not take all of a piece. It returns how many bytes of the piece it took,
  /// from its start; the others stay to be read. The whole returns how many were taken, and nil at the end of the stream.
  ///
  /// - Parameter body: gets a few KiB at a time, valid until it returns, on the thread that this call is on. It may write
  ///   to any stream, but must not wait, and reads nothing from this one.
  public nonisolated(nonsending) func consume(
    atMost limit: Int = .max, _ body: @escaping (RawSpan) -> Int
  ) async throws(SocketError) -> Int? {
    precondition(limit > 0, "a read of no bytes cannot tell the end of the stream")
    var operation = Consume(socket: socket, limit: limit, body: body)
    return try await suspend(&operation)
  }

  /// Everything that the peer sends, in pieces of at most `limit` bytes, until it closes its side.
  public func chunks(atMost limit: Int = 65_536) -> Chunks { Chunks(stream: self, limit: limit) }

  // MARK: Writing

  /// Hands all of `bytes` to the stack, waiting for room as often as it takes. When it returns they are on their
  /// way, not yet acknowledged. If it throws, any number of them may be.
  public nonisolated(nonsending) func write(_ bytes: [UInt8]) async throws(SocketError) {
    var operation = WriteAll(socket, bytes)
    try await suspend(&operation)
  }
  /// Hands all of `bytes` to the stack, waiting for room as often as it takes.
  public nonisolated(nonsending) func write(_ bytes: ArraySlice<UInt8>) async throws(SocketError) {
    var operation = WriteAll(socket, bytes)
    try await suspend(&operation)
  }
  /// Hands all of `bytes`, of this stack, to it without a copy, waiting for room as often as it takes. Throws
  /// `.otherStack` if they are of another.
  public nonisolated(nonsending) func write(_ bytes: SharedBytes) async throws(SocketError) {
    var operation = WriteShared(socket, bytes)
    try await suspend(&operation)
  }
  /// Hands the text to the stack in UTF-8, waiting for room as often as it takes.
  public nonisolated(nonsending) func write(_ text: some StringProtocol & Sendable) async throws(SocketError)
  {
    try await write(Array(text.utf8))
  }
  /// Hands all bytes of `buffer`, valid until this returns, to the stack, waiting for room as often as it takes.
  @unsafe public nonisolated(nonsending) func write(
    _ buffer: UnsafeRawBufferPointer
  ) async throws(SocketError) {
    var operation = unsafe WriteAll(socket, BorrowedBytes(buffer))
    try await suspend(&operation)
  }

  // MARK: Ending

  /// Ends the sending side: the peer reads everything written so far, and then the end. Reading goes on.
  public func shutdownSend() { socket.shutdownSend() }
  /// Ends reading: readers see the end of the stream, and what still arrives is thrown away.
  public func shutdownReceive() { socket.shutdownReceive() }
  /// Closes the connection in order: what was written is still delivered. Cannot fail; again it does nothing.
  /// Data that nobody read makes it a reset, so that the peer learns of the loss (RFC 2525 section 2.17).
  public func close() { socket.close() }
  /// Closes the connection in order and waits until the peer has acknowledged everything (SO_LINGER with a time).
  /// After `limit`, at least a nanosecond, the connection is reset instead. Returns whether everything has
  /// arrived. A cancelled task stops waiting; the close goes on, within its limit.
  @discardableResult
  public nonisolated(nonsending) func close(lingering limit: Duration) async throws(SocketError) -> Bool {
    socket.beginLinger(nanoseconds: UInt64(limit.clampedNanoseconds))
    defer { socket.close() }
    var delivery = AwaitDelivery(socket: socket)
    return try await suspend(&delivery)
  }
  /// Ends the connection at once with a reset; what is not delivered is lost. Cannot fail.
  public func abort() { socket.abort() }

  // MARK: Options

  /// Whether small segments leave at once (TCP_NODELAY) instead of waiting for acknowledgements. Off at first.
  public func setNoDelay(_ isOn: Bool) { socket.setNoDelay(isOn) }
  /// How many bytes may be written and not acknowledged (SO_SNDBUF), 4 KiB...16 MiB. More is room for a writer that
  /// waits.
  public func setSendLimit(_ bytes: Int) { socket.setSendLimit(bytes) }
  /// How many bytes may be received and not read (SO_RCVBUF), 4 KiB...16 MiB.
  public func setReceiveLimit(_ bytes: Int) { socket.setReceiveLimit(bytes) }
  /// What the connection may buffer.
  public var limits: BufferLimits { socket.limits }
  /// What the connection occupies.
  public var memory: SocketMemory { socket.memory }
  /// Whether a silent connection is probed after two hours (SO_KEEPALIVE). Off at first.
  public func setKeepAlive(_ isOn: Bool) { socket.setKeepAlive(isOn) }
  /// Whether ``close()`` resets the connection (SO_LINGER with time 0). Off at first.
  public func setAbortOnClose(_ isOn: Bool) { socket.setAbortOnClose(isOn) }
}

extension TCPStream {
  /// What arrives on a connection, piece by piece. One iterator takes what it sees; several share the stream.
  public struct Chunks: AsyncSequence, Sendable {
    let stream: TCPStream
    let limit: Int

    /// Begins, or goes on, to read.
    public func makeAsyncIterator() -> Iterator { Iterator(chunks: self) }

    /// Reads piece by piece.
    public struct Iterator: AsyncIteratorProtocol {
      let chunks: Chunks

      /// The next piece, nil at the end of the stream.
      public mutating func next() async throws(SocketError) -> [UInt8]? { try await next(isolation: nil) }
      /// The next piece, nil at the end of the stream.
      public mutating func next(
        isolation actor: isolated (any Actor)?
      ) async throws(SocketError) -> [UInt8]? {
        try await chunks.stream.read(atMost: chunks.limit)
      }
    }
  }
}
