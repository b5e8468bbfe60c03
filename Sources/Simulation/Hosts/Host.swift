import Buffers
import Chance
import Exclusion
import Sockets
import Timing
import Wire

/// A node with a whole stack, which may crash and start again.
final class Host: Node {
  unowned let network: Network
  let number: Int
  let station: MACAddress
  let addresses: [IPPrefix]
  let gateway: [IPAddress]
  private let parameters: StackParameters
  private let seed: UInt64
  private var starts: UInt64 = 0
  /// The direction of the link away from here.
  var outgoing = -1 { didSet { stack?.card.outgoing = outgoing } }
  /// Nil between a crash and the next start.
  private(set) var stack: HostStack?
  /// Stacks that crashed. Nobody hears them any more; they are run until all that they held is back, so that a
  /// crash in the middle of anything is looked at as an end is.
  private(set) var ghosts: [HostStack] = []

  init(
    _ network: Network, number: Int, addresses: [IPPrefix], gateway: [IPAddress] = [], seed: UInt64,
    _ parameters: StackParameters
  ) {
    self.network = network
    self.number = number
    self.addresses = addresses
    self.gateway = gateway
    self.parameters = parameters
    self.seed = seed
    station = MACAddress(0x02_00_00_00_00_00 + UInt64(number))
    start()
  }

  func address(isIPv4: Bool) -> IPAddress {
    addresses.first { $0.address.isIPv4 == isIPv4 }?.address ?? .anyIPv4
  }

  func start() {
    guard stack == nil else { return }
    starts += 1
    let stack = HostStack(
      network, addresses: addresses, gateway: gateway, station: station,
      seed: SeededGenerator.mixed(seed &+ starts), parameters)
    stack.card.outgoing = outgoing
    self.stack = stack
  }

  /// The host is off from one moment to the next: nobody is told. Its applications have let go of their sockets.
  func crash() {
    guard let stack else { return }
    stack.card.outgoing = -1
    stack.card.loseFrames()
    stack.sockets.stopIntake()
    stack.sockets.abortAll()
    ghosts.append(stack)
    self.stack = nil
  }

  func receive(_ packet: consuming Packet, port: Int) {
    // A stack that is gone takes nothing: the frame goes back to the network's pool.
    stack?.card.deliver(packet)
  }

  /// The stack's lives, the last one at the end.
  var lives: [HostStack] { ghosts + (stack.map { [$0] } ?? []) }

  var nextDeadline: Instant? {
    var earliest = stack?.nextDeadline
    for ghost in ghosts {
      guard let deadline = ghost.nextDeadline else { continue }
      earliest = earliest.map { min($0, deadline) } ?? deadline
    }
    return earliest
  }

  func settle() -> Bool {
    var wasBusy = stack?.settle() ?? false
    for ghost in ghosts where ghost.settle() { wasBusy = true }
    return wasBusy
  }

  func loseFrames() { for life in lives { life.card.loseFrames() } }
}
