public import Devices
import Exclusion
import Glibc
public import Wire

/// Guests behind sockets that carry frames, virtual machines for the most part, on one learning switch with the stack.
///
/// A thread of its own carries the frames: what is for one station goes to its port once that is known, everything else to
/// all; a guest that takes nothing loses what is for it beyond ``portQueueLimit`` bytes, and stops nobody. What is for the
/// stack is not lost: guests are not read while much of it waits. Between guests, what only the gateway may say does not
/// pass: DHCP answers, router advertisements, claims of its addresses; and a station belongs to the guest that showed it
/// first, for as long as that is there.
public final class VirtualSwitch: Sendable {
  /// The stack's port.
  public let device: any Device
  private let ending: SwitchEnding
  private let thread: WorkerThread
  private let counters = SwitchCounters()

  /// Guests that may be plugged in at once.
  public static var portLimit: Int { SwitchLoop.portLimit }
  /// Bytes that wait for a guest at most.
  public static var portQueueLimit: Int { SwitchPort.queueLimit }

  /// Carries frames from now on. Once for the same sockets. Application context.
  ///
  /// - Parameter addresses: the gateway's, which no guest may claim before another.
  /// - Throws: `.switchRefused`.
  public init(taking sockets: SwitchSockets, addresses: [IPAddress]) throws(LinkError) {
    device = sockets.device
    ending = sockets.ending
    let (counters, filter) = (counters, FrameFilter(reserved: addresses))
    do throws(SystemFailure) {
      thread = try WorkerThread(name: "switch") { SwitchLoop(sockets, filter, counters).run() }
    } catch {
      throw .switchRefused(sockets.endpoints[0], errno: error.code)
    }
  }

  deinit { stop() }

  /// Unplugs everybody, and is gone. After the stack, which would find its port dead. Again it does nothing.
  public func stop() {
    if ending.begin() { thread.join() }
  }

  /// What it did, and what there is. Any thread.
  public var statistics: SwitchStatistics { SwitchStatistics(counters, portLimit: Self.portLimit) }
}
