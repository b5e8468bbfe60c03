import Forwarding
import LinuxDevices
import Sluice
import Sockets
import Timing

/// The pages of the HTTP service, and what the socket for reports says.
final class StatusPage: Sendable {
  private let host: ServiceHost
  /// Which command has the stack.
  private let verb: String
  /// What `/events` tells.
  let history: History

  init(host: ServiceHost, verb: String = "") {
    self.host = host
    self.verb = verb
    history = History(host.stack)
  }

  func response(to request: HTTPRequest) async -> HTTPResponse {
    let known = ["/", "/stats.json", "/events"].contains(request.path)
    guard known else {
      return HTTPResponse(.notFound, body: "404 Not Found\nThere are /, /stats.json and /events.\n")
    }
    guard ["GET", "HEAD"].contains(request.method) else { return HTTPResponse(.methodNotAllowed) }
    // Whoever only wants its head, or comes when there are too many.
    if request.path == "/events" {
      return request.method == "HEAD"
        ? HTTPResponse(.ok, contentType: History.contentType, body: "") : HTTPResponse(.serviceUnavailable)
    }
    let status = await status()
    if request.path == "/stats.json" {
      return HTTPResponse(.ok, contentType: "application/json", body: status.json.text)
    }
    if request["accept"]?.lowercased().contains("text/html") == true {
      return HTTPResponse(.ok, contentType: "text/html; charset=utf-8", body: status.html)
    }
    return HTTPResponse(.ok, body: status.text)
  }

  /// Everything, with at most `limit` connections of each context.
  func status(limit: Int = 100) async -> Status {
    let uptime = ContinuousClock.now - host.began
    let reports = (try? await host.stack.contextReports(limit: limit)) ?? []
    return Status(
      statistics: host.stack.statistics(connectionLimit: 0), reports: reports,
      moment: host.stack.layer.now.nanoseconds, verb: verb, services: await host.limit.counts,
      timedOut: await host.watchdog.expired,
      forwards: host.forwarder?.statistics ?? ForwardStatistics(),
      outbound: host.forwarder?.outboundStatistics ?? ForwardStatistics(),
      datagrams: host.forwarder?.datagramStatistics ?? DatagramStatistics(),
      inboundDatagrams: host.forwarder?.inboundDatagramStatistics ?? DatagramStatistics(),
      echoes: host.forwarder?.echoStatistics ?? EchoStatistics(),
      guests: host.virtualSwitch?.statistics, addresses: host.addresses?.statistics,
      vhost: host.vhost?.statistics,
      uptime: Int(uptime.components.seconds),
      link: host.link, streams: host.streams?.statistics ?? [],
      descriptors: OpenDescriptors.count())
  }

  /// A text about everything, for a thread that may block; before the stack's shutdown.
  func reportNow(limit: Int, _ text: @escaping @Sendable (Status) -> String) -> String {
    let stack = host.stack
    let answer = Answer<String>(stack.layer.wakeAccount)
    Task {
      let text = text(await status(limit: limit))
      stack.contexts.perform(on: 0) { cx in answer.complete(text, &cx) }
    }
    return answer.wait() ?? ""
  }
}

/// Everything that the pages show, at one moment.
struct Status: Sendable {
  var statistics: StackStatistics
  /// Some of the connections, by context.
  var reports: [ContextReport]
  /// Nanoseconds of the machine's clock.
  var moment: UInt64
  /// Which command has the stack.
  var verb: String
  var services: ConnectionLimit.Counts
  /// Service connections whose time was up.
  var timedOut: Int
  /// Connections of the host's that are carried to the command.
  var forwards: ForwardStatistics
  /// Connections of the command's that are carried to the outside.
  var outbound: ForwardStatistics
  /// Datagrams of the command's that are.
  var datagrams: DatagramStatistics
  /// Datagrams that come from outside to ports of the host.
  var inboundDatagrams = DatagramStatistics()
  var echoes = EchoStatistics()
  /// The switch that guests are on, if they are.
  var guests: SwitchStatistics?
  /// The DHCP server, if there is one.
  var addresses: AddressStatistics?
  /// The guest whose memory the link is, if it is one's.
  var vhost: VhostStatistics?
  /// Seconds.
  var uptime: Int
  var link: String
  /// What loops of stream services counted.
  var streams: [StreamServices.Statistics] = []
  var descriptors: Int?
}
