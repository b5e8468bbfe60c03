import CLinux
import Devices
import Exclusion
import Internet
import Sluice
import SoftInterrupts
import Testing
import Timing
import Wire

@testable import Forwarding
@testable import Sockets

/// A guest and its gateway, stepped by hand in virtual time; what is outside is sockets of this machine, which answer
/// when the test says so. Carriers are driven by the test in the place of a forwarder.
@safe
final class CarrierWorld {
  static let guestAddress = IPAddress("10.0.2.100")!
  static let gatewayAddress = IPAddress("10.0.2.2")!
  let clock = VirtualClock(start: Instant(milliseconds: 1_000_000))
  let scheduler: ManualScheduler
  let guest: Stack
  let gateway: Stack
  let epoll = sluice_epoll_create()
  let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
  private let pair = LinkPair(left: .ip, right: .ip)
  private let heard = Heard()

  /// ICMP messages that the guest was sent, and what became of its requests. One thread.
  private final class Heard: @unchecked Sendable {
    var messages: [[UInt8]] = []
    var failures: [DeliveryFailure] = []
  }

  init() throws {
    let clock = clock
    scheduler = ManualScheduler(clock: clock)
    func make(_ change: (inout StackConfiguration) -> Void) throws -> Stack {
      var configuration = StackConfiguration()
      configuration.time = clock
      configuration.isManual = true
      change(&configuration)
      return try Stack(configuration)
    }
    let pair = pair
    guest = try make {
      $0.interfaces = [
        StackInterface(
          pair.left, addresses: [IPPrefix("10.0.2.100/24")!],
          routes: [(destination: IPPrefix("0.0.0.0/0")!, gateway: Self.gatewayAddress)])
      ]
    }
    gateway = try make {
      $0.interfaces = [
        StackInterface(
          pair.right, addresses: [IPPrefix("10.0.2.2/24")!], acceptsForeignDestinations: true, isGuarded: true
        )
      ]
      $0.sockets.transparent = TransparentConfiguration()
    }
    let heard = heard
    guest.internet.setTransport(
      TransportHandler(
        receive: { packet, _ in
          var bytes = [UInt8](repeating: 0, count: packet.totalCount)
          var elements = bytes.mutableSpan
          var span = unsafe elements.mutableBytes  // bytes have no padding
          packet.copyBytes(from: 0, into: &span)
          heard.messages.append(bytes)
        }, fail: { failure, _ in heard.failures.append(failure) }), for: .icmpv4)
    scheduler.add(guest.contexts)
    scheduler.add(gateway.contexts)
  }
  deinit {
    unsafe scratch.deallocate()
    sluice_tcp_close(epoll)
  }

  var now: Instant { clock.now() }
  /// ICMP messages that came since the last look.
  func takeMessages() -> [[UInt8]] {
    scheduler.settle()
    defer { heard.messages = [] }
    return heard.messages
  }

  /// What the guest was told of its requests since the last look.
  func takeFailures() -> [DeliveryFailure.Reason] {
    scheduler.settle()
    defer { heard.failures = [] }
    return heard.failures.map(\.reason)
  }

  /// The guest asks for an echo.
  func ping(
    _ destination: IPAddress, identifier: UInt16, sequence: UInt16 = 1, data: [UInt8] = [1],
    hopLimit: UInt8 = 64
  ) {
    let internet = guest.internet
    guest.contexts.perform(on: 0) { cx in
      guard var packet = cx.pool.allocate() else { return }
      packet.append(data.count)
      var span = packet.mutableBytes
      for (index, byte) in data.enumerated() { span.set(byte, at: index) }
      TransparentInput.finishEcho(
        &packet, isRequest: true, identifier: identifier, sequence: sequence, from: Self.guestAddress,
        to: destination)
      internet.send(
        packet, from: Self.guestAddress, to: destination, protocol: .icmpv4, hopLimit: hopLimit, &cx)
    }
    scheduler.settle()
  }

  /// Shuts both stacks down: nothing is left.
  func end(_ location: SourceLocation = #_sourceLocation) {
    for stack in [guest, gateway] { #expect(stack.quiesce(), sourceLocation: location) }
    scheduler.settle()
    for stack in [guest, gateway] { stack.forget() }
    scheduler.settle()
    pair.loseFrames()
    for stack in [guest, gateway] {
      let remains = stack.shutdown()
      #expect(remains.isEmpty, "\(remains)", sourceLocation: location)
    }
  }
}
