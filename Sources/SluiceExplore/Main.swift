import ArgumentParser

#if Explore
  import Exclusion
  import Explorer
  import Foundation

  @main struct SluiceExplore: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "sluice-explore",
      abstract: "Run the stack's concurrent code under every schedule, or very many.",
      discussion: """
        Without options every scenario runs: all schedules where the search is exhaustive, else 100,000. \
        A failure prints what was seen, a seed, and who did what; the seed repeats it.

        EXAMPLES
          sluice-explore --list
          sluice-explore --scenario W6
          sluice-explore --scenario W6 --mutation readerWithoutRecheck
          sluice-explore --scenario W6 --mutation readerWithoutRecheck --seed 17
          sluice-explore --all-mutations

        Exit status 0 when no schedule violates anything, 1 when one does (with --all-mutations: when a mutation was \
        not found), 64 for a usage error.
        """)

    @Flag(help: "List scenarios and mutations.") var list = false
    @Option(help: ArgumentHelp("Run this scenario only. May be repeated.", valueName: "id"))
    var scenario: [String] = []
    @Option(help: ArgumentHelp("Make the shipped code make this mistake.", valueName: "name"))
    var mutation: String?
    @Flag(help: "Switch each mutation on in turn: every one must be found, and found again from its seed.")
    var allMutations = false
    @Option(help: ArgumentHelp("Schedules at most.", valueName: "n")) var schedules: Int?
    @Option(help: ArgumentHelp("First seed; without --schedules: this schedule alone.", valueName: "seed"))
    var seed: String?
    @Option(help: ArgumentHelp("Lines of a failing schedule to print.", valueName: "n")) var lines = 60
    @Flag(help: "For machines.") var json = false

    mutating func validate() throws {
      if let schedules, schedules < 1 { throw ValidationError("--schedules must be at least 1") }
      if lines < 0 { throw ValidationError("--lines must not be negative") }
      for id in scenario where Catalogue.scenarios(named: id).isEmpty {
        throw ValidationError("there is no scenario \(id); --list tells those that there are")
      }
      if let mutation, !Catalogue.mutations.contains(where: { $0.name == mutation }) {
        throw ValidationError("there is no mutation \(mutation); --list tells those that there are")
      }
      if let seed, !seed.hasPrefix("x"), UInt64(seed) == nil {
        throw ValidationError("--seed takes a number, or what a report printed")
      }
      if allMutations, mutation != nil || seed != nil {
        throw ValidationError("--all-mutations goes with neither --mutation nor --seed")
      }
    }

    func run() throws {
      let output = Output(isJSON: json, lines: lines)
      if list { return output.list() }
      let exploration = Exploration()
      var hasFailed = false
      if allMutations {
        for (name, scenario) in chosenMutations where !find(name, scenario, exploration, output) {
          hasFailed = true
        }
      } else {
        for scenario in chosenScenarios where !explore(scenario, exploration, output) { hasFailed = true }
      }
      output.end()
      if hasFailed { throw ExitCode(1) }
    }

    private var chosenScenarios: [Scenario] {
      if !scenario.isEmpty { return scenario.flatMap { Catalogue.scenarios(named: $0) } }
      guard let mutation else { return Catalogue.scenarios }
      return Catalogue.mutations.filter { $0.name == mutation }.map(\.scenario)
    }
    private var chosenMutations: [(name: String, scenario: Scenario)] {
      let chosen = Set(chosenScenarios.map(\.id))
      return Catalogue.mutations.filter { chosen.contains($0.scenario.id) }
    }

    /// True: nothing was wrong.
    private func explore(_ scenario: Scenario, _ exploration: Exploration, _ output: Output) -> Bool {
      let mutation = mutation.map { Mutation($0) }
      if let seed, schedules == nil {
        guard let (verdict, lines) = exploration.replay(scenario, seed, mutation: mutation) else {
          return false
        }
        output.replayed(scenario, self.mutation, seed, verdict, lines)
        return verdict == nil
      }
      let report = exploration.explore(
        scenario, mutation: mutation, limit: schedules, seed: seed.flatMap { UInt64($0) } ?? 1)
      output.explored(scenario, self.mutation, report)
      if let seed = report.seed, let again = exploration.replay(scenario, seed, mutation: mutation) {
        output.interleaving(again.lines, isSame: again.verdict == report.verdict)
      }
      return report.verdict == nil
    }

    /// True: the mutation was found, and its seed shows it again.
    private func find(
      _ name: String, _ scenario: Scenario, _ exploration: Exploration, _ output: Output
    ) -> Bool {
      let mutation = Mutation(name)
      let report = exploration.explore(scenario, mutation: mutation, limit: schedules)
      let again = report.seed.flatMap { exploration.replay(scenario, $0, mutation: mutation) }
      let isFound = report.verdict != nil && again?.verdict == report.verdict
      output.searched(name, scenario, report, isFound: isFound)
      return isFound
    }
  }
#else
  @main struct SluiceExplore: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "sluice-explore")

    func run() throws {
      throw ValidationError(
        "this build explores nothing; use: swift run -c release --traits Explore sluice-explore")
    }
  }
#endif
