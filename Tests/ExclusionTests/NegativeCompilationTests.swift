import Testing

/// What the tokens promise: each misuse is refused by the compiler, for the right reason, and the right use
/// beside it is not.
@Suite struct NegativeCompilationTests {
  struct Misuse: CustomTestStringConvertible, Sendable {
    let testDescription: String
    /// In the compiler's words.
    let refusal: String
    let code: String
    init(_ name: String, refused refusal: String, _ code: String) {
      (testDescription, self.refusal, self.code) = (name, refusal, code)
    }
  }

  static let prelude = """
    import Exclusion
    final class Stack: Sendable {
      let socket = OrderedMutex<SocketLevel, Int>(0)
      let peer = OrderedMutex<SocketLevel, Int>(0)
      let table = OrderedMutex<HandleTableLevel, Int>(0)
      let memory = OrderedMutex<MemoryLevel, Int>(0)
      let parker = Parker()
      let turn = Turn()
    }

    """

  static let rightUse = """
    func nested(_ stack: Stack, _ held: inout Held<Unlocked>) -> Int {
      stack.socket.withLock(&held) { number, held in
        stack.memory.withLock(&held) { bytes, _ in bytes += 1 }
        return stack.table.withLock(&held) { handles, _ in
          handles += number
          return handles
        }
      }
    }
    func generic<H: BeforeSocket>(_ stack: Stack, _ held: inout Held<H>) {
      stack.socket.withLock(&held) { number, _ in number += 1 }
    }
    func call(_ stack: Stack, _ held: inout Held<Unlocked>) {
      generic(stack, &held)
      if case .taken = stack.turn.take(stack.parker.wakeTarget, &held) { stack.turn.pass(&held) }
      wake(stack.parker.wakeTarget, &held)
      _ = stack.parker.park(&held)
    }
    func soft(_ item: ItemRef, _ target: WakeTarget, _ cx: inout SoftInterrupt) {
      cx.wake(target)
      cx.core.port.post(item)
    }
    func loop(_ item: ItemRef, _ target: WakeTarget, _ root: inout ContextRoot) {
      root.withSoftInterrupt { cx in soft(item, target, &cx) }
      root.deliverWakeups()
      root.quiescent()
    }
    """

  @Test func rightUseCompiles() throws {
    #expect(try Compiler().errors(in: Self.prelude + Self.rightUse) == [])
  }

  @Test(arguments: lockMisuses + tokenMisuses + contextMisuses)
  func RX_NOBLOCK_W11_misuseIsRefused(_ misuse: Misuse) throws {
    let errors = try Compiler().errors(in: Self.prelude + misuse.code)
    #expect(errors.contains { $0.contains(misuse.refusal) }, "\(errors)")
  }

  // MARK: The order of locks

  static let lockMisuses = [
    Misuse(
      "inverted order", refused: "requires that 'HandleTableLevel' conform to 'BeforeSocket'",
      """
      func f(_ stack: Stack, _ held: inout Held<Unlocked>) {
        stack.table.withLock(&held) { _, held in stack.socket.withLock(&held) { number, _ in number += 1 } }
      }
      """),
    Misuse(
      "the outer token", refused: "overlapping accesses to 'held'",
      """
      func f(_ stack: Stack, _ held: inout Held<Unlocked>) {
        stack.table.withLock(&held) { _, _ in stack.socket.withLock(&held) { number, _ in number += 1 } }
      }
      """),
    Misuse(
      "two of one level", refused: "requires that 'SocketLevel' conform to 'BeforeSocket'",
      """
      func f(_ stack: Stack, _ held: inout Held<Unlocked>) {
        stack.socket.withLock(&held) { _, held in stack.peer.withLock(&held) { number, _ in number += 1 } }
      }
      """),
    Misuse(
      "a generic function called too late",
      refused: "requires that 'MemoryLevel' conform to 'BeforeSocket'",
      """
      func g<H: BeforeSocket>(_ stack: Stack, _ held: inout Held<H>) {
        stack.socket.withLock(&held) { number, _ in number += 1 }
      }
      func f(_ stack: Stack, _ held: inout Held<Unlocked>) {
        stack.memory.withLock(&held) { _, held in g(stack, &held) }
      }
      """),
    Misuse(
      "a cycle in the order", refused: "refines itself",
      """
      protocol BeforeA: BeforeB {}
      protocol BeforeB: BeforeA {}
      """),
    Misuse(
      "a state that could escape", refused: "type 'Plain' does not conform to the 'Sendable' protocol",
      """
      final class Plain { var x = 0 }
      func f(_ held: inout Held<Unlocked>) -> Plain {
        OrderedMutex<SocketLevel, Plain>(Plain()).withLock(&held) { plain, _ in plain }
      }
      """),
    Misuse(
      "the raw lock", refused: "inaccessible due to 'package' protection level",
      """
      func f(_ stack: Stack, _ held: inout Held<MemoryLevel>) {
        stack.socket._lock(&held) { number, _ in number += 1 }
      }
      """),
  ]

  // MARK: Tokens cannot be made, kept or passed on

