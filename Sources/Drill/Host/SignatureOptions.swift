// TCP_MD5SIG and TCP_MD5SIG_EXT: whose segments are signed (RFC 2385). Linux gives each socket a list of peers and
// secrets; BSD a switch, and the secrets are the host's.

import Sockets
import TCP
import Wire

extension DrillHost {
  /// Sets one of the two. Nil: it is done.
  func setSignature(_ endpoint: Endpoint, _ name: Int32, _ value: OptionValue) -> OptionOutcome? {
    switch (isLinux, value) {
    case (false, .integer(let isOn)) where name == 14: return setSigning(endpoint, isOn != 0)
    case (false, _): return .refused(name == 14 ? .EINVAL : .ENOPROTOOPT)
    case (true, .records(let records)):
      do throws(Errno) {
        guard let record = records.first else { throw .EINVAL }
        try setSignature(endpoint, record, hasPrefix: name == 32)
      } catch {
        return .refused(error)
      }
    case (true, _): return .refused(.EINVAL)
    }
    guard endpoint.stream == nil else { return .unsupported("TCP_MD5SIG of a connection that is there") }
    apply(endpoint)
    return nil
  }

  /// BSD's: the secrets are looked up by the peer's address when they are needed.
  private func setSigning(_ endpoint: Endpoint, _ isOn: Bool) -> OptionOutcome? {
    guard endpoint.stream == nil else { return .unsupported("TCP_MD5SIG of a connection that is there") }
    if isOn, settings.signatureKeys.isEmpty { return .unsupported("TCP_MD5SIG without a secret from setkey") }
    endpoint.options.signatures = isOn ? settings.signatureKeys : []
    apply(endpoint)
    return nil
  }

  /// `{addr="192.0.2.1", key="secret", prefix=24}`; an empty key takes the peer's away.
  private func setSignature(_ endpoint: Endpoint, _ record: OptionRecord, hasPrefix: Bool) throws(Errno) {
    guard let network = record.text("addr").flatMap({ IPAddress($0) }),
      !endpoint.isIPv4 || network.isIPv4, let text = record.text("key")
    else { throw .EINVAL }
    let whole: Int64 = network.isIPv4 ? 32 : 128
    let prefix = hasPrefix ? record.number("prefix") ?? whole : whole
    guard (0...whole).contains(prefix), text.utf8.count <= 80 else { throw .EINVAL }
    let others = endpoint.options.signatures.filter {
      $0.network != network || Int64($0.prefixLength) != prefix
    }
    guard let secret = TCPSecret(text.utf8) else {
      guard others.count < endpoint.options.signatures.count else { throw .ENOENT }
      endpoint.options.signatures = others
      return
    }
    endpoint.options.signatures =
      others + [TCPSignatureKey(network: network, prefixLength: UInt8(prefix), secret: secret)]
  }
}
