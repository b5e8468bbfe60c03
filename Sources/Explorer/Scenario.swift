#if Explore
  public import Devices
  public import Timing

  /// A program of a few threads, to be run under many schedules, and what must hold in each.
  public struct Scenario: Sendable {
    /// How its schedules are searched.
    public enum Search: Hashable, Sendable {
      /// All of them, with at most so many pre-emptions; nil: any number. All shared memory must come from
      /// `Exclusion`'s pools, tables and words in the arena, or be in ``Run/digest(_:)``.
      case exhaustive(preemptions: Int?)
      /// At random and by priorities, from a seed.
      case sampled
    }

    /// The scenario's or invariant's id, with a suffix where one id has several: `W6`, `PCB-POST`, `X2/lockless`.
    public let id: String
    /// What happens, in a line.
    public let title: String
    /// How to search.
    public let search: Search
    /// Whether stores reach memory late, as on real processors.
    public let hasStoreBuffers: Bool
    /// Whether timers may fire although somebody could still run.
    public let timePasses: Bool
    /// Names of the mutations that this scenario must find.
    public let mutations: [String]
    /// The program: sets up, calls ``Run/concurrently(_:)``, looks at the outcome, and lets go of everything.
    let body: @Sendable (Run) -> Void

    /// A scenario.
    public init(
      id: String, title: String, search: Search = .sampled, hasStoreBuffers: Bool = false,
      timePasses: Bool = false, mutations: [String] = [], _ body: @escaping @Sendable (Run) -> Void
    ) {
      self.id = id
      self.title = title
      self.search = search
      self.hasStoreBuffers = hasStoreBuffers
      self.timePasses = timePasses
      self.mutations = mutations
      self.body = body
    }
  }

  /// One run of a scenario's program. All of it happens on virtual threads; only ``concurrently(_:)`` is explored.
  public final class Run {
    let machine: Machine
    init(_ machine: Machine) { self.machine = machine }

    /// Runs these threads, and those that exist already, under the schedule that is explored, until these have
    /// returned and the others have come to rest.
    public func concurrently(_ threads: [(name: String, body: () -> Void)]) {
      let started = threads.map { thread -> UInt64 in machine.start(thread.name, thread.body) }
      machine.isExploring = true
      for thread in started { machine.join(thread) }
      _ = machine.sleep(.quiet, until: nil)
      machine.isExploring = false
    }
    /// Starts a thread that lives on after ``concurrently(_:)``, a context's for instance. Wait for its end with
    /// ``join(_:)``.
    public func start(_ name: String, _ body: @escaping () -> Void) -> UInt64 { machine.start(name, body) }
    /// Waits for a thread's end.
    public func join(_ thread: UInt64) { machine.join(thread) }

    /// An outcome that is not allowed ends the schedule as a failure.
    public func require(_ condition: Bool, _ text: @autoclosure () -> String) {
      if !condition { machine.fail(Verdict(.outcome, text())) }
    }
    /// Says that all that the calling thread knows is `value`, so that histories may merge.
    public func milestone(_ value: UInt64) { machine.running.history = value }
    /// Adds what shared state there is outside the arena to the states of an exhaustive search.
    public func digest(_ digest: @escaping () -> UInt64) { machine.digest = digest }
    /// Names a word in the report.
    public func name(_ raw: UnsafeRawPointer, _ name: String) {
      machine.trace?.names[UInt(bitPattern: raw)] = name
    }
    /// A line in the report.
    public func note(_ text: @autoclosure () -> String) { machine.trace?.note(machine, text()) }

    /// Sleeps until `condition` holds, looked at whenever somebody did something. For a scenario's own threads.
    public func wait(until condition: () -> Bool) {
      while !condition() {
        if machine.giveWayOrTime(isWaiting: true) { continue }
        // Nobody else can run: looking once more tells what happened during the last look.
        if condition() { return }
        machine.waitsInVain()
      }
    }
    /// Zeroed shared memory for a scenario's own words and slots, 64-byte aligned; freed with the schedule.
    public func memory(byteCount: Int) -> UnsafeMutableRawPointer {
      unsafe machine.arena.allocate(byteCount: byteCount, alignment: 64)
    }

    /// A scheduling point where the calling thread's own code has none.
    public func step() { machine.point(.begin, 0) }

    /// Virtual time.
    public var clock: any TimeSource { MachineClock(machine) }
    /// Lets the calling thread sleep for so many nanoseconds of virtual time.
    public func sleep(nanoseconds: UInt64) {
      _ = machine.sleep(.time, until: machine.now + nanoseconds)
    }
    /// A poller in virtual time, for a context's thread.
    public func makePoller() -> any DevicePoller { VirtualPoller(machine) }
  }
#endif
