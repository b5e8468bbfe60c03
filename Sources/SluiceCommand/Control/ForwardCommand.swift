import ArgumentParser
import Forwarding
import Wire

/// `sluice forward`.
struct ForwardCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "forward",
    abstract: "Add, remove and list the forwards of a sluice that runs.",
    discussion: """
      `sluice run --control PATH` and `sluice gateway --control PATH` (or --api-socket PATH) listen at a Unix socket for \
      their own user. Connections that a forward has carried already go on when it is removed.

      Examples:
        sluice run --control /tmp/s.sock -- bash
        sluice forward add --control /tmp/s.sock 127.0.0.1:8080:80 5353:53/udp
        sluice forward list --control /tmp/s.sock
        sluice forward remove --control /tmp/s.sock 1
      """,
    subcommands: [Add.self, Remove.self, List.self])

  /// Where to ask.
  struct Place: ParsableArguments {
    @Option(help: ArgumentHelp("The control socket of the sluice that runs.", valueName: "path"))
    var control: String

    var client: ControlClient { ControlClient(path: control) }
  }

  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Listen, and carry on what comes. Prints the number of each new forward.")
    @OptionGroup var place: Place
    @Argument(
      help: ArgumentHelp(
        "As for `sluice run -p`; ports may be ranges.", valueName: "[addr:]hostport:port[/udp]"))
    var forwards: [String]

    func run() throws {
      var all: [PortForward] = []
      for text in forwards {
        do throws(PortForwardError) {
          all += try PortForward.parse(text)
        } catch {
          throw ValidationError("\(error)")
        }
      }
      for forward in all {
        let answer: JSON = try place.client.ask("add_hostfwd", forward.arguments)
        print("\(answer.member("id")?.whole ?? 0)\t\(forward)")
      }
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Listen no longer.")
    @OptionGroup var place: Place
    @Argument(help: ArgumentHelp("The numbers that `list` shows.", valueName: "number"))
    var numbers: [Int]

    func run() throws {
      for number in numbers {
        let _: JSON = try place.client.ask("remove_hostfwd", .object { $0["id"] = .number(number) })
      }
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show the forwards: number, protocol, where the host listens, where it goes.")
    @OptionGroup var place: Place
    @Flag(help: "As JSON, as it comes.")
    var json = false

    func run() throws {
      let (answer, text): (JSON, String) = try place.client.ask("list_hostfwd")
      if json { return print(text, terminator: "") }
      guard case .array(let entries)? = answer.member("entries") else { return }
      for entry in entries { print(Self.row(entry)) }
    }

    private static func row(_ entry: JSON) -> String {
      func text(_ name: String) -> String {
        guard case .text(let text)? = entry.member(name) else { return "" }
        return text
      }
      func end(_ address: String, _ port: String) -> String {
        let name = text(address).contains(":") ? "[\(text(address))]" : text(address)
        return "\(name):\(entry.member(port)?.whole ?? 0)"
      }
      return "\(entry.member("id")?.whole ?? 0)\t\(text("proto"))\t\(end("host_addr", "host_port"))\t"
        + end("guest_addr", "guest_port")
    }
  }
}

extension PortForward {
  fileprivate var arguments: JSON {
    .object {
      $0["proto"] = .text(transport.rawValue)
      $0["host_addr"] = .text(address.map { "\($0)" } ?? ControlRequest.everywhere)
      $0["host_port"] = .number(hostPort)
      $0["guest_port"] = .number(port)
    }
  }
}

extension JSON {
  /// A number without a fraction.
  var whole: Int? {
    switch self {
    case .number(let value): Int(value)
    case .real(let value): Int(exactly: value)
    case .null, .bool, .text, .array, .object: nil
    }
  }
}
