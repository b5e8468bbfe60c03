import CLinux
import Glibc
import Testing

/// What a process that has given everything up can still do, and what it cannot: rows of Documentation/Security.md.
@Suite struct ConfinementTests {
  @Test func aGatewaysWorkGoesOn() {
    let result = sluice_confinement_trial(sluice_trial_work)
    #expect(result == 0 || result == 77, "step \(result)")
  }
  @Test func whatIsNotItsWorkIsRefused() {
    let result = sluice_confinement_trial(sluice_trial_refused)
    #expect(result == 0 || result == 77, "step \(result)")
  }
  @Test func whatOnlyAnIntruderCallsEndsTheProcess() {
    let result = sluice_confinement_trial(sluice_trial_deadly)
    #expect(result == 1000 + SIGSYS || result == 77, "step \(result)")
  }
  /// Where namespaces are forbidden, as in some containers, files are left, and the filter lets none be written.
  @Test func thereAreNoFiles() {
    let result = sluice_confinement_trial(sluice_trial_files)
    #expect(result == 0 || result == 77, "step \(result)")
  }
  @Test func thereAreNoPrivileges() {
    let result = sluice_confinement_trial(sluice_trial_privileges)
    #expect(result == 0, "step \(result)")
  }
}
