/// Rules over the package description alone.
extension Rule {
  /// Every target that is not a test stands in the order.
  func knownTargets(_ house: House) -> Findings {
    var findings = Findings()
    for target in house.description.targets where !target.isTest {
      findings.look(
        at: target.name, HouseOrder.height(target.name) == nil ? "has no place in the order" : nil)
    }
    return findings
  }

  /// A target depends only on what stands below it.
  func upwardArrows(_ house: House) -> Findings {
    arrows(house) { target, dependency in
      guard let from = HouseOrder.height(target), let to = HouseOrder.height(dependency) else { return nil }
      return to < from ? nil : "depends on \(dependency), which does not stand below it"
    }
  }

  /// A target does not depend on those neighbours below it that it must not know.
  func sidewaysArrows(_ house: House) -> Findings {
    arrows(house) { target, dependency in
      HouseOrder.neighbours.contains { $0.importers.contains(target) && $0.imported.contains(dependency) }
        ? "must not know \(dependency)" : nil
    }
  }

  private func arrows(_ house: House, _ judge: (String, String) -> String?) -> Findings {
    var findings = Findings()
    for target in house.description.targets where !target.isTest {
      if target.targetNames.isEmpty { findings.look(at: target.name, nil) }
      for dependency in target.targetNames {
        findings.look(at: target.name, judge(target.name, dependency))
      }
    }
    return findings
  }

  /// Swift 6, strict memory safety and warnings as errors everywhere; unsafe flags nowhere.
  func settings(_ house: House) -> Findings {
    var findings = Findings()
    for target in house.description.targets {
      let flags = target.settings.first { $0.name == "unsafeFlags" }
      findings.look(at: target.name, flags.map { "has \($0.tool) unsafeFlags" })
      guard house.files(of: target).contains(where: \.isSwift) else { continue }
      for setting in HouseOrder.settings {
        findings.look(at: target.name, target.settings.contains(setting) ? nil : "lacks \(setting.name)")
      }
    }
    return findings
  }

  /// Every folder of sources belongs to a target: what does not is neither compiled nor checked.
  func noStrayFolders(_ house: House) -> Findings {
    var findings = Findings()
    for folder in house.folders where !Self.foldersOfScripts.contains(folder) {
      let isTarget = house.description.targets.contains { $0.folder == folder }
      findings.look(at: folder, isTarget ? nil : "belongs to no target")
    }
    return findings
  }

  private static let foldersOfScripts: Set<String> = ["Tests/EndToEnd", "Tests/Scripts"]
}
