public import Devices
import Exclusion
import SoftInterrupts
import Wire

/// What an interface is made from.
public struct InterfaceDescription: Sendable {
  /// What carries the frames.
  public var device: any Device
  /// The stack's own link: packets to our own addresses come back through it.
  public var isLoopback: Bool
  /// Takes packets to any destination as if they were ours, and lets us answer from it: for a gateway that
  /// ends its guests' connections to the outside. Off by default.
  public var acceptsForeignDestinations: Bool
  /// How its transmit queues behave.
  public var transmit: TransmitConfiguration
  /// Its hosts are not trusted: sources that are not of the link, claims of addresses that are not the sender's, routers
  /// and DHCP servers among them are dropped and counted. Ethernet only. Off by default.
  public var isGuarded: Bool
  /// What its hosts are told as of their router; nil: nothing.
  public var advertising: RouterAdvertising?

  /// An interface over `device`.
  public init(
    device: any Device, isLoopback: Bool = false, acceptsForeignDestinations: Bool = false,
    transmit: TransmitConfiguration = TransmitConfiguration(), isGuarded: Bool = false,
    advertising: RouterAdvertising? = nil
  ) {
    self.device = device
    self.isLoopback = isLoopback
    self.acceptsForeignDestinations = acceptsForeignDestinations
    self.transmit = transmit
    self.isGuarded = isGuarded
    self.advertising = advertising
  }
}

/// One interface. Constant after assembly.
@safe
struct InterfaceRecord: ~Copyable {
  let index: UInt16
  let device: any Device
  let name: String
  let mtu: Int
  let offloads: DeviceOffloads
  let isLoopback: Bool
  let acceptsForeignDestinations: Bool
  let isGuarded: Bool
  /// Nil: it advertises nothing.
  let advertisement: UnsafeMutablePointer<AdvertisementState>?
  /// Nil if the link carries bare IP packets.
  let station: MACAddress?
  /// The queue that each context, and each guest, sends through.
  let queues: UnsafeMutablePointer<TransmitQueueRef>
  let queueCount: Int
  let neighbors: NeighborCacheRef?

  init(
    index: UInt16, description: InterfaceDescription, queues made: [TransmitQueueRef],
    neighbors: NeighborCacheRef?
  ) {
    self.index = index
    device = description.device
    name = description.device.name
    mtu = description.device.mtu
    offloads = description.device.offloads
    isLoopback = description.isLoopback
    acceptsForeignDestinations = description.acceptsForeignDestinations
    isGuarded = description.isGuarded
    if case .ethernet(let address) = description.device.linkLayer { station = address } else { station = nil }
    unsafe advertisement = description.advertising.map { [station] configuration in
      let state = UnsafeMutablePointer<AdvertisementState>.allocate(capacity: 1)
      unsafe state.initialize(to: AdvertisementState(configuration, station: station, interface: index))
      return unsafe state
    }
    queueCount = made.count
    unsafe queues = .allocate(capacity: made.count)
    for (number, queue) in made.enumerated() { unsafe (queues + number).initialize(to: queue) }
    self.neighbors = neighbors
  }

  deinit {
    unsafe queues.deinitialize(count: queueCount)
    unsafe queues.deallocate()
    unsafe advertisement?.deinitialize(count: 1)
    unsafe advertisement?.deallocate()
  }
}

/// A handle to an interface of a living layer.
@safe
struct InterfaceRef {
  private let record: UnsafeMutablePointer<InterfaceRecord>
  init(_ record: UnsafeMutablePointer<InterfaceRecord>) { unsafe self.record = record }

  var index: UInt16 { unsafe record.pointee.index }
  var name: String { unsafe record.pointee.name }
  var mtu: Int { unsafe record.pointee.mtu }
  var offloads: DeviceOffloads { unsafe record.pointee.offloads }
  var isLoopback: Bool { unsafe record.pointee.isLoopback }
  var acceptsForeignDestinations: Bool { unsafe record.pointee.acceptsForeignDestinations }
  var isGuarded: Bool { unsafe record.pointee.isGuarded }
  var advertisement: UnsafeMutablePointer<AdvertisementState>? { unsafe record.pointee.advertisement }
  var station: MACAddress? { unsafe record.pointee.station }
  var neighbors: NeighborCacheRef? { unsafe record.pointee.neighbors }
  var linkLayer: LinkLayer { unsafe record.pointee.device.linkLayer }
  /// The queue that context `context` sends through.
  func queue(of context: Int) -> TransmitQueueRef {
    unsafe precondition(context < record.pointee.queueCount)
    return unsafe record.pointee.queues[context]
  }
}
