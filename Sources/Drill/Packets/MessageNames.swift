import Wire

/// The numbers of ICMP's types and codes by the names that scripts give them (RFC 792, RFC 1812, RFC 4443).
enum MessageNames {
  case ipv4
  case ipv6

  /// The number of a type; nil if the name says nothing.
  func type(_ name: String) -> UInt8? { number(name, prefix: "type_") ?? types[name] }

  /// The number of a code; 0 without a name, nil if the name says nothing.
  func code(_ name: String?, of type: UInt8) -> UInt8? {
    guard let name else { return 0 }
    return number(name, prefix: "code_") ?? codes[type]?[name]
  }

  /// The name of a type, for packets that the stack sent.
  func name(ofType type: UInt8) -> String { types.first { $0.value == type }?.key ?? "type_\(type)" }

  /// The name of a code; nil for 0 where it has none.
  func name(ofCode code: UInt8, of type: UInt8) -> String? {
    let named = codes[type]?.filter { $0.value == code }.map(\.key).min()
    return named ?? (code == 0 ? nil : "code_\(code)")
  }

  /// What an error quotes of which the script does not say it: the first segment of the connection.
  func defaultQuote(ofType type: UInt8, _ transport: IPProtocol) -> MessageDescription.Quote? {
    let isError =
      switch self {
      case .ipv4: [3, 4, 5, 11, 12].contains(type)
      case .ipv6: (1...4).contains(type)
      }
    return isError && transport == .tcp ? .tcp(SequenceRange(start: 0, length: 0)) : nil
  }

  private func number(_ name: String, prefix: String) -> UInt8? {
    name.hasPrefix(prefix) ? UInt8(name.dropFirst(prefix.utf8.count)) : nil
  }

  private var types: [String: UInt8] {
    switch self {
    case .ipv4:
      [
        "echo_reply": 0, "unreachable": 3, "source_quench": 4, "redirect": 5, "echo_request": 8,
        "time_exceeded": 11, "parameter_problem": 12, "timestamp_request": 13, "timestamp_reply": 14,
        "information_request": 15, "information_reply": 16, "address_mask_request": 17,
        "address_mask_reply": 18,
      ]
    case .ipv6:
      [
        "unreachable": 1, "packet_too_big": 2, "time_exceeded": 3, "parameter_problem": 4,
        "echo_request": 128,
        "echo_reply": 129,
      ]
    }
  }

  private var codes: [UInt8: [String: UInt8]] {
    switch self {
    case .ipv4:
      [
        3: [
          "net_unreachable": 0, "host_unreachable": 1, "protocol_unreachable": 2, "port_unreachable": 3,
          "frag_needed": 4, "source_route_failed": 5, "net_unknown": 6, "host_unknown": 7,
          "source_host_isolated": 8, "net_prohibited": 9, "host_prohibited": 10,
          "net_unreachable_for_tos": 11,
          "host_unreachable_for_tos": 12, "packet_filtered": 13, "precedence_violation": 14,
          "precedence_cutoff": 15,
        ],
        11: ["ttl_exceeded_in_transit": 0, "frag_reass_exceeded": 1],
      ]
    case .ipv6:
      [
        1: [
          "net_unreachable": 0, "no_route": 0, "admin_prohibited": 1, "not_neighbour": 2,
          "address_unreachable": 3, "port_unreachable": 4,
        ],
        3: ["exceeded_hop_limit": 0, "exceeded_frag_time": 1],
        4: ["header_field": 0, "unknown_next_header": 1, "unknown_option": 2],
      ]
    }
  }
}
