import Testing
import Timing

@testable import Simulation

@Suite("Reference senders")
struct ReferenceTests {
  private func goodput(
    _ control: ReferenceControl, rate: Int, roundTrip: Nanoseconds, loss: Double = 0, queue: Int = 1 << 20,
    megabytes: Int = 20, window: Int = 64 << 20
  ) throws -> Double {
    var link = LinkParameters(rate: rate, delay: roundTrip / 2)
    link.queueing = .dropTail(bytes: queue)
    link.loss = loss > 0 ? .random(loss) : .none
    var transfer = try #require(
      ReferenceTransfer(
        link, bytes: megabytes << 20, payload: 1448, window: window, access: 0, handshakes: 1, seed: 7,
        control))
    return transfer.goodput()
  }

  @Test("fill a link that loses nothing")
  func clean() throws {
    for control in [ReferenceControl.newReno(10), .cubic(10)] {
      let share = try goodput(control, rate: 20_000_000, roundTrip: .milliseconds(20)) / 20e6
      #expect((0.85...0.96).contains(share), "\(control): \(share)")
    }
  }

  @Test("NewReno follows the square root of the loss (Mathis and others, 1997)")
  func squareRoot() throws {
    for loss in [0.001, 0.01] {
      let measured = try goodput(
        .newReno(10), rate: 10_000_000_000, roundTrip: .milliseconds(50), loss: loss,
        megabytes: 300)
      let expected = 1448 * 8 / 0.05 * 1.22 / loss.squareRoot()
      #expect((0.7...1.3).contains(measured / expected), "\(loss): \(measured / expected)")
    }
  }

  @Test("CUBIC is ahead of NewReno where windows are large, and level where they are small")
  func cubicAhead() throws {
    func ratio(_ rate: Int, _ roundTrip: Nanoseconds, _ loss: Double) throws -> Double {
      let cubic = try goodput(.cubic(10), rate: rate, roundTrip: roundTrip, loss: loss, queue: 256 << 10)
      return try cubic / goodput(.newReno(10), rate: rate, roundTrip: roundTrip, loss: loss, queue: 256 << 10)
    }
    #expect(try ratio(1_000_000_000, .milliseconds(100), 0.0002) > 1.3)
    #expect((0.85...1.6).contains(try ratio(5_000_000, .milliseconds(10), 0.01)))
  }

  @Test("do not send more than the receiver's window")
  func receiveWindow() throws {
    let measured = try goodput(
      .newReno(10), rate: 1_000_000_000, roundTrip: .milliseconds(100), window: 128 << 10)
    #expect(measured < Double(64 << 10) * 8 / 0.1 * 1.05)
  }
}
