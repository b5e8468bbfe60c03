import Exclusion
import Testing
import Wire

@testable import Sockets

/// A domain as others register theirs: its sockets know nothing of the internet.
private struct EchoDomain: Domain {
  let family = AddressFamily.local
  let account: WakeAccount
  let protocols = [
    SocketProtocol(.stream, number: 1), SocketProtocol(.stream, number: 2),
    SocketProtocol(.datagram, number: 9),
  ]
  final class Socket: AnySocket {
    let kind: SocketProtocol
    let isClosed = AtomicWord(0)
    init(_ kind: SocketProtocol) { self.kind = kind }
    func close() { isClosed.store(1) }
  }
  func makeSocket(_ kind: SocketProtocol) -> Answer<Result<any AnySocket, SocketError>> {
    Answer(account, answered: kind.type == .datagram ? .failure(.noBufferSpace) : .success(Socket(kind)))
  }
}

@Suite struct ProtocolSwitchTests {
  @Test func eachRefusalHasItsOwnError() throws {
    let network = try Network()
    let sockets = network.left.sockets
    #expect(sockets.protocols.families == [.inet, .inet6])
    for (family, type, number, error): (AddressFamily, SocketType, UInt8, SocketError) in [
      (.packet, .raw, 0, .familyNotSupported), (AddressFamily(rawValue: 99), .stream, 0, .familyNotSupported),
      (.inet, .sequencedPacket, 0, .typeNotSupported), (.inet6, .raw, 6, .typeNotSupported),
      (.inet, .stream, 99, .protocolNotSupported), (.inet, .stream, 17, .protocolWrongType),
      (.inet6, .datagram, 6, .protocolWrongType),
    ] {
      #expect(throws: error) { _ = try sockets.protocols.makeSocket(family, type, protocol: number) }
    }
    let numbers = Set(SocketError.allCases.map(\.errno))
    #expect(numbers.count == SocketError.allCases.count && !numbers.contains(0))
  }

  @Test(arguments: [AddressFamily.inet, .inet6]) func theInternetMakesSocketsThroughTheSwitch(
    family: AddressFamily
  ) throws {
    let network = try Network(contexts: 2)
    do {
      for number: UInt8 in [0, 6] {
        let socket = try network.wait(
          network.left.sockets.protocols.makeSocket(family, .stream, protocol: number))
        let stream = try #require(socket as? UnconnectedStream)
        _ = try network.wait(stream.bind(to: SocketAddress("10.0.0.1:80")!))
        stream.close()
        network.scheduler.settle()
      }
      let socket = try network.wait(network.left.sockets.protocols.makeSocket(family, .datagram))
      let datagram = try #require(socket as? UnboundDatagram)
      if family == .inet {
        let wrong = datagram.bind(to: SocketAddress("[fd00::1]:80")!)
        #expect(throws: SocketError.invalidAddress) { try wrong.take()!.get() }
      }
      let bound = try network.wait(datagram.bind(to: SocketAddress("10.0.0.1:80")!))
      #expect(bound.localAddress.port == 80)
      let again = datagram.bind(to: SocketAddress("10.0.0.1:81")!)
      #expect(throws: SocketError.invalidAddress) { try again.take()!.get() }
    }
    network.expectNothingLeft()
  }

  @Test func otherDomainsRegisterTheSameWay() throws {
    let network = try Network()
    let sockets = network.left.sockets
    sockets.register(EchoDomain(account: sockets.wakeAccount))
    #expect(sockets.protocols.families == [.local, .inet, .inet6])
    let usual = try network.wait(try sockets.protocols.makeSocket(.local, .stream))
    #expect((usual as? EchoDomain.Socket)?.kind.number == 1)
    let other = try network.wait(try sockets.protocols.makeSocket(.local, .stream, protocol: 2))
    #expect((other as? EchoDomain.Socket)?.kind.number == 2)
    other.close()
    #expect(throws: SocketError.protocolWrongType) {
      _ = try sockets.protocols.makeSocket(.local, .stream, protocol: 9)
    }
    #expect(throws: SocketError.noBufferSpace) {
      _ = try network.wait(try sockets.protocols.makeSocket(.local, .datagram))
    }
  }
}
