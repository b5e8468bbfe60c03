#if Explore
  /// Every scenario there is.
  public enum Catalogue {
    /// In the order of the listing.
    public static let scenarios: [Scenario] = [
      gates,
      ports,
      waits,
      graces,
      locks,
      contexts,
      errors,
      events,
      fastOpens,
      flows,
      borrowing,
      guests,
      listening,
      lone,
      lives,
      lookups,
      memory,
      neighbors,
      residents,
      restarts,
      rests,
      transmit,
      transparents,
      wakes,
    ].flatMap { $0 }

    /// The scenarios with this id, or whose id begins with it and a slash.
    public static func scenarios(named id: String) -> [Scenario] {
      scenarios.filter { $0.id == id || $0.id.hasPrefix(id + "/") }
    }
    /// Each mutation, with the scenarios that must find it.
    public static var mutations: [(name: String, scenario: Scenario)] {
      scenarios.flatMap { scenario in scenario.mutations.map { ($0, scenario) } }
    }
  }
#endif
