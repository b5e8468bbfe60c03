public import Sockets

/// A ``TCPStream`` for threads that may block. Not for tasks: a blocked thread of their pool is one that runs no
/// other task.
public struct BlockingTCPStream: Sendable {
  /// The connection.
  public let stream: TCPStream

  /// Blocks until there is data and reads at most `limit` bytes, 1 or more. Nil at the end of the stream.
  public func read(atMost limit: Int = 65_536) throws(SocketError) -> [UInt8]? {
    precondition(limit > 0, "a read of no bytes cannot tell the end of the stream")
    var operation = ReadChunk(socket: stream.socket, limit: limit)
    return try block(&operation)
  }

  /// Blocks until there is data and reads into the front of `bytes`, which is not empty and keeps its size.
  /// Returns how many bytes were read, 0 at the end of the stream.
  public func read(into bytes: inout [UInt8]) throws(SocketError) -> Int {
    precondition(!bytes.isEmpty, "a read of no bytes cannot tell the end of the stream")
    var operation = ReadIntoArray(socket: stream.socket, bytes: [])
    swap(&operation.bytes, &bytes)
    defer { swap(&operation.bytes, &bytes) }
    return try block(&operation)
  }

  /// Blocks until there is data and reads into `buffer`, which is not empty. Returns how many bytes were read,
  /// 0 at the end of the stream.
  @unsafe public func read(into buffer: UnsafeMutableRawBufferPointer) throws(SocketError) -> Int {
    unsafe precondition(!buffer.isEmpty, "a read of no bytes cannot tell the end of the stream")
    var operation = unsafe ReadIntoBuffer(stream.socket, buffer)
    return try block(&operation)
  }

  /// Blocks until there is data and lends it where it lies, without a copy; see ``TCPStream/consume(atMost:_:)``. Nil at
  /// the end of the stream.
  public func consume(
    atMost limit: Int = .max, _ body: (RawSpan) -> Int
  ) throws(SocketError) -> Int? {
    precondition(limit > 0, "a read of no bytes cannot tell the end of the stream")
    return try withoutActuallyEscaping(body) { body throws(SocketError) in
      var operation = Consume(socket: stream.socket, limit: limit, body: body)
      return try block(&operation)
    }
  }

  /// Hands all of `bytes` to the stack, blocking as long as there is no room.
  public func write(_ bytes: [UInt8]) throws(SocketError) {
    var operation = WriteAll(stream.socket, bytes)
    try block(&operation)
  }
  /// Hands all of `bytes` to the stack, blocking as long as there is no room.
  public func write(_ bytes: ArraySlice<UInt8>) throws(SocketError) {
    var operation = WriteAll(stream.socket, bytes)
    try block(&operation)
  }
  /// Hands all of `bytes`, of this stack, to it without a copy, blocking as long as there is no room. Throws
  /// `.otherStack` if they are of another.
  public func write(_ bytes: SharedBytes) throws(SocketError) {
    var operation = WriteShared(stream.socket, bytes)
    try block(&operation)
  }
  /// Hands the text to the stack in UTF-8, blocking as long as there is no room.
  public func write(_ text: some StringProtocol) throws(SocketError) { try write(Array(text.utf8)) }
  /// Hands all bytes of `buffer` to the stack, blocking as long as there is no room.
  @unsafe public func write(_ buffer: UnsafeRawBufferPointer) throws(SocketError) {
    var operation = unsafe WriteAll(stream.socket, BorrowedBytes(buffer))
    try block(&operation)
  }

  /// Ends the sending side: the peer reads everything written so far, and then the end.
  public func shutdownSend() { stream.shutdownSend() }
  /// Closes the connection in order. Cannot fail.
  public func close() { stream.close() }
  /// Closes the connection in order and blocks until the peer has acknowledged everything, at most for `limit`;
  /// then the connection is reset. Returns whether everything has arrived.
  @discardableResult
  public func close(lingering limit: Duration) throws(SocketError) -> Bool {
    stream.socket.beginLinger(nanoseconds: UInt64(limit.clampedNanoseconds))
    defer { stream.close() }
    var delivery = AwaitDelivery(socket: stream.socket)
    return try block(&delivery)
  }
}
