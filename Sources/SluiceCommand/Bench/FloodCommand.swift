import ArgumentParser
import Glibc

/// `sluice flood`: the far end of a benchmark, in a namespace of its own. Sends datagrams until it is killed.
struct FloodCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "flood", abstract: "Send datagrams without end.", shouldDisplay: false)

  @Argument var address: String
  @Argument var port: UInt16

  func run() throws {
    var destination = sockaddr_in()
    destination.sin_family = sa_family_t(AF_INET)
    destination.sin_port = port.bigEndian
    guard unsafe inet_pton(AF_INET, address, &destination.sin_addr) == 1 else {
      throw Failure("\(address) is no IPv4 address.")
    }
    let socket = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    guard socket >= 0 else { throw Failure("no UDP socket: errno \(errno).") }
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isConnected = unsafe withUnsafePointer(to: &destination) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe connect(socket, $0, size) }
    }
    guard isConnected == 0 else { throw Failure("no way to \(address): errno \(errno).") }
    let payload = [UInt8](repeating: 0x5A, count: 512)
    // A refusal (no neighbour yet, a full queue) passes.
    while true { _ = unsafe send(socket, payload, payload.count, 0) }
  }
}
