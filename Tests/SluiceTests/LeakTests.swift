import Devices
import Exclusion
import Foundation
import Glibc
import Sluice
import Testing

@Suite(.timeLimit(.minutes(5))) struct LeakTests {
  /// RS-LEAK: a stack that ran, worked and ended has given its descriptors and threads back. In a process of its
  /// own, where nobody else opens any.
  @Test func RS_LEAK_descriptorsAndThreadsComeBack() async {
    await #expect(processExitsWith: .success) {
      func count(_ folder: String) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: folder).count
      }
      func once() throws {
        var configuration = StackConfiguration()
        configuration.contexts = 4
        let stack = try Stack(configuration)
        try stack.start()
        let listener = try stack.blocking.listen(on: SocketAddress("127.0.0.1:7")!)
        let stream = try stack.blocking.connect(to: listener.address)
        let server = try listener.acceptBlocking()
        try stream.blocking.write("hello")
        guard try server.blocking.read() == Array("hello".utf8) else { exit(2) }
        stack.shutdown()
      }
      try once()
      let before = (try count("/proc/self/fd"), try count("/proc/self/task"))
      for _ in 0..<5 { try once() }
      var after = (try count("/proc/self/fd"), try count("/proc/self/task"))
      // A thread that was joined is listed until the kernel has taken it down.
      while after.0 == before.0, after.1 > before.1 {
        yieldProcessor()
        after.1 = try count("/proc/self/task")
      }
      // (One of the first stack's may have been counted so.)
      exit(after.0 == before.0 && after.1 <= before.1 ? 0 : 3)
    }
  }

  /// What a program keeps beyond the shutdown is of no more use, and does no harm when it goes.
  @Test func handlesMayOutliveTheShutdown() throws {
    var kept: [TCPStream] = []
    let (listener, socket, queue): (TCPListener, UDPSocket, EventQueue)
    do {
      let stack = try Stack(StackConfiguration())
      try stack.start()
      listener = try stack.blocking.listen(on: SocketAddress("127.0.0.1:7")!)
      socket = try stack.blocking.bind(to: SocketAddress("127.0.0.1:7")!)
      queue = try stack.makeEventQueue()
      try queue.add(.listener(listener), for: .readable, token: 1)
      try queue.add(.datagrams(socket), for: .readable, token: 2)
      for _ in 0..<5 {
        kept.append(try stack.blocking.connect(to: listener.address))
        kept.append(try listener.acceptBlocking())
      }
      #expect(!stack.shutdown().isEmpty)
    }
    #expect(throws: SocketError.closed) { _ = try listener.acceptBlocking() }
    #expect(throws: SocketError.closed) { _ = try socket.blocking.receive() }
    #expect(throws: SocketError.closed) { _ = try queue.poll() }
    for stream in kept {
      #expect(throws: SocketError.self) { _ = try stream.blocking.read() }
      #expect(throws: SocketError.self) { try stream.blocking.write("more") }
    }
    kept = []
  }
}
