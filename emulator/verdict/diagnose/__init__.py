"""Why a packet fares as it does: the answers side by side, the first that differs, its cause and the fix.

`Evidence` is all that is known; the functions of `emulator.verdict.causes` each recognise one cause in it.
Evidence is what an operator could find out by looking: nobody tells what was broken on purpose.
"""
