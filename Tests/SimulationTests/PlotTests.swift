import Chance
import Testing

@testable import Simulation

@Suite("Plots, and what else is written")
struct PlotTests {
  @Test("show four panels of one transfer, the same for the same seed")
  func plot() throws {
    let profile = try #require(Profile.named("loss-10"))
    var options = RunOptions()
    options.bytes = 256 << 10
    for workload in [Workload.upload, .download] {
      options.workload = workload
      let (result, svg) = Simulation.plot(profile, seed: 2, options)
      #expect(result.failure == nil)
      for name in [
        "sequence, KiB", "congestion window, KiB", "round trip, ms", "queue of the narrow link, KiB",
      ] {
        #expect(svg.contains(">\(name)<"))
      }
      #expect(
        svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n") && !svg.contains("nan") && !svg.contains("inf"))
      // What was sent again and what was lost is drawn in inks of its own, and this seed has both.
      #expect(svg.contains("stroke=\"#e07b00\" stroke-width=\"2.2\"/>"))
      #expect(svg.contains("stroke=\"#d1242f\" stroke-width=\"1.3\"/>"))
      #expect(svg == Simulation.plot(profile, seed: 2, options).svg)
      #expect(svg.utf8.count < 200_000)
    }
  }

  @Test("axes have round marks that cover what they show")
  func axes() {
    for top in [0.0, 0.003, 1, 7.2, 64, 999, 12_345, 2e7] {
      let axis = Axis(top: top, places: (100, 0), count: 5)
      #expect(axis.range.upperBound >= top && (2...7).contains(axis.marks.count), "\(top): \(axis.marks)")
      #expect(axis.place(0) == 100 && axis.place(axis.range.upperBound) == 0)
    }
    #expect(Axis(top: 0.05, places: (0, 1), count: 5).text(0.01) == "0.01")
  }

  @Test("numbers have as many digits as they should")
  func numbers() {
    #expect(Fixed.text(3.14159, 2) == "3.14" && Fixed.text(-0.04, 1) == "0.0" && Fixed.text(-1.25, 0) == "-1")
    #expect(Fixed.text(1999.999, 1) == "2000.0" && Fixed.text(.infinity, 1) == "inf")
  }

  @Test("events come by time, and in the order of planning within a moment")
  func events() {
    var heap = EventHeap()
    for number in 0..<500 { heap.plan(.wakes, at: UInt64(number * 7919 % 50), index: number) }
    var last: (time: UInt64, index: Int32) = (0, -1)
    var count = 0
    while let event = heap.takeFirst() {
      #expect(event.time > last.time || (event.time == last.time && event.index > last.index))
      last = (event.time, event.index)
      count += 1
    }
    #expect(count == 500)
  }

  private func attack(_ script: [UInt8]) -> String? { unsafe Simulation.attack(script.span.bytes) }

  @Test("an attack by script ends with the script, whatever is in it")
  func scripts() {
    var random = SeededGenerator(seed: 11)
    #expect(attack([UInt8](repeating: 0, count: 64)) == nil)
    #expect(attack([UInt8](repeating: 255, count: 300)) == nil)
    for _ in 0..<3 {
      let script = (0..<200).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let failure = attack(script)
      #expect(failure == nil, "\(failure ?? "") for \(script)")
    }
    #expect(Decisions(script: []).isExhausted)
  }

  @Test("who is refused just before the attack ends does not try again after it")
  func refusedAtTheEnd() {
    let script: [UInt8] = [
      14, 1, 1, 31, 1, 1, 17, 1, 88, 10, 196, 231, 0, 0, 0, 0, 0, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89,
      89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 1, 89,
      89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 1, 166, 182, 195, 45, 37, 141, 209, 186, 161, 1, 1, 89,
      89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 89, 1, 166, 182, 195, 45, 37, 141, 171, 209, 186,
      161, 1, 1, 179, 1, 1,
    ]
    #expect(attack(script) == nil)
  }
}
