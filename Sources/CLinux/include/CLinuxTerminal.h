// A terminal that a program draws on. Only one at a time.
#pragma once

/// Keys are read one by one from `input` and not shown, `output` shows another screen without a cursor. What ends the process
/// by a signal gives the terminal back. 0, or a negative errno: it is no terminal.
int sluice_terminal_take(int input, int output);
/// As it was before.
void sluice_terminal_give_back(void);
/// Columns and lines; false: unknown.
int sluice_terminal_size(int output, int *columns, int *lines);
