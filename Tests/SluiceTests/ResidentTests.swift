import Exclusion
import LinuxDevices
import Sluice
import SoftInterrupts
import Testing

/// Application code that lives with a context.
@Suite(.timeLimit(.minutes(5))) struct ResidentTests {
  private final class Told: Sendable {
    let kick: KickDescriptor
    let times = Counter()
    let timesWhileBusy = Counter()
    let over = Counter()
    init() throws { kick = try KickDescriptor() }
  }

  /// A context that always has something to do, and one link, hears of its resident's descriptor all the same.
  @Test func aBusyContextHearsItsResidentsDescriptor() throws {
    let (left, right) = try SerialDevice.pair()
    var configuration = StackConfiguration()
    configuration.interfaces = [StackInterface(left, addresses: [IPPrefix("10.1.0.1/30")!])]
    let stack = try Stack(configuration)
    let told = try Told()
    let resident = Resident(on: 0, of: stack.contexts) {
      told.times.increment()
      return false
    }
    try resident.watch(descriptor: told.kick.descriptor)
    try stack.start()
    Self.goOn(stack, told, left: 100_000)
    while told.over.value == 0 { yieldProcessor() }
    #expect(told.timesWhileBusy.value > 0)
    withExtendedLifetime((resident, right)) { _ = stack.shutdown() }
  }

  /// A pass after the other; in one of them the descriptor becomes readable.
  private static func goOn(_ stack: Stack, _ told: Told, left: Int) {
    stack.contexts.perform(on: 0) { _ in
      guard left > 0, told.times.value == 0 else {
        // When it has nothing to do any more it hears in any case.
        told.timesWhileBusy.increment(by: told.times.value)
        return told.over.increment()
      }
      if left == 99_000 { told.kick.kick() }
      goOn(stack, told, left: left - 1)
    }
  }
}
