import Exclusion
public import Sluice
import Sockets
import Wire

/// Gives the guests of a link their addresses: a DHCPv4 server (RFC 2131, RFC 2132) on port 67 of a stack, for one of its
/// links. IPv6 needs none: routers say it all (``RouterAdvertising``).
public final class AddressServer: Sendable {
  private let socket: UDPSocket
  private let counters = AddressCounters()
  private let stack: Stack

  /// Serves from now on, until ``stop()`` or the stack's end. Blocks for a moment. The stack runs.
  ///
  /// - Throws: `.addressInUse` where somebody has port 67 of the stack, `.networkDown` after a shutdown.
  public init(_ configuration: AddressServerConfiguration, on stack: Stack) throws(SocketError) {
    self.stack = stack
    socket = try stack.blocking.bind(to: SocketAddress(.anyIPv4, port: DHCPMessage.serverPort))
    let (socket, counters, layer) = (socket, counters, stack.layer)
    Task {
      var desk = AddressDesk(configuration, counters)
      while true {
        do throws(SocketError) {
          let datagram = try await socket.receive()
          counters.received.increment()
          guard datagram.source.port == DHCPMessage.clientPort,
            let message = try? DHCPMessage.parse(unsafe datagram.bytes.span.bytes)  // bytes have no padding
          else {
            counters.malformed.increment()
            continue
          }
          guard let answer = desk.answer(message, layer.now) else { continue }
          let destination = answer.destination.map { IPAddress($0) } ?? IPAddress(IPv4Address(~0))
          try await socket.send(
            answer.message.encoded, to: SocketAddress(destination, port: DHCPMessage.clientPort),
            from: IPAddress(configuration.server))
        } catch .closed {
          return
        } catch {
          continue  // what became of an answer: its guest asks again
        }
      }
    }
  }

  deinit { socket.close() }

  /// Serves no more. Again it does nothing.
  public func stop() { socket.close() }

  /// What was done. Any thread.
  public var statistics: AddressStatistics { AddressStatistics(counters) }
}

/// What an ``AddressServer`` counts. Its task writes.
final class AddressCounters: Sendable {
  let received = Counter()
  let malformed = Counter()
  let ignored = Counter()
  let discovers = Counter()
  let offers = Counter()
  let requests = Counter()
  let acknowledgments = Counter()
  let refusals = Counter()
  let releases = Counter()
  let declines = Counter()
  let informs = Counter()
  let exhausted = Counter()
  let taken = Gauge()
  let pool = Gauge()
}

/// What an ``AddressServer`` did.
public struct AddressStatistics: Sendable, Hashable {
  /// Datagrams that came.
  public var received: UInt64
  /// Those that were no message of a client's.
  public var malformed: UInt64
  /// Messages that were not for us, or asked for nothing that there is.
  public var ignored: UInt64
  /// Guests that looked for an address.
  public var discovers: UInt64
  /// Addresses offered.
  public var offers: UInt64
  /// Guests that wanted one, or to keep theirs.
  public var requests: UInt64
  /// Those that got it.
  public var acknowledgments: UInt64
  /// Those that did not.
  public var refusals: UInt64
  /// Addresses given back.
  public var releases: UInt64
  /// Addresses that a guest found somebody else to have.
  public var declines: UInt64
  /// Guests with an address that asked for the rest.
  public var informs: UInt64
  /// Times that there was no address left.
  public var exhausted: UInt64
  /// Addresses that guests have, when the last message came.
  public var taken: UInt64
  /// Addresses that there are to be given.
  public var pool: UInt64

  init(_ counters: AddressCounters) {
    received = counters.received.value
    malformed = counters.malformed.value
    ignored = counters.ignored.value
    discovers = counters.discovers.value
    offers = counters.offers.value
    requests = counters.requests.value
    acknowledgments = counters.acknowledgments.value
    refusals = counters.refusals.value
    releases = counters.releases.value
    declines = counters.declines.value
    informs = counters.informs.value
    exhausted = counters.exhausted.value
    taken = counters.taken.value
    pool = counters.pool.value
  }
}
