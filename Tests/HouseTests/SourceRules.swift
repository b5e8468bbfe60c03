/// Rules over the sources of the targets.
extension Rule {
  /// A file imports what its target declares, and of the toolchain what the order grants.
  func declaredImports(_ house: House) -> Findings {
    var findings = Findings()
    for target in house.description.targets {
      let declared = Set(target.dependencies.map(\.name))
      for file in house.files(of: target) {
        for (module, line) in file.imports {
          let ofToolchain =
            target.isTest
            ? HouseOrder.toolchainModulesOfTests.contains(module)
            : HouseOrder.toolchainModules[module]?.contains(target.name) ?? false
          let complaint = "imports \(module), which \(target.name) may not or does not declare"
          findings.look(
            at: "\(file.path):\(line)", declared.contains(module) || ofToolchain ? nil : complaint)
        }
      }
    }
    return findings
  }

  /// Nothing below `Sluice` knows Swift concurrency.
  func concurrencyStaysAbove(_ house: House) -> Findings {
    lines(house, { !HouseOrder.knowsConcurrency($0.name) && !$0.isTest }) { file, index in
      guard file.isSwift else { return nil }
      return file.lines[index].words.first { Self.concurrencyWords.contains($0) }
        .map { "\($0) below Sluice" }
    }
  }

  static let concurrencyWords: Set<String> = [
    "async", "await", "actor", "Task", "TaskGroup", "AsyncSequence", "AsyncStream", "CheckedContinuation",
    "UnsafeContinuation", "withCheckedContinuation", "withUnsafeContinuation", "_Concurrency", "TaskLocal",
    "MainActor", "globalActor",
  ]

  /// Atomics, fences, locks, parking and thread-locals are `Exclusion`'s (and `CLinux`'s for it).
  func synchronisationInExclusion(_ house: House) -> Findings {
    lines(house, { !["Exclusion", "CLinux"].contains($0.name) && !$0.isTest }) { file, index in
      file.lines[index].words.first { word in
        Self.synchronisationWords.contains(word)
          || Self.synchronisationPrefixes.contains { word.hasPrefix($0) }
      }.map { "\($0) outside Exclusion" }
    }
  }

  static let synchronisationWords: Set<String> = [
    "Synchronization", "Atomic", "Mutex", "DispatchQueue", "DispatchSemaphore", "DispatchGroup", "NSLock",
    "NSRecursiveLock", "NSCondition", "TaskLocal", "ThreadLocal", "atomicMemoryFence", "futex", "Thread",
    "ManagedAtomic", "UnsafeAtomic", "AtomicReference",
  ]
  static let synchronisationPrefixes = [
    "pthread_mutex", "pthread_cond", "pthread_rwlock", "pthread_spin", "pthread_key", "pthread_once",
    "pthread_getspecific", "pthread_setspecific", "pthread_barrier", "sem_", "sluice_futex",
    "sluice_current_context", "sluice_set_current_context", "sluice_eventfd",
  ]

  /// Tokens come from nothing only where the order grants it, and only `Exclusion` initialises them.
  func tokenRoots(_ house: House) -> Findings {
    var findings = Findings()
    for target in house.description.targets where !target.isTest {
      for file in house.files(of: target) {
        for (index, line) in file.lines.enumerated() {
          let place = "\(file.path):\(index + 1)"
          for word in line.words {
            if let granted = HouseOrder.tokenRoots[word] {
              findings.look(at: place, granted.contains(target.name) ? nil : "\(word) in \(target.name)")
            } else if HouseOrder.tokens.contains(word), Self.initialises(word, line.code) {
              findings.look(at: place, target.name == "Exclusion" ? nil : "makes a \(word)")
            }
          }
        }
      }
    }
    return findings
  }

  /// `Token(` or `Token<…>(`, but not `OtherToken(`.
  private static func initialises(_ token: String, _ code: String) -> Bool {
    guard code.utf8.contains(UInt8(ascii: "(")) else { return false }
    return code.matches(of: #/(?<name>[A-Za-z_]\w*)(<[^()]*>)?(\.init)?\(/#).contains {
      $0.output.name == token[...]
    }
  }

  /// A door out of the type system says why it is one.
  func explainedDoors(_ house: House) -> Findings {
    var findings = Findings()
    for target in house.description.targets where !target.isTest {
      for file in house.files(of: target) {
        for (index, line) in file.lines.enumerated() where Self.isDoor(line.code) {
          findings.look(
            at: "\(file.path):\(index + 1)", file.isExplained(line: index) ? nil : "a door without a reason")
        }
      }
    }
    return findings
  }

  private static func isDoor(_ code: String) -> Bool {
    ["@unchecked Sendable", "nonisolated(unsafe)", "@retroactive", "@unsafe "].contains { code.contains($0) }
  }

  /// What is unfinished is not marked but finished.
  func finishedWork(_ house: House) -> Findings {
    lines(house, { _ in true }) { file, index in
      let comment = file.lines[index].comment
      let marks = comment.split { !$0.isLetter }.filter { Self.marks.contains(String($0)) }
      return marks.first.map { "says \($0)" }
    }
  }

  // Put together so that this file does not carry the marks itself.
  static let marks: Set<String> = ["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]

  private func lines(
    _ house: House, _ wanted: (TargetDescription) -> Bool, _ judge: (SourceFile, Int) -> String?
  ) -> Findings {
    var findings = Findings()
    for target in house.description.targets where wanted(target) {
      for file in house.files(of: target) {
        findings.look(at: file.path, nil)
        for index in file.lines.indices {
          if let complaint = judge(file, index) {
            findings.look(at: "\(file.path):\(index + 1)", complaint)
          }
        }
      }
    }
    return findings
  }
}
