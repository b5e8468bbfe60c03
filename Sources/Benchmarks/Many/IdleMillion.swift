import Exclusion
import Glibc
import Sluice
import Sockets
import SoftInterrupts
import Timing
import Wire

/// What very many connections that say nothing occupy, and what they do to those that come and go.
///
/// One stack, stepped by hand in virtual time, whose peers have no memory; each connection was accepted and is held by a
/// ``StreamSocket``, which counts. Memory is what the kernel says is resident, less what was before the first.
enum IdleMillion {
  static let benchmark = Benchmark(
    "idle-million", "memory of a million idle connections (--connections), and what others cost beside them",
    isQuick: false, isOnce: true, unitOfWork: "connections that come and go"
  ) { options in try round(options) }

  private static func round(_ options: BenchmarkOptions) throws -> [BenchmarkSample] {
    let count = options.connections ?? 1_000_000
    let server = try Server(connections: count)
    let alone = try server.comeAndGo(options)
    let before = try residentBytes()
    let watch = Stopwatch(.thread)
    try server.fill(count)
    let processor = watch.read().processor
    let after = try residentBytes()
    let beside = try server.comeAndGo(options)
    let timers = server.timers
    try server.end()
    return [
      BenchmarkSample("idle-million.resident", Double(after), .bytes),
      BenchmarkSample("idle-million.each", Double(max(0, after - before)) / Double(count), .bytes),
      BenchmarkSample("idle-million.made", Double(count) / processor, .perSecond),
      BenchmarkSample("idle-million.come-and-go-alone", alone, .perSecond),
      BenchmarkSample("idle-million.come-and-go-beside", beside, .perSecond),
      BenchmarkSample("idle-million.slowdown", alone / beside, .ratio),
      BenchmarkSample("idle-million.timers", Double(timers), .ratio),
    ]
  }

  /// The second number of /proc/self/statm, pages, in bytes.
  private static func residentBytes() throws(BenchmarkFailure) -> Int {
    let file = unsafe open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw BenchmarkFailure("/proc/self/statm cannot be opened: errno \(errno).") }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = unsafe read(file, &bytes, bytes.count)
    let words = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
    guard words.count > 1, let pages = Int(words[1]) else {
      throw BenchmarkFailure("/proc/self/statm has no number of resident pages.")
    }
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}

/// The stack under measure and its program.
private final class Server {
  private static let address = IPv4Address(10, 8, 0, 1)

  private let stack: Stack
  private let peers = PeerDevice(server: address)
  private let clock = VirtualClock(start: Instant(nanoseconds: 1_000_000_000))
  private let scheduler: ManualScheduler
  private let listener: ListeningSocket
  private var held: [StreamSocket] = []
  private var clients = 0

  init(connections: Int) throws {
    var configuration = StackConfiguration()
    configuration.time = clock
    configuration.isManual = true
    configuration.sockets.seed = 1
    configuration.sockets.connectionLimit = connections + 4096
    configuration.interfaces = [
      StackInterface(peers, addresses: [IPPrefix(IPAddress(Self.address), length: 8)!])
    ]
    do throws(StackError) {
      stack = try Stack(configuration)
    } catch {
      throw BenchmarkFailure("\(error)")
    }
    scheduler = ManualScheduler(clock: clock)
    scheduler.add(stack.contexts)
    let answer = stack.layer.listen(
      on: SocketAddress(IPAddress(Self.address), port: 7), backlog: 1024)
    scheduler.settle()
    guard case .success(let listener)? = answer.take() else {
      throw BenchmarkFailure("the listener could not be made.")
    }
    self.listener = listener
    held.reserveCapacity(connections)
  }

  var timers: Int { stack.remains().timers }

  private func accept() throws -> StreamSocket {
    peers.open(clients)
    clients += 1
    scheduler.settle()
    switch listener.tryAccept() {
    case .success(let socket): return socket
    case .failure(let error):
      throw BenchmarkFailure("connection \(clients) was not there to be accepted: \(error).")
    }
  }

  /// So many more that are held.
  func fill(_ count: Int) throws {
    for _ in 0..<count {
      held.append(try accept())
      if held.count % 1024 == 0 { clock.advance(by: .milliseconds(1)) }
    }
    // What a young connection still has to do, an acknowledgment that is delayed or a probe, is done.
    scheduler.run(milliseconds: 10_000)
  }

  /// Connections that are opened and closed by the peer, in each second of the processor.
  func comeAndGo(_ options: BenchmarkOptions) throws -> Double {
    for _ in 0..<256 { try comeAndGo() }
    let watch = Stopwatch(.thread)
    var done = 0
    while true {
      let batch = min(256, (options.count ?? .max) - done)
      for _ in 0..<batch { try comeAndGo() }
      done += batch
      clock.advance(by: .milliseconds(1))
      let (wall, processor) = watch.read()
      let isDone = options.count.map { done >= $0 } ?? (wall >= Double(options.seconds))
      if isDone { return Double(done) / processor }
    }
  }

  private func comeAndGo() throws {
    let client = clients
    let socket = try accept()
    peers.close(client, peers.answered)
    scheduler.settle()
    try socket.expectEnd()
    socket.close()
    scheduler.settle()
  }

  /// Resets everything, and looks at what is left.
  func end() throws {
    listener.close()
    while !held.isEmpty {
      for socket in held.suffix(1024) { socket.abort() }
      held.removeLast(min(1024, held.count))
      scheduler.settle()
    }
    _ = stack.quiesce()
    scheduler.run(milliseconds: 130_000)
    stack.forget()
    scheduler.settle()
    guard stack.remains().isEmpty else {
      throw BenchmarkFailure("not everything was given back: \(stack.remains()).")
    }
  }
}
