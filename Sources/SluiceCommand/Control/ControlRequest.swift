import Wire

/// What a client of the control socket asks for, as slirp4netns' API has it: `{"execute": "add_hostfwd", "arguments": {…}}`
/// (slirp4netns(1), "API SOCKET").
enum ControlRequest: Equatable {
  /// Listen, and carry on what comes.
  case add(ForwardArguments)
  /// No longer.
  case remove(Int)
  /// Say what there is.
  case list

  /// A forward as its arguments say.
  struct ForwardArguments: Equatable {
    var isDatagram = false
    /// Nil: every address, of both families, which slirp4netns does not have. Its default is 0.0.0.0.
    var hostAddress: IPAddress? = .anyIPv4
    var hostPort: UInt16 = 0
    /// Nil: the guest that the gateway knows.
    var guestAddress: IPAddress?
    var guestPort: UInt16 = 0
  }

  /// Why something is no request, in the words of slirp4netns where it has some.
  struct Refusal: Error, Equatable {
    var description: String
  }

  /// Every address of the host, of both families.
  static let everywhere = "*"

  /// Reads a request; nil: so far it is the beginning of one, and more may come.
  static func read(_ bytes: [UInt8], isEnd: Bool) throws(Refusal) -> ControlRequest? {
    // A document ends with a brace: before that there is nothing to try.
    let last = bytes.last { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    if last == UInt8(ascii: "}") || isEnd,
      let document = JSON(parsing: String(decoding: bytes, as: UTF8.self))
    {
      return try read(document)
    }
    guard isEnd else { return nil }
    throw Refusal(description: "bad request: cannot parse JSON")
  }

  /// What is no document although it is as long as one may be.
  static let tooLarge = Refusal(description: "bad request: too large message")

  private static func read(_ document: JSON) throws(Refusal) -> ControlRequest {
    guard case .text(let name)? = document.member("execute") else {
      throw Refusal(description: "bad request: no execute found")
    }
    let arguments = Arguments(name: name, object: document.member("arguments"))
    switch name {
    case "add_hostfwd": return .add(try arguments.forward())
    case "remove_hostfwd": return .remove(try arguments.number("id", 1...Int(Int32.max)))
    case "list_hostfwd": return .list
    default: throw Refusal(description: "bad request: unknown execute")
    }
  }

  private struct Arguments {
    let name: String
    let object: JSON?

    func bad(_ argument: String) -> Refusal {
      Refusal(description: "bad request: \(name): bad arguments.\(argument)")
    }
    func forward() throws(Refusal) -> ForwardArguments {
      var forward = ForwardArguments()
      guard case .text(let proto)? = object?.member("proto"), ["tcp", "udp"].contains(proto) else {
        throw bad("proto")
      }
      forward.isDatagram = proto == "udp"
      if case .text(everywhere)? = object?.member("host_addr") {
        forward.hostAddress = nil
      } else if let address = try address("host_addr") {
        forward.hostAddress = address
      }
      forward.hostPort = UInt16(try number("host_port", 1...65_535))
      forward.guestAddress = try address("guest_addr")
      if let guest = forward.guestAddress, guest.isUnspecified { forward.guestAddress = nil }
      forward.guestPort = UInt16(try number("guest_port", 1...65_535))
      return forward
    }
    func number(_ argument: String, _ range: ClosedRange<Int>) throws(Refusal) -> Int {
      guard case .real(let value)? = object?.member(argument), let number = Int(exactly: value),
        range.contains(number)
      else { throw bad(argument) }
      return number
    }
    /// Nil: it is not there, or empty.
    func address(_ argument: String) throws(Refusal) -> IPAddress? {
      switch object?.member(argument) {
      case nil, .null?, .text("")?: return nil
      case .text(let text)?:
        guard let address = IPAddress(text), !address.isMulticast, !address.isLimitedBroadcast else {
          throw bad(argument)
        }
        return address
      case .bool?, .number?, .real?, .array?, .object?: throw bad(argument)
      }
    }
  }
}
