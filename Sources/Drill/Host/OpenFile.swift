import Timing

/// What a descriptor refers to.
enum OpenFile {
  case stream(Endpoint)
  case datagram(DatagramEndpoint)
  case epoll(EpollInstance)
  case pipe(PipeEnd)
  case file(OpenedFile)

  /// What poll looks at; nil: a file, which is always ready and cannot be watched.
  var pollable: Pollable? {
    switch self {
    case .stream(let endpoint): endpoint
    case .datagram(let endpoint): endpoint
    case .epoll(let instance): instance
    case .pipe(let end): end
    case .file: nil
    }
  }
}

/// A pipe; 64 KiB of bytes at most.
final class Pipe {
  static var capacity: Int { 65536 }
  var bytes: [UInt8] = []
  weak var reader: PipeEnd?
  weak var writer: PipeEnd?
  var room: Int { Self.capacity - bytes.count }
}

/// One end of a pipe.
final class PipeEnd: Pollable {
  let pipe: Pipe
  let isWriter: Bool
  var isNonblocking = false

  init(_ pipe: Pipe, isWriter: Bool) {
    self.pipe = pipe
    self.isWriter = isWriter
    super.init()
    if isWriter { pipe.writer = self } else { pipe.reader = self }
  }
  /// Both ends.
  static func pair() -> (reader: PipeEnd, writer: PipeEnd) {
    let pipe = Pipe()
    return (PipeEnd(pipe, isWriter: false), PipeEnd(pipe, isWriter: true))
  }

  /// Whether the other end is closed.
  var isAlone: Bool { isWriter ? pipe.reader == nil : pipe.writer == nil }

  /// At most so many bytes; empty: there are none.
  func take(_ limit: Int) -> [UInt8] {
    let bytes = Array(pipe.bytes.prefix(limit))
    pipe.bytes.removeFirst(bytes.count)
    if !bytes.isEmpty { pipe.writer?.notify(PollBits.output | PollBits.normalOutput) }
    return bytes
  }
  /// As many as there is room for; how many.
  func put(_ bytes: some Collection<UInt8>) -> Int {
    let taken = bytes.prefix(pipe.room)
    pipe.bytes += taken
    if !taken.isEmpty { pipe.reader?.notify(PollBits.input | PollBits.normalInput) }
    return taken.count
  }

  override func mask() -> UInt32 {
    var mask: UInt32 = 0
    if isWriter {
      if pipe.room > 0 { mask |= PollBits.output | PollBits.normalOutput }
      if isAlone { mask |= PollBits.error }
    } else {
      if !pipe.bytes.isEmpty { mask |= PollBits.input | PollBits.normalInput }
      if isAlone { mask |= PollBits.hangUp }
    }
    return mask
  }
}

/// A file that was opened: its bytes, and where it is read next.
final class OpenedFile {
  let bytes: [UInt8]
  var offset = 0
  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// At most so many bytes from `position`, or from where it stands, which then moves.
  func read(_ limit: Int, at position: Int?) -> [UInt8] {
    let start = min(position ?? offset, bytes.count)
    let taken = Array(bytes[start...].prefix(max(0, limit)))
    if position == nil { offset = start + taken.count }
    return taken
  }
}

/// Descriptors, from 3 on; a new one has the lowest number that is free.
struct DescriptorTable {
  static var first: Int32 { 3 }
  static var limit: Int32 { 1024 }
  private var files: [Int32: OpenFile] = [:]

  /// Nil: there are too many.
  mutating func open(_ file: OpenFile) -> Int32? {
    for number in Self.first..<Self.limit where files[number] == nil {
      files[number] = file
      return number
    }
    return nil
  }
  mutating func close(_ number: Int32) -> OpenFile? { files.removeValue(forKey: number) }
  subscript(_ number: Int32) -> OpenFile? { files[number] }
  /// All that are open, in order.
  var numbers: [Int32] { files.keys.sorted() }
}

/// How a call goes on.
enum Step {
  case done(CallResult)
  case wait(WaitingCall)
  case unsupported(String)

  static func fail(_ errno: Errno) -> Step { .done(CallResult(errno)) }
  static func success(_ value: Int64 = 0) -> Step { .done(CallResult(value)) }
}

/// A call that waits: it is tried again after each step, and ends at its deadline at the latest.
final class WaitingCall {
  /// Nil: not yet.
  let attempt: () -> CallResult?
  let deadline: Instant?
  /// What it returns at the deadline.
  let expired: () -> CallResult

  init(
    until deadline: Instant? = nil, expired: @escaping () -> CallResult = { CallResult(.EAGAIN) },
    _ attempt: @escaping () -> CallResult?
  ) {
    self.attempt = attempt
    self.deadline = deadline
    self.expired = expired
  }
}
