#if Explore
  import Explorer
  import Foundation

  /// What the command prints, for people or for machines.
  final class Output {
    private let isJSON: Bool
    private let lines: Int
    private var results: [Result] = []

    init(isJSON: Bool, lines: Int) {
      self.isJSON = isJSON
      self.lines = lines
    }

    /// Line by line, into a file as well: an exploration takes its time.
    private func print(_ line: String) {
      Swift.print(line)
      fflush(nil)
    }

    // MARK: Listing

    private struct Listing: Encodable {
      struct Entry: Encodable {
        var id: String
        var title: String
        var search: String
        var storeBuffers: Bool
      }
      struct Mutated: Encodable {
        var name: String
        var scenario: String
      }
      var scenarios: [Entry]
      var mutations: [Mutated]
    }

    private static func name(_ search: Scenario.Search) -> String {
      switch search {
      case .exhaustive(nil): "exhaustive"
      case .exhaustive(let bound?): "exhaustive, \(bound) pre-emptions"
      case .sampled: "sampled"
      }
    }

    func list() {
      let listing = Listing(
        scenarios: Catalogue.scenarios.map {
          .init(id: $0.id, title: $0.title, search: Self.name($0.search), storeBuffers: $0.hasStoreBuffers)
        },
        mutations: Catalogue.mutations.map { .init(name: $0.name, scenario: $0.scenario.id) })
      if isJSON { return print(Self.encode(listing)) }
      for entry in listing.scenarios {
        let buffers = entry.storeBuffers ? ", store buffers" : ""
        print("\(entry.id): \(entry.title) (\(entry.search)\(buffers))")
        for mutation in listing.mutations where mutation.scenario == entry.id {
          print("    mutation \(mutation.name)")
        }
      }
    }

    // MARK: Results

    private struct Result: Encodable {
      var scenario: String
      var mutation: String?
      var schedules: Int
      var pruned: Int
      var states: Int
      var complete: Bool
      /// "clean", or the kind of failure.
      var verdict: String
      var text: String?
      var seed: String?
      var seconds: Double
      /// With `--all-mutations`: found, and found again.
      var found: Bool?
      var interleaving: [String]?
    }

    private static func seconds(_ duration: Duration) -> Double { duration / .seconds(1) }

    private func add(
      _ scenario: Scenario, _ mutation: String?, _ report: Report, found: Bool? = nil
    ) {
      results.append(
        Result(
          scenario: scenario.id, mutation: mutation, schedules: report.schedules, pruned: report.pruned,
          states: report.states, complete: report.isComplete,
          verdict: report.verdict?.kind.rawValue ?? "clean",
          text: report.verdict?.text, seed: report.seed, seconds: Self.seconds(report.duration), found: found)
      )
    }

    func explored(_ scenario: Scenario, _ mutation: String?, _ report: Report) {
      add(scenario, mutation, report)
      if isJSON { return }
      let how =
        report.isComplete ? "all schedules (\(report.states) states)" : "\(report.schedules) schedules"
      let rate = Int(Double(report.schedules) / max(Self.seconds(report.duration), 1e-9))
      let what = scenario.id + (mutation.map { " with \($0)" } ?? "")
      if let verdict = report.verdict {
        print("\(what): \(verdict.kind.rawValue) after \(report.schedules) schedules: \(verdict.text)")
        print("    seed \(report.seed ?? "none")")
      } else if mutation != nil && !report.wasReached {
        print("\(what): \(how), the mutated code was never reached")
      } else {
        print("\(what): clean, \(how), \(report.schedules) run, \(rate)/s")
      }
    }

    func replayed(
      _ scenario: Scenario, _ mutation: String?, _ seed: String, _ verdict: Verdict?, _ lines: [String]
    ) {
      var report = Report()
      report.schedules = 1
      report.verdict = verdict
      report.seed = seed
      add(scenario, mutation, report)
      if !isJSON {
        let what = scenario.id + (mutation.map { " with \($0)" } ?? "")
        print("\(what), seed \(seed): \(verdict.map { "\($0.kind.rawValue): \($0.text)" } ?? "clean")")
      }
      interleaving(lines, isSame: true)
    }

    func interleaving(_ all: [String], isSame: Bool) {
      let shown = Array(all.suffix(lines))
      results[results.count - 1].interleaving = shown
      if isJSON { return }
      if shown.count < all.count { print("    … \(all.count - shown.count) lines before") }
      for line in shown { print("    \(line)") }
      if !isSame { print("    the seed did not repeat the failure: the scenario is not deterministic") }
    }

    func searched(_ name: String, _ scenario: Scenario, _ report: Report, isFound: Bool) {
      add(scenario, name, report, found: isFound)
      if isJSON { return }
      if isFound, let verdict = report.verdict {
        print(
          "\(name) (\(scenario.id)): found after \(report.schedules) schedules, seed \(report.seed ?? ""): "
            + "\(verdict.kind.rawValue)")
      } else if report.verdict != nil {
        print("\(name) (\(scenario.id)): found, but seed \(report.seed ?? "") does not repeat it")
      } else if !report.wasReached {
        print("\(name) (\(scenario.id)): NOT FOUND: the mutated code was never reached")
      } else {
        print("\(name) (\(scenario.id)): NOT FOUND in \(report.schedules) schedules")
      }
    }

    func end() {
      if isJSON { print(Self.encode(["results": results])) }
    }

    private static func encode(_ value: some Encodable) -> String {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      guard let data = try? encoder.encode(value) else { return "{}" }
      return String(decoding: data, as: UTF8.self)
    }
  }
#endif
