import Forwarding
import LinuxDevices
import Sluice

/// The pages of the HTTP service.
final class StatusPage: Sendable {
  private let host: ServiceHost

  init(host: ServiceHost) { self.host = host }

  func response(to request: HTTPRequest) async -> HTTPResponse {
    let known = ["/", "/stats.json"].contains(request.path)
    guard known else { return HTTPResponse(.notFound, body: "404 Not Found\nThere are / and /stats.json.\n") }
    guard ["GET", "HEAD"].contains(request.method) else { return HTTPResponse(.methodNotAllowed) }
    let status = await status()
    if request.path == "/stats.json" {
      return HTTPResponse(.ok, contentType: "application/json", body: status.json.text)
    }
    if request["accept"]?.lowercased().contains("text/html") == true {
      return HTTPResponse(.ok, contentType: "text/html; charset=utf-8", body: status.html)
    }
    return HTTPResponse(.ok, body: status.text)
  }

  func status() async -> Status {
    let uptime = ContinuousClock.now - host.began
    return Status(
      statistics: host.stack.statistics(), services: await host.limit.counts,
      timedOut: await host.watchdog.expired,
      forwards: host.forwarder?.statistics ?? ForwardStatistics(),
      outbound: host.forwarder?.outboundStatistics ?? ForwardStatistics(),
      datagrams: host.forwarder?.datagramStatistics ?? DatagramStatistics(),
      inboundDatagrams: host.forwarder?.inboundDatagramStatistics ?? DatagramStatistics(),
      echoes: host.forwarder?.echoStatistics ?? EchoStatistics(),
      guests: host.virtualSwitch?.statistics, uptime: Int(uptime.components.seconds),
      link: host.link, streams: host.streams?.statistics ?? [],
      descriptors: OpenDescriptors.count())
  }
}

/// Everything that the pages show, at one moment.
struct Status: Sendable {
  var statistics: StackStatistics
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
  /// Seconds.
  var uptime: Int
  var link: String
  /// What loops of stream services counted.
  var streams: [StreamServices.Statistics] = []
  var descriptors: Int?
}
