import Foundation
import Glibc
import Testing
import Wire

@testable import Forwarding

/// The host's resolvers as they change, told by another process.
@Suite(.timeLimit(.minutes(2))) struct ResolverWatchTests {
  private final class Folder {
    let place: URL
    init() throws {
      place = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-\(UUID().uuidString)")
      try FileManager.default.createDirectory(
        at: place.appendingPathComponent("other"), withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(at: place) }
    func path(_ name: String) -> String { place.appendingPathComponent(name).path }

    /// Puts a file in the place of another, as who configures names does.
    func write(_ servers: String..., to name: String = "resolv.conf") throws {
      let text = servers.map { "nameserver \($0)\n" }.joined()
      try text.write(toFile: path("other/new"), atomically: false, encoding: .utf8)
      guard unsafe rename(path("other/new"), path(name)) == 0 else { throw HostClient.Failure(errno: errno) }
    }
  }

  /// The next news.
  private func next(_ watch: HostResolvers.Watch) -> HostResolvers.Watch.News {
    var waiting = pollfd(fd: watch.descriptor, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&waiting, 1, 60_000) == 1 else { return .none }
    return watch.next()
  }
  private func servers(_ names: String...) -> HostResolvers.Watch.News {
    .servers(names.map { SocketAddress(IPAddress($0)!, port: 53) })
  }

  @Test func whatChangesIsTold() throws {
    let folder = try Folder()
    try folder.write("192.0.2.1")
    let watch = try #require(HostResolvers.Watch(path: folder.path("resolv.conf")))
    #expect(next(watch) == servers("192.0.2.1"))
    try folder.write("192.0.2.2", "2001:db8::2")
    #expect(next(watch) == servers("192.0.2.2", "2001:db8::2"))
    // A link in its place, and then what the link leads to.
    try folder.write("192.0.2.3", to: "other/real.conf")
    try FileManager.default.createSymbolicLink(
      atPath: folder.path("link"), withDestinationPath: folder.path("other/real.conf"))
    #expect(unsafe rename(folder.path("link"), folder.path("resolv.conf")) == 0)
    #expect(next(watch) == servers("192.0.2.3"))
    try folder.write("192.0.2.4", to: "other/real.conf")
    #expect(next(watch) == servers("192.0.2.4"))
    #expect(watch.next() == .none)
  }

  /// A guest's questions go to who answers them now, also in a flow that there is.
  @Test func questionsGoToTheNewServers() async throws {
    let folder = try Folder()
    let server = try HostServer(isDatagram: true)
    // There is no file yet, and nothing to be told.
    let watch = try #require(HostResolvers.Watch(path: folder.path("resolv.conf")))
    try await OutboundTests().withGuest(
      .context,
      {
        $0.resolvers = [SocketAddress(IPAddress("127.0.0.1")!, port: server.port)]
        $0.resolverWatch = watch
      }
    ) { guest, forwarder in
      let socket = try await guest.bind(to: SocketAddress("[::]:0")!)
      try await socket.send([1, 2, 3], to: SocketAddress("10.0.2.3:53")!)
      try server.answerTwice()
      #expect(try await socket.receive().bytes == [1, 2, 3, 1, 2, 3])
      try folder.write("127.0.0.9")
      await OutboundTests().until { forwarder.datagramStatistics.resolverChanges == 1 }
      #expect(forwarder.datagramStatistics.flowsOpened == 1 && forwarder.datagramStatistics.open == 1)
      socket.close()
    }
  }
}
