import ArgumentParser
import Drill
import Sluice

/// What --sysctl asks for, in the form name=value.
struct SysctlSettings {
  private let texts: [String]
  init(_ texts: [String]) { self.texts = texts }

  /// Sets it. Returns the keys of Fast Open's cookies, if they are among it. Throws a `ValidationError`.
  func set(_ configuration: inout StackConfiguration) throws -> FastOpenKeySetting {
    var keys = FastOpenKeySetting()
    for text in texts {
      guard let sign = text.firstIndex(of: "="), sign > text.startIndex else {
        throw ValidationError("--sysctl \"\(text)\" is not of the form name=value.")
      }
      let (name, value) = (String(text[..<sign]), String(text[text.index(after: sign)...]))
      switch HostSettings.apply(sysctl: name, value: value, to: &configuration.sockets, keys: &keys.cookies) {
      case .applied, .harmless: break
      case .unsupported(let reason): throw ValidationError("--sysctl \(text): \(reason).")
      }
    }
    return keys
  }
}
