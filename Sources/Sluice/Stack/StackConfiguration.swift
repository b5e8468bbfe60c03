public import Devices
public import SoftInterrupts
public import Sockets
import Timing
public import Wire

/// How a ``Stack`` is made.
public struct StackConfiguration: Sendable {
  /// Contexts, each with a thread of its own, 1...64. More than the machine has processors is of no use.
  public var contexts = 1
  /// Links to the outside; a loopback interface is there without being asked for.
  public var interfaces: [StackInterface] = []
  /// Largest packet of the loopback interface, in bytes, 1280...1500.
  public var loopbackMTU = 1500
  /// What passes the loopback interface as it is: super-segments of TCP of up to 64 KiB, whose bytes nobody sums or copies.
  /// Empty: segments as on a wire.
  public var loopbackOffloads = DeviceOffloads.inMemory
  /// What a connection may buffer, unless its maker says otherwise.
  public var buffers = BufferLimits()
  /// Where received packets are worked on, if there are several contexts: `.home` for links with fewer queues.
  public var steering = ReceiveSteering.none
  /// When application threads send by themselves instead of waking a context for it.
  ///
  /// Measured with `sluice bench pair-rr-threads --enter`, release build, one context for each stack, on a machine of
  /// two processors that others kept busy, so that single runs lie apart by half: `.post`, `.enterIdle`,
  /// `.enterFree`. Two stacks joined in memory, one connection, medians of four runs: 19,900, 21,600 and
  /// 22,100 exchanges of a byte a second; for each of them 38, 35 and 33 µs of processor time, 4.5, 4.0 and
  /// 3.9 thread switches, 2.8, 2.0 and 2.0 kicks. With eight connections contexts seldom sleep: 43,000,
  /// 45,000 and 47,000 exchanges do not tell the settings apart. Bulk is no faster: 0.55, 0.48 and 0.50 GB/s.
  /// Over loopback home has to run all the same, and what is entered while it is about to run wakes it more
  /// often: 39,000, 37,000 and 34,000 exchanges, 0.16, 0.13 and 0.65 kicks.
  ///
  /// `.drive` takes a sleeping context's place altogether: for one connection 89,000 exchanges for each second of
  /// processor time where `.post` has 24,000, and 1.1 kicks for each instead of 3.7. Eight connections exchange no
  /// more, and bulk is slower (Documentation/Waiting.md).
  ///
  /// So `.post` is the default. `.enterIdle` is for few connections and small requests over a link. Its
  /// price: a program's thread that loses its processor inside holds up what its home sends by the same
  /// queue.
  public var entry: BlockEntry {
    get { sockets.entry }
    set { sockets.entry = newValue }
  }
  /// How long a thread that waits spins at most before it sleeps: a context's, and one that is blocked in a call. It
  /// spins only where its own last waits were as short, on more than one processor, and while there is one to spare; an
  /// idle stack sleeps at once. Zero: nobody spins.
  public var spin = Duration.microseconds(50)
  /// What each level of a context may do in one pass.
  public var budgets = LevelBudgets()
  /// Packets that each context may hold, 2 KiB each.
  public var packetLimit = 16_384
  /// Connections, datagrams and bytes that the sockets may hold, ports they choose from, how TCP behaves, and
  /// the seed of hashes, sequence numbers and ports (nil: the system's random numbers).
  public var sockets = SocketConfiguration()

  /// The clock.
  package var time: any TimeSource = RealClock()
  /// Contexts are stepped by a `ManualScheduler` instead of running on threads.
  package var isManual = false

  /// One context, loopback only.
  public init() {}
}

/// A link of a ``Stack``.
public struct StackInterface: Sendable {
  /// What carries the frames. Its queues are spread over the contexts.
  public var device: any Device
  /// Addresses of this host there, each with the prefix of the link.
  public var addresses: [IPPrefix]
  /// Routers on the link, by where they lead.
  public var routes: [(destination: IPPrefix, gateway: IPAddress)]
  /// Where a copy of every frame goes.
  public var capture: PacketCapture?
  /// Takes packets to any destination, for a gateway that ends its guests' connections to the outside: see
  /// `SocketConfiguration.transparent`.
  public var acceptsForeignDestinations: Bool
  /// How its transmit queues behave: discipline, byte limits, watchdog.
  public var transmit: TransmitConfiguration
  /// Its hosts are not trusted: forged sources and claims, DHCP servers and routers among them are dropped and counted.
  public var isGuarded: Bool
  /// What its hosts are told as of their router (RFC 4861); nil: nothing. It takes a link-local address here.
  public var advertising: RouterAdvertising?

  /// A link with addresses. Prefixes of the link itself need no route.
  public init(
    _ device: any Device, addresses: [IPPrefix], routes: [(destination: IPPrefix, gateway: IPAddress)] = [],
    capture: PacketCapture? = nil, acceptsForeignDestinations: Bool = false,
    transmit: TransmitConfiguration = TransmitConfiguration(), isGuarded: Bool = false,
    advertising: RouterAdvertising? = nil
  ) {
    self.device = device
    self.addresses = addresses
    self.routes = routes
    self.capture = capture
    self.acceptsForeignDestinations = acceptsForeignDestinations
    self.transmit = transmit
    self.isGuarded = isGuarded
    self.advertising = advertising
  }
}

/// Why a ``Stack`` could not be assembled or started.
public enum StackError: Error, CustomStringConvertible {
  /// The system refused descriptors, memory or threads.
  case resourcesRefused(reason: String)
  /// An address or route of an interface makes no sense.
  case addressRefused(interface: String, reason: String)

  /// What went wrong, and what to look at.
  public var description: String {
    switch self {
    case .resourcesRefused(let reason):
      "the stack's contexts could not be made: \(reason). Look at `ulimit -n` and `ulimit -u`."
    case .addressRefused(let interface, let reason):
      "interface \(interface): \(reason). Check its addresses and routes."
    }
  }
}
