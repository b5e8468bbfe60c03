import Buffers
import Wire

/// An Ethernet switch: it learns which station is behind which port, and sends what it does not know everywhere.
final class Switch: Node {
  unowned let network: Network
  /// The pipe that leads away from each port.
  var outgoing: [Int] = []
  private var learned: [(station: MACAddress, port: Int)] = []
  /// Stations remembered at most.
  private static var limit: Int { 1024 }
  /// Frames sent to all ports.
  private(set) var flooded = 0

  init(_ network: Network) { self.network = network }

  func receive(_ packet: consuming Packet, port: Int) {
    guard packet.count >= FrameLayout.linkBytes else { return }
    let destination = MACAddress(packet.bytes, at: 0)
    learn(MACAddress(packet.bytes, at: 6), port)
    if destination.isUnicast, let known = learned.first(where: { $0.station == destination }) {
      // What is for a station behind the port that it came by is there already.
      if known.port != port { network.pipes[outgoing[known.port]].offer(packet) }
      return
    }
    flooded += 1
    for other in outgoing.indices where other != port {
      if let copy = network.copy(packet) { network.pipes[outgoing[other]].offer(copy) }
    }
  }

  private func learn(_ station: MACAddress, _ port: Int) {
    guard station.isUnicast else { return }
    if let place = learned.firstIndex(where: { $0.station == station }) {
      learned[place].port = port
    } else if learned.count < Self.limit {
      learned.append((station, port))
    }
  }
}
