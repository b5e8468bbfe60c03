/// Why a call of a script was not made, or what is wrong with its outcome.
enum CallProblem: Error, Equatable {
  /// The call, an argument or a constant is not known here: the script cannot be run.
  case unsupported(String)
  /// The script makes no sense: wrong arguments, a descriptor that nobody opened.
  case invalid(String)
}
