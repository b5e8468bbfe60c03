import Forwarding
import Wire

/// The answers of the control socket, in slirp4netns' shape: `{"return": …}` or `{"error": {"desc": …}}`.
enum ControlAnswers {
  /// For a ``ForwardControl``.
  static func answer(_ request: [UInt8], _ isEnd: Bool, _ desk: any ForwardDesk) -> [UInt8]? {
    do throws(ControlRequest.Refusal) {
      guard request.count < ForwardControl.requestLimit else { throw ControlRequest.tooLarge }
      guard let asked = try ControlRequest.read(request, isEnd: isEnd) else { return nil }
      let result = try carryOut(asked, desk)
      return Array(JSON.object { $0["return"] = result }.line.utf8)
    } catch {
      let description = JSON.object { $0["desc"] = .text(error.description) }
      return Array(JSON.object { $0["error"] = description }.line.utf8)
    }
  }

  private static func carryOut(
    _ request: ControlRequest, _ desk: any ForwardDesk
  ) throws(ControlRequest.Refusal) -> JSON {
    switch request {
    case .add(let arguments):
      do throws(PortForwardError) {
        let identifier = try desk.add(PortForward(arguments))
        return .object { $0["id"] = .number(identifier) }
      } catch {
        throw ControlRequest.Refusal(description: "bad request: add_hostfwd: \(error)")
      }
    case .remove(let identifier):
      guard desk.remove(identifier) else {
        throw ControlRequest.Refusal(description: "bad request: remove_hostfwd: bad arguments.id")
      }
      return .object([])
    case .list:
      let entries = desk.forwards.map(json)
      return .object { $0["entries"] = .array(entries) }
    }
  }

  private static func json(_ entry: ForwardEntry) -> JSON {
    .object {
      $0["id"] = .number(entry.identifier)
      $0["proto"] = .text(entry.forward.transport.rawValue)
      $0["host_addr"] = .text(entry.forward.address.map { "\($0)" } ?? ControlRequest.everywhere)
      $0["host_port"] = .number(entry.forward.hostPort)
      $0["guest_addr"] = .text("\(entry.target.address)")
      $0["guest_port"] = .number(entry.target.port)
    }
  }
}

extension PortForward {
  fileprivate init(_ arguments: ControlRequest.ForwardArguments) {
    self.init(
      arguments.isDatagram ? .udp : .tcp, address: arguments.hostAddress,
      hostPort: arguments.hostPort, guest: arguments.guestAddress, port: arguments.guestPort)
  }
}

extension JSON {
  /// The document on one line.
  var line: String {
    text.split(separator: "\n").map { $0.drop { $0 == " " } }.joined(separator: " ") + "\n"
  }
}
