#if Explore
  import CFiber
  import Exclusion

  /// What one schedule did, line by line, for people.
  final class Trace {
    private(set) var lines: [String] = []
    private var width = 8
    private var numbers: [UInt: Int] = [:]
    /// What the program calls its words.
    var names: [UInt: String] = [:]

    func note(_ text: String) { lines.append("\(pad("")) \(text)") }
    func note(_ machine: Machine, _ text: String) {
      guard machine.isExploring else { return }
      lines.append("\(pad(machine.running.name)) \(text)")
    }
    func word(_ machine: Machine, _ operation: String, _ place: WordPlace, _ value: UInt64) {
      guard machine.isExploring else { return }
      lines.append(
        "\(pad(machine.running.name)) \(operation) \(name(place)) = \(hex(value))\(caller(machine))")
    }
    func update(_ machine: Machine, _ place: WordPlace, _ old: UInt64, _ new: UInt64?) {
      guard machine.isExploring else { return }
      let change = new.map { "\(hex(old)) -> \(hex($0))" } ?? "is \(hex(old)): refused"
      lines.append("\(pad(machine.running.name)) update \(name(place)): \(change)\(caller(machine))")
    }
    func shown(_ machine: Machine, _ thread: VirtualThread, _ store: BufferedStore) {
      guard machine.isExploring else { return }
      lines.append(
        "\(pad(thread.name)) [its store \(name(store.place)) = \(hex(store.value)) becomes visible]")
    }

    private func pad(_ name: String) -> String {
      width = max(width, name.utf8.count)
      return name + String(repeating: " ", count: width - name.utf8.count)
    }
    private func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

    private func name(_ place: WordPlace) -> String {
      let address = unsafe UInt(bitPattern: place.raw)
      if let name = names[address] { return name }
      let number = numbers[address] ?? numbers.count + 1
      numbers[address] = number
      return "word \(number)"
    }

    /// Which function of the shipped code does it, as far as the symbols tell.
    private func caller(_ machine: Machine) -> String {
      var addresses = [UInt](repeating: 0, count: 12)
      let top = unsafe machine.running.fiber.stackTop
      let count = unsafe addresses.withUnsafeMutableBufferPointer { buffer in
        unsafe Int(cfiber_callers(top, buffer.baseAddress.unsafelyUnwrapped, 12))
      }
      for address in addresses[..<count] {
        guard let symbol = unsafe cfiber_symbol(address) else { continue }
        let name = unsafe String(cString: symbol)
        if let readable = Self.readable(name) { return "   (\(readable))" }
      }
      return ""
    }

    /// The identifiers in a mangled name, unless it is the thin layer's or the explorer's own.
    static func readable(_ mangled: String) -> String? {
      guard mangled.hasPrefix("$s") else { return nil }
      var parts: [String] = []
      var rest = mangled.dropFirst(2)
      while let first = rest.first {
        if first.isNumber, first != "0" {
          let digits = rest.prefix { $0.isNumber }
          rest = rest.dropFirst(digits.count)
          guard let length = Int(digits), length <= rest.count else { break }
          parts.append(String(rest.prefix(length)))
          rest = rest.dropFirst(length)
          if parts.count == 3 { break }
        } else {
          rest = rest.dropFirst()
        }
      }
      guard let module = parts.first, module != "Explorer", parts.count > 1 else { return nil }
      if module == "Exclusion", ["AtomicWord", "AtomicHalfWord", "fullFence", "futexWait"].contains(parts[1])
      {
        return nil
      }
      return parts.joined(separator: ".")
    }
  }
#endif
