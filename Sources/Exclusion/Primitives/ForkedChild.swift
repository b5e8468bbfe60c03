import CLinux

/// Whether this process was forked from the one that made its stacks. They stay the parent's (DESIGN section
/// 7): their slabs are wiped here and no context runs, so whoever enters one is turned away first. Any thread; a
/// load, no system call.
public func isForkedChild() -> Bool { sluice_is_forked_child() != 0 }
