#if Explore
  public import Exclusion

  /// What an exploration found.
  public struct Report: Sendable {
    /// Schedules that ran.
    public var schedules = 0
    /// Schedules that were cut off at a state known before.
    public var pruned = 0
    /// Different states, in an exhaustive search.
    public var states = 0
    /// Operations in all.
    public var steps = 0
    /// All schedules within the bound were tried.
    public var isComplete = false
    /// The mutated code ran, if a mutation was on.
    public var wasReached = false
    /// The first failure.
    public var verdict: Verdict?
    /// What repeats it: see ``Exploration/replay(_:_:mutation:)``.
    public var seed: String?
    /// How long it took.
    public var duration = Duration.zero

    /// Of nothing yet.
    public init() {}
  }

  /// Explores scenarios on the calling thread.
  public final class Exploration {
    private let machine = Machine()

    /// Ready to explore. One at a time in a process.
    public init() {}

    /// Searches as the scenario says: at most `limit` schedules, or all of an exhaustive search where that is nil
    /// (100,000 of a sampled one). `seed` is the first schedule's. Stops at the first failure.
    public func explore(
      _ scenario: Scenario, mutation: Mutation? = nil, limit: Int? = nil, seed: UInt64 = 1
    ) -> Report {
      prepare(scenario, mutation)
      var report = Report()
      let clock = ContinuousClock()
      let start = clock.now
      switch scenario.search {
      case .exhaustive(let bound): exhaust(scenario, bound, limit ?? .max, &report)
      case .sampled: sample(scenario, limit ?? 100_000, seed, &report)
      }
      report.duration = clock.now - start
      report.wasReached = unsafe Mutation.wasReached
      Mutation.activate(nil)
      return report
    }

    /// One schedule again, by the seed that a report gave. Nil as verdict: nothing was wrong. The lines say who did
    /// what.
    public func replay(_ scenario: Scenario, _ seed: String, mutation: Mutation? = nil) -> (
      verdict: Verdict?, lines: [String]
    )? {
      guard let chooser = chooser(scenario, mutation, seed) else { return nil }
      prepare(scenario, mutation)
      let trace = Trace()
      let verdict = run(scenario, chooser, trace)
      Mutation.activate(nil)
      return (verdict, trace.lines)
    }

    private func prepare(_ scenario: Scenario, _ mutation: Mutation?) {
      machine.hasStoreBuffers = scenario.hasStoreBuffers
      machine.timePasses = scenario.timePasses
      Mutation.activate(mutation)
    }

    private func run(_ scenario: Scenario, _ chooser: any Chooser, _ trace: Trace? = nil) -> Verdict? {
      let run = Run(machine)
      return machine.run(chooser, trace: trace) { scenario.body(run) }
    }

    private func exhaust(_ scenario: Scenario, _ bound: Int?, _ limit: Int, _ report: inout Report) {
      let search = DepthFirst(bound: bound)
      repeat {
        search.begin()
        let verdict = run(scenario, search)
        report.schedules += 1
        report.steps += machine.steps
        if let verdict {
          report.verdict = verdict
          report.seed = Self.encode(search.choices)
          break
        }
        if machine.touchedOutside {
          report.verdict = Verdict(
            .outcome,
            "shared words outside the arena were touched: this program cannot be searched exhaustively")
          break
        }
        report.isComplete = !search.advance()
      } while !report.isComplete && report.schedules < limit
      (report.states, report.pruned) = (search.states, search.pruned)
    }

    private func sample(_ scenario: Scenario, _ limit: Int, _ seed: UInt64, _ report: inout Report) {
      let length = measure(scenario)
      for number in 0..<limit {
        let verdict = run(scenario, Sample(seed: seed &+ UInt64(number), length: length))
        report.schedules += 1
        report.steps += machine.steps
        if let verdict {
          report.verdict = verdict
          report.seed = String(seed &+ UInt64(number))
          return
        }
      }
    }

    /// How many choices the schedule without pre-emptions has, without a mutation: the same each time, so that a
    /// seed means the same.
    private func measure(_ scenario: Scenario) -> Int {
      let measure = Measure()
      _ = run(scenario, measure)
      return max(measure.choices, 16)
    }

    private func chooser(_ scenario: Scenario, _ mutation: Mutation?, _ seed: String) -> (any Chooser)? {
      if seed.hasPrefix("x") { return Self.decode(seed).map { Replay($0) } }
      guard let number = UInt64(seed) else { return nil }
      prepare(scenario, mutation)
      return Sample(seed: number, length: measure(scenario))
    }

    // MARK: Seeds of exhaustive searches: the choices themselves, runs of equal ones counted

    private static func encode(_ choices: [UInt8]) -> String {
      var text = "x"
      var index = 0
      while index < choices.count {
        var count = 1
        while index + count < choices.count, choices[index + count] == choices[index] { count += 1 }
        text += (text == "x" ? "" : ".") + String(choices[index]) + (count == 1 ? "" : "*\(count)")
        index += count
      }
      return text
    }
    private static func decode(_ text: String) -> [UInt8]? {
      var choices: [UInt8] = []
      for part in text.dropFirst().split(separator: ".") {
        let pieces = part.split(separator: "*", omittingEmptySubsequences: false)
        guard let choice = UInt8(pieces[0]), choice < 64 else { return nil }
        let count = pieces.count == 1 ? 1 : Int(pieces[1])
        guard pieces.count <= 2, let count, 1...1_000_000 ~= count else { return nil }
        choices += Array(repeating: choice, count: count)
      }
      return choices
    }
  }
#endif
