// The file of a recording: its header, its chunks, and its end.
//
// No descriptor stays open: programs close descriptors that they do not know, and count their own. The file is opened
// by its name for each chunk, and has to be the same still. A chunk's place on the disk is reserved before it is
// mapped, so that a full disk ends the recording and not the program.
#ifndef HAKMEM_TRACE_TRACE_FILE_H_
#define HAKMEM_TRACE_TRACE_FILE_H_

#include <atomic>
#include <cstdint>

#include "hakmem/platform/compiler.h"

namespace hakmem::trace::file {

// 1 while calls are recorded. On a page that reads as zero in a forked child, so that a child never writes to its
// parent's file, even one that was forked without the C library's knowledge.
extern std::atomic<uint32_t>* g_active HAK_HIDDEN;

// A look: who finds 1 for a moment too long writes to memory that is still there.
inline bool Active() { return g_active->load(std::memory_order_relaxed) != 0; }

// Makes the file that HAKMEM_TRACE names, or empties it; the recording is active then. False after a message. In a
// forked child it is another file than the parent's.
bool Open();

// In a forked child: gives up the parent's file.
void Leave();
// The same, but all that is mapped stays.
void Stop();

// The next chunk of the file, zero, mapped. nullptr: the recording has ended, after a message.
unsigned char* AddChunk();
void UnmapChunk(unsigned char* chunk);

// The recording ends for the reason of this errno, with a message; the program goes on.
HAK_COLD void End(int error);

// A call got no record.
HAK_COLD void CountLost();

// The process is at its end; what comes now is still recorded.
void NoteExit();

}  // namespace hakmem::trace::file

#endif  // HAKMEM_TRACE_TRACE_FILE_H_
