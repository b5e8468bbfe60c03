#if canImport(SluiceCommand)
  @testable import SluiceCommand
#endif

/// The reader of the control socket's requests as something that takes any bytes. The tests feed it random ones; `Fuzz/run`
/// compiles this same file and lets libFuzzer choose.
enum ControlReading {
  /// What is wrong; nil: nothing.
  static func run(_ bytes: [UInt8]) -> String? {
    let whole = outcome(bytes, isEnd: true)
    if whole == .more { return "it waits for more behind the end" }
    let sofar = outcome(bytes, isEnd: false)
    // What is understood early is understood so at the end as well.
    if sofar != .more, sofar != whole { return "\(sofar) became \(whole)" }
    guard case .request(let request) = whole else { return nil }
    let written = Array(text(request).utf8)
    let again = outcome(written, isEnd: false)
    return again == whole ? nil : "\(whole) became \(again) by way of \(text(request))"
  }

  private enum Outcome: Equatable {
    case request(ControlRequest)
    case refused(ControlRequest.Refusal)
    case more
  }
  private static func outcome(_ bytes: [UInt8], isEnd: Bool) -> Outcome {
    do throws(ControlRequest.Refusal) {
      return try ControlRequest.read(bytes, isEnd: isEnd).map { .request($0) } ?? .more
    } catch {
      return .refused(error)
    }
  }

  /// A request as a client writes it.
  static func text(_ request: ControlRequest) -> String {
    switch request {
    case .list: return "{\"execute\": \"list_hostfwd\"}"
    case .remove(let identifier):
      return "{\"execute\": \"remove_hostfwd\", \"arguments\": {\"id\": \(identifier)}}"
    case .add(let forward):
      let host = forward.hostAddress.map { "\($0)" } ?? ControlRequest.everywhere
      let guest = forward.guestAddress.map { "\($0)" } ?? ""
      return
        "{\"execute\": \"add_hostfwd\", \"arguments\": {\"proto\": \"\(forward.isDatagram ? "udp" : "tcp")\", "
        + "\"host_addr\": \"\(host)\", \"host_port\": \(forward.hostPort), \"guest_addr\": \"\(guest)\", "
        + "\"guest_port\": \(forward.guestPort)}}"
    }
  }
}
