internal import Sockets

/// Reads what is there into the front of an array.
struct ReadIntoArray: Operation {
  let socket: StreamSocket
  var bytes: [UInt8]

  var point: WaitPoint { socket.readPoint }
  var attendance: Attendance? { socket.attendance }
  func isReady(need: UInt32) -> Bool { socket.isReadable(need: need) }
  mutating func attempt() -> Attempt<Int> {
    unsafe bytes.withUnsafeMutableBytes { unsafe Attempt(socket.tryRead(into: $0)) }
  }
}

/// Reads what is there into memory of the caller's.
@safe struct ReadIntoBuffer: Operation {
  let socket: StreamSocket
  let buffer: UnsafeMutableRawBufferPointer

  init(_ socket: StreamSocket, _ buffer: UnsafeMutableRawBufferPointer) {
    self.socket = socket
    unsafe self.buffer = buffer
  }

  var point: WaitPoint { socket.readPoint }
  var attendance: Attendance? { socket.attendance }
  func isReady(need: UInt32) -> Bool { socket.isReadable(need: need) }
  mutating func attempt() -> Attempt<Int> { unsafe Attempt(socket.tryRead(into: buffer)) }
}

/// Reads what is there into a new array; nil at the end of the stream.
struct ReadChunk: Operation {
  let socket: StreamSocket
  let limit: Int

  var point: WaitPoint { socket.readPoint }
  var attendance: Attendance? { socket.attendance }
  func isReady(need: UInt32) -> Bool { socket.isReadable(need: need) }
  mutating func attempt() -> Attempt<[UInt8]?> {
    // No memory is made for a try that will find nothing.
    guard socket.isReadable(need: 1) else { return .wouldBlock(need: 1, progressed: false) }
    var outcome = ReadOutcome.wouldBlock
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { memory, count in
      outcome = unsafe socket.tryRead(into: UnsafeMutableRawBufferPointer(memory))
      if case .bytes(let read) = outcome { count = read }
    }
    switch outcome {
    case .bytes: return .finished(.success(bytes))
    case .endOfStream: return .finished(.success(nil))
    case .wouldBlock: return .wouldBlock(need: 1, progressed: false)
    case .failed(let error): return .finished(.failure(error))
    }
  }
}

/// Lends what is there where it lies.
struct Consume: Operation {
  let socket: StreamSocket
  let limit: Int
  let body: (RawSpan) -> Int

  var point: WaitPoint { socket.readPoint }
  func isReady(need: UInt32) -> Bool { socket.isReadable(need: need) }
  mutating func attempt() -> Attempt<Int?> {
    switch socket.tryConsume(atMost: limit, body) {
    case .bytes(let count): .finished(.success(count))
    case .endOfStream: .finished(.success(nil))
    case .wouldBlock: .wouldBlock(need: 1, progressed: false)
    case .failed(let error): .finished(.failure(error))
    }
  }
}

extension Attempt<Int> {
  init(_ outcome: ReadOutcome) {
    switch outcome {
    case .bytes(let count): self = .finished(.success(count))
    case .endOfStream: self = .finished(.success(0))
    case .wouldBlock: self = .wouldBlock(need: 1, progressed: false)
    case .failed(let error): self = .finished(.failure(error))
    }
  }
}