  static let tokenMisuses = [
    Misuse(
      "a stored token", refused: "stored property 'token' of 'Escapable'-conforming",
      "struct Box: ~Copyable { var token: Held<SocketLevel> }"),
    Misuse(
      "a copied token", refused: "'held' is borrowed and cannot be consumed",
      "func f(_ held: borrowing Held<Unlocked>) { let copy = held; _ = copy }"),
    Misuse(
      "a returned token", refused: "cannot infer the lifetime dependence",
      "func f(_ held: consuming Held<SocketLevel>) -> Held<SocketLevel> { held }"),
    Misuse(
      "a token that leaves the lock", refused: "requires that 'Held<SocketLevel>' conform to 'Escapable'",
      """
      func f(_ stack: Stack, _ held: inout Held<Unlocked>) {
        let kept = stack.socket.withLock(&held) { (_, held: inout Held<SocketLevel>) -> Held<SocketLevel> in held }
        _ = kept
      }
      """),
    Misuse(
      "a token in a task", refused: "escaping closure captures 'inout' parameter 'held'",
      """
      func f(_ stack: Stack, _ held: inout Held<Unlocked>) {
        Task { stack.socket.withLock(&held) { number, _ in number += 1 } }
      }
      """),
    Misuse(
      "awaiting with a lock held", refused: "async",
      """
      func pause() async {}
      func f(_ stack: Stack, _ held: inout Held<Unlocked>) async {
        stack.socket.withLock(&held) { _, _ in await pause() }
      }
      """),
    Misuse(
      "a forged token", refused: "inaccessible due to 'internal' protection level",
      "func f() { let held = Held<Unlocked>(_proof: ()); _ = held }"),
    Misuse(
      "a forged soft interrupt", refused: "inaccessible due to 'internal' protection level",
      "func f(_ core: ContextCoreRef) { let cx = SoftInterrupt(_proof: core); _ = cx.core }"),
    Misuse(
      "the root of application context", refused: "withApplication",
      "func f() { withApplication { _ in } }"),
    Misuse(
      "the root of a context", refused: "withContextRoot",
      "func f(_ core: ContextCoreRef) { withContextRoot(core) { _ in } }"),
    Misuse(
      "the root of a guest", refused: "withGuestRoot",
      "func f(_ core: ContextCoreRef) { _ = withGuestRoot(core) { _ in } }"),
  ]

  // MARK: Nothing that a soft interrupt does can wait

  static let contextMisuses = [
    Misuse(
      "a lock in a soft interrupt", refused: "cannot convert value of type 'SoftInterrupt'",
      """
      func f(_ stack: Stack, _ cx: inout SoftInterrupt) {
        stack.socket.withLock(&cx) { number, _ in number += 1 }
      }
      """),
    Misuse(
      "a leaf lock in a soft interrupt", refused: "cannot convert value of type 'SoftInterrupt'",
      """
      func f(_ stack: Stack, _ cx: inout SoftInterrupt) {
        stack.memory.withLock(&cx) { number, _ in number += 1 }
      }
      """),
    Misuse(
      "a lock at the root of a context", refused: "cannot convert value of type 'ContextRoot'",
      """
      func f(_ stack: Stack, _ root: inout ContextRoot) {
        stack.table.withLock(&root) { number, _ in number += 1 }
      }
      """),
    Misuse(
      "parking in a soft interrupt", refused: "cannot convert value of type 'SoftInterrupt'",
      "func f(_ stack: Stack, _ cx: inout SoftInterrupt) { _ = stack.parker.park(&cx) }"),
    Misuse(
      "parking with a lock held", refused: "cannot convert value of type 'Held<SocketLevel>'",
      """
      func f(_ stack: Stack, _ held: inout Held<Unlocked>) {
        stack.socket.withLock(&held) { _, held in _ = stack.parker.park(&held) }
      }
      """),
    Misuse(
      "a turn in a soft interrupt", refused: "cannot convert value of type 'SoftInterrupt'",
      """
      func f(_ stack: Stack, _ cx: inout SoftInterrupt) {
        _ = stack.turn.take(stack.parker.wakeTarget, &cx)
      }
      """),
    Misuse(
      "passing a turn with a lock held", refused: "cannot convert value of type 'Held<SocketLevel>'",
      """
      func f(_ stack: Stack, _ held: inout Held<Unlocked>) {
        stack.socket.withLock(&held) { _, held in stack.turn.pass(&held) }
      }
      """),
    Misuse(
      "waking with a lock held", refused: "cannot convert value of type 'Held<SocketLevel>'",
      """
      func f(_ stack: Stack, _ held: inout Held<Unlocked>) {
        stack.socket.withLock(&held) { _, held in wake(stack.parker.wakeTarget, &held) }
      }
      """),
    Misuse(
      "waking in a soft interrupt", refused: "cannot convert value of type 'SoftInterrupt'",
      "func f(_ target: WakeTarget, _ cx: inout SoftInterrupt) { wake(target, &cx) }"),
    Misuse(
      "delivering the wake buffer", refused: "inaccessible due to 'internal' protection level",
      "func f(_ cx: inout SoftInterrupt) { _ = cx.core.wakes.deliver() }"),
    Misuse(
      "delivering in a soft interrupt", refused: "has no member 'deliverWakeups'",
      "func f(_ cx: inout SoftInterrupt) { cx.deliverWakeups() }"),
    Misuse(
      "delivering while a soft interrupt runs", refused: "overlapping accesses to 'root'",
      "func f(_ root: inout ContextRoot) { root.withSoftInterrupt { _ in _ = root.deliverWakeups() } }"),
    Misuse(
      "delivering a target oneself", refused: "inaccessible due to 'internal' protection level",
      "func f(_ target: WakeTarget) { target.deliver() }"),
    Misuse(
      "reporting quiescence in a soft interrupt", refused: "has no member 'quiescent'",
      "func f(_ cx: inout SoftInterrupt) { cx.quiescent() }"),
    Misuse(
      "a soft interrupt in a task", refused: "escaping closure captures 'inout' parameter 'cx'",
      "func f(_ target: WakeTarget, _ cx: inout SoftInterrupt) { Task { cx.wake(target) } }"),
  ]
}
