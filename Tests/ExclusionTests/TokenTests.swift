import Exclusion
import Glibc
import Testing

/// Locks and roots. What must not compile is in `NegativeCompilationTests`.
@Suite(.serialized, .timeLimit(.minutes(3))) struct TokenTests {
  struct Account: ~Copyable {
    var balance = 0
    var changes = 0
  }

  @Test func lockExcludes() throws {
    let account = Shared(OrderedMutex<SocketLevel, Account>(Account()))
    let rounds = 20_000
    let body: @Sendable () -> Void = {
      for round in 0..<rounds {
        withApplication { held in
          account.value.withLock(&held) { account, _ in
            let before = account.balance
            if round % 64 == 0 { yieldProcessor() }  // long enough for the others to fall asleep
            account.balance = before + 1
            account.changes += 1
          }
        }
      }
    }
    try together([body, body, body])
    withApplication { held in
      account.value.withLock(&held) { account, _ in
        #expect(account.balance == rounds * 3 && account.changes == rounds * 3)
      }
    }
  }

  @Test func locksNestInOrderAndThrow() {
    struct Refused: Error {}
    let socket = OrderedMutex<SocketLevel, Int>(0)
    let table = OrderedMutex<HandleTableLevel, Int>(0)
    let memory = OrderedMutex<MemoryLevel, Int>(0)
    withApplication { held in
      let sum = socket.withLock(&held) { number, held in
        number += 1
        table.withLock(&held) { handles, _ in handles += 1 }
        return memory.withLock(&held) { bytes, _ in
          bytes += number
          return bytes
        }
      }
      #expect(sum == 1)
      #expect(throws: Refused.self) {
        try table.withLock(&held) { _, _ throws(Refused) in throw Refused() }
      }
      table.withLock(&held) { handles, _ in #expect(handles == 1) }  // unlocked by the throw
    }
    #if LockDep
      #expect(LockDep.graph.contains("Socket -> HandleTable"))
      #expect(!LockDep.graph.contains("HandleTable -> Socket"))
    #endif
  }

  @Test func lockDestroysItsState() {
    let living = Word()
    do {
      let lock = OrderedMutex<MemoryLevel, MemoryTests.Token>(MemoryTests.Token(1, living))
      withApplication { held in lock.withLock(&held) { token, _ in #expect(token.value == 1) } }
    }
    #expect(living.value == 0)
  }

  @Test func contextsCarryTheirState() throws {
    let core = try makeContext(3)
    #expect(core.index == 3 && core.port.index == 3 && core.port.descriptor == nil)
    let states = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 8)
    for slot in AttachmentSlot.allCases { unsafe core.attach(states + slot.rawValue * 8, slot) }
    asContext(core) { cx in
      for slot in AttachmentSlot.allCases {
        #expect(unsafe cx.core.attachment(slot) == states + slot.rawValue * 8)
      }
    }
    unsafe states.deallocate()
    core.destroy()
  }

  @Test func kickDescriptorIsReadableUntilAbsorbed() throws {
    let kick = try KickDescriptor()
    func isReadable() -> Bool {
      var watched = pollfd(fd: kick.descriptor, events: Int16(POLLIN), revents: 0)
      return unsafe poll(&watched, 1, 0) == 1
    }
    #expect(!isReadable())
    kick.kick()
    kick.kick()
    #expect(isReadable())
    kick.absorb()
    #expect(!isReadable())
  }

  #if DEBUG
    @Test func rootsDoNotNest() async {
      await #expect(processExitsWith: .failure) {
        withApplication { _ in withApplication { _ in } }
      }
      await #expect(processExitsWith: .failure) {
        let core = try ContextCoreRef.make(index: 0, kick: .counted)
        withContextRoot(core) { _ in withApplication { _ in } }
      }
      await #expect(processExitsWith: .failure) {
        let lock = OrderedMutex<SocketLevel, Int>(0)
        withApplication { held in lock.withLock(&held) { _, _ in withApplication { _ in } } }
      }
      await #expect(processExitsWith: .success) {
        withApplication { _ in }
        withApplication { _ in }
      }
    }
  #endif

  #if LockDep
    @Test func lockDepTrapsWhereTheTypesWereGotRound() async {
      await #expect(processExitsWith: .failure) {
        let socket = OrderedMutex<SocketLevel, Int>(0)
        let memory = OrderedMutex<MemoryLevel, Int>(0)
        withApplication { held in
          memory.withLock(&held) { _, held in socket._lock(&held) { number, _ in number += 1 } }
        }
      }
    }
  #endif
}