/// Bytes that can be looked at again and again, at a stable or a new address.
protocol ReadableBytes {
  var byteCount: Int { get }
  func withBytes<R>(from offset: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R
}

extension Array<UInt8>: ReadableBytes {
  var byteCount: Int { count }
  func withBytes<R>(from offset: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    unsafe withUnsafeBytes { unsafe body(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
  }
}
extension ArraySlice<UInt8>: ReadableBytes {
  var byteCount: Int { count }
  func withBytes<R>(from offset: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    unsafe withUnsafeBytes { unsafe body(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
  }
}
/// Memory of the caller's.
@safe struct BorrowedBytes: ReadableBytes {
  let buffer: UnsafeRawBufferPointer
  init(_ buffer: UnsafeRawBufferPointer) { unsafe self.buffer = buffer }
  var byteCount: Int { unsafe buffer.count }
  func withBytes<R>(from offset: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    unsafe body(UnsafeRawBufferPointer(rebasing: buffer[offset...]))
  }
}

/// Writes all of its bytes under one turn, so that nobody's come between (SB-WHOLE).
struct WriteAll<Bytes: ReadableBytes>: Operation {
  let socket: StreamSocket
  let bytes: Bytes
  private var written = 0

  init(_ socket: StreamSocket, _ bytes: Bytes) {
    self.socket = socket
    self.bytes = bytes
  }

  var point: WaitPoint { socket.writePoint }
  var attendance: Attendance? { socket.attendance }
  func isReady(need: UInt32) -> Bool { socket.isWritable(need: need) }
  mutating func attempt() -> Attempt<Void> {
    let before = written
    while written < bytes.byteCount {
      switch unsafe bytes.withBytes(from: written, { unsafe socket.tryWrite($0) }) {
      case .bytes(let count): written += count
      case .wouldBlock:
        return .wouldBlock(need: socket.writeNeed(bytes.byteCount - written), progressed: written > before)
      case .failed(let error): return .finished(.failure(error))
      }
    }
    return .finished(.success(()))
  }
}

/// Writes all of its bytes under one turn, without a copy.
struct WriteShared: Operation {
  let socket: StreamSocket
  let bytes: SharedBytes
  private var written = 0

  init(_ socket: StreamSocket, _ bytes: SharedBytes) {
    self.socket = socket
    self.bytes = bytes
  }

  var point: WaitPoint { socket.writePoint }
  func isReady(need: UInt32) -> Bool { socket.isWritable(need: need) }
  mutating func attempt() -> Attempt<Void> {
    let before = written
    while written < bytes.count {
      switch socket.tryWrite(bytes, from: written, count: bytes.count - written) {
      case .bytes(let count): written += count
      case .wouldBlock:
        return .wouldBlock(need: socket.writeNeed(bytes.count - written), progressed: written > before)
      case .failed(let error): return .finished(.failure(error))
      }
    }
    return .finished(.success(()))
  }
}

/// Waits until the handshake has ended, one way or the other.
struct FinishConnecting: Operation {
  let socket: StreamSocket

  var point: WaitPoint { socket.writePoint }
  var attendance: Attendance? { socket.attendance }
  func isReady(need: UInt32) -> Bool { socket.isWritable(need: 0) }
  mutating func attempt() -> Attempt<Void> {
    guard socket.isWritable(need: 0) else { return .wouldBlock(need: 0, progressed: false) }
    if let error = socket.failure { return .finished(.failure(error)) }
    return .finished(socket.isConnected ? .success(()) : .failure(.connectionAborted))
  }
}

/// Waits until the peer has everything, or it is certain that it will not.
struct AwaitDelivery: Operation {
  let socket: StreamSocket

  var point: WaitPoint { socket.writePoint }
  var attendance: Attendance? { socket.attendance }
  func isReady(need: UInt32) -> Bool { socket.isWritable(need: need) }
  mutating func attempt() -> Attempt<Bool> {
    let need = StreamSocket.deliveryNeed
    return socket.isWritable(need: need)
      ? .finished(.success(socket.isDelivered)) : .wouldBlock(need: need, progressed: false)
  }
}

/// Takes the next complete connection.
struct Accept: Operation {
  let socket: ListeningSocket

  var point: WaitPoint { socket.accepting }
  var attendance: Attendance? { socket.attendance }
  func isReady(need: UInt32) -> Bool { socket.isAcceptable }
  mutating func attempt() -> Attempt<StreamSocket> {
    switch socket.tryAccept() {
    case .success(let accepted): .finished(.success(accepted))
    case .failure(.wouldBlock): .wouldBlock(need: 1, progressed: false)
    case .failure(let error): .finished(.failure(error))
    }
  }
}

/// Takes the answer to a command that a context carries out. Seen to its end: a socket may come with it.
struct TakeAnswer<Value: Sendable>: Operation {
  let answer: Answer<Result<Value, SocketError>>

  var point: WaitPoint { answer.point }
  var isCancellable: Bool { false }
  func isReady(need: UInt32) -> Bool { answer.isReady }
  mutating func attempt() -> Attempt<Value> {
    answer.take().map { .finished($0) } ?? .wouldBlock(need: 1, progressed: false)
  }
}
