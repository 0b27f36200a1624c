// The crash handler (HAKMEM_CRASH_HANDLER=1): a report for SIGSEGV, SIGBUS and SIGABRT, and then what would have
// happened without it: the handler that stood there before, or the default action, so that core files still appear.
//
// A program that sets a handler of its own later replaces this one, as it would replace any other. The handler runs on
// a stack of its own, so that an overflow of the program's is reported like any other fault.
#ifndef HAKMEM_DIAG_CRASH_HANDLER_H_
#define HAKMEM_DIAG_CRASH_HANDLER_H_

#include <cstddef>

namespace hakmem::crash_handler {

// Installs the handler. `allocate` gives zeroed memory that is never given back. Called once, at the start.
void Install(void* (*allocate)(size_t size, size_t alignment));

// The calling thread gets a stack for the handler, unless it has one or the handler is not installed; and gives it
// back.
void StartThread();
void EndThread();

// In a forked child, while it has one thread: the stacks of threads that are gone are free.
void RepairAfterFork();

}  // namespace hakmem::crash_handler

#endif  // HAKMEM_DIAG_CRASH_HANDLER_H_
